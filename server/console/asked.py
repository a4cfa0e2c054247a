"""What the query of a page names, read strictly, and the parts that several pages read alike."""

from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web

from records.consent.scope import Selector
from records.errors import Invalid
from server import params

MAX_PAIRS = params.MAX_FIELDS


@dataclass(frozen=True, slots=True)
class Named:
    """Connector, instance and stream as a page's address names them."""

    connector: str
    instance: str | None
    stream: str | None

    @property
    def selector(self) -> Selector:
        """What reads are narrowed to."""
        return Selector(self.connector, self.instance)


def values(request: web.Request, known: Collection[str], required: Collection[str] = ()) -> dict[str, str]:
    """The parameters by name; blank ones, as forms send them, are left out.

    Raises `Invalid` for one that is unknown, repeated or missing.
    """
    given = [(name, value) for name, value in params.pairs(request) if value.strip()]
    return params.named(given, required=required, optional=known)


def repeated(request: web.Request, *names: str) -> tuple[list[tuple[str, ...]], list[params.Pair]]:
    """The values of parameters that come together, any number of times; and the other parameters.

    Raises `Invalid` where one of them is there more often than another.
    """
    given = params.pairs(request)
    columns = [[value for each, value in given if each == name] for name in names]
    if len({len(column) for column in columns}) > 1:
        raise Invalid(f"{' and '.join(names)} go together", param=names[0])
    return list(zip(*columns, strict=True)), [pair for pair in given if pair[0] not in names]


def named(values: dict[str, str]) -> Named:
    """What `connector`, `instance` and `stream` name. Raises `Invalid` without a connector."""
    if "connector" not in values:
        raise Invalid("the address names no connector; choose one on the page of connectors", param="connector")
    return Named(values["connector"], values.get("instance"), values.get("stream"))
