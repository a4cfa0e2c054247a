"""What a request names in its path, its query and its headers, read exactly once and strictly."""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import parse_qsl, unquote_to_bytes

from aiohttp import web

from records.consent.scope import Selector
from records.errors import Invalid
from records.slots import WHOLE_RECORD
from records.writing.attachments import Target

CONNECTOR = ("connector_id",)
INSTANCE = ("connector_instance_id", "connection_id")
SELECTOR = CONNECTOR + INSTANCE
RUN = ("run_id",)
"""What the collection runtime adds to every write; it means nothing here."""

MAX_FIELDS = 64
_SHOWN = 64
"""Characters of a name that an error message repeats."""


def path_part(request: web.Request, name: str) -> str:
    """The part of the path that the route calls `name`, percent-decoded once; it may hold any character.

    Raises `Invalid` when it is not UTF-8.
    """
    resource = request.match_info.route.resource
    assert resource is not None  # handlers run on routes only
    place = resource.canonical.split("/").index("{" + name + "}")
    # The raw path: what the router gives out is decoded in its own way.
    raw = request.rel_url.raw_path.split("/")[place]
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Invalid(f"{name} in the path is not UTF-8", param=name) from None


Pair = tuple[str, str]
"""Name and value of a query parameter, decoded."""


def query(request: web.Request, *, required: Collection[str] = (), optional: Collection[str] = ()) -> dict[str, str]:
    """The query parameters by name. Raises `Invalid` for one that is unknown, repeated, blank or missing."""
    return named(pairs(request), required=required, optional=optional)


def pairs(request: web.Request) -> list[Pair]:
    """The query parameters in their order. Raises `Invalid` for a query that is not UTF-8, or has too many."""
    try:
        return parse_qsl(
            request.rel_url.raw_query_string, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise Invalid("the query is not UTF-8") from None
    except ValueError:
        raise Invalid(f"the query has more than {MAX_FIELDS} parameters") from None


def named(given: Sequence[Pair], *, required: Collection[str] = (), optional: Collection[str] = ()) -> dict[str, str]:
    """Parameters by name. Raises `Invalid` for one that is unknown, repeated, blank or missing."""
    values: dict[str, str] = {}
    for name, value in given:
        if name not in required and name not in optional:
            raise unsupported(name)
        if name in values:
            raise Invalid(f"{name} is given more than once", param=name)
        if not value.strip():
            raise Invalid(f"{name} is blank", param=name)
        values[name] = value
    for name in required:
        if name not in values:
            raise Invalid(f"{name} is missing", param=name)
    return values


def unsupported(name: str) -> Invalid:
    """The error for a parameter that is none."""
    return Invalid(f"Unsupported query parameter: {shown(name)}", param=shown(name))


def shown(name: str) -> str:
    """As much of a name as an error message repeats."""
    return name[:_SHOWN]


def selector(values: Mapping[str, str], connector: str | None = None) -> Selector:
    """The connector (from the path, where it stands there) and the instance that the parameters name.

    Raises `Invalid` when both names of an instance are given and differ.
    """
    instance, alias = (values.get(name) for name in INSTANCE)
    if instance is not None and alias is not None and instance != alias:
        raise Invalid("connection_id and connector_instance_id name different instances", param="connection_id")
    return Selector(connector or values.get("connector_id"), instance or alias)


def target(values: Mapping[str, str], media: str) -> Target:
    """The record that bytes of this media type are for, as the parameters name it. Raises as `selector`."""
    json_path = values.get("json_path", WHOLE_RECORD)
    return Target(selector(values), values["stream"], values["record_key"], media, json_path)


def integer(values: Mapping[str, str], name: str, default: int, minimum: int) -> int:
    """A whole number, at least `minimum`; `default` when it is not given. Raises `Invalid` for anything else."""
    text = values.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) < minimum:
        raise Invalid(f"{name} must be a whole number of at least {minimum}", param=name)
    return int(text)


def flag(values: Mapping[str, str], name: str) -> bool:
    """`true` or `false`; false when it is not given. Raises `Invalid` for anything else."""
    text = values.get(name, "false")
    if text not in ("true", "false"):
        raise Invalid(f"{name} must be true or false", param=name)
    return text == "true"


def prefers_async(request: web.Request) -> bool:
    """Whether the client asks not to be kept waiting (`Prefer: respond-async`, RFC 7240)."""
    preferences = ",".join(request.headers.getall("Prefer", [])).split(",")
    return any(each.partition(";")[0].strip().lower() == "respond-async" for each in preferences)
