"""What schemathesis is told of our requests beyond the document. Loaded by it (schemathesis.toml), not by pytest."""

import json
from typing import Any

import schemathesis
from hypothesis import strategies as st

_KEYS = st.sampled_from(["ada", "bob", "ada-0", "s1"]) | st.text()
_DATA = st.dictionaries(
    st.sampled_from(["id", "title", "pages", "printed_at", "shelf", "book", "blob_ref"]) | st.text(),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5),
    max_size=5,
)
_LIBRARY = ("library", "https://registry.pdpp.dev/connectors/library")
_TO_STAY = (*_LIBRARY, "twins")
_HOMES = dict.fromkeys(("books", "chapters", "shelves"), "library") | dict.fromkeys(("notes", "pairs"), "twins")


@st.composite
def _line(draw: st.DrawFn) -> bytes:
    """A line that is a record, or nearly one."""
    key = draw(_KEYS)
    line: dict[str, Any] = {"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": {"id": key, **draw(_DATA)}}
    if draw(st.booleans()):
        line["op"] = draw(st.sampled_from(["upsert", "delete"]))
    return json.dumps(line).encode()


schemathesis.openapi.media_type(
    "application/x-ndjson", st.lists(_line() | st.binary(), max_size=5).map(lambda lines: b"\n".join(lines))
)


schemathesis.openapi.media_type("application/offset+octet-stream", st.binary(max_size=100))


@schemathesis.serializer("application/x-ndjson", "application/offset+octet-stream")
def as_it_is(context: Any, value: Any) -> bytes:
    """Lines are bytes already; of what breaks the schema, its JSON."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Runs before each request."""
    _spare(case)
    if case.meta is not None and case.meta.generation.mode.is_positive:
        _agree(case)


def _spare(case: schemathesis.Case[Any]) -> None:
    """Erase and register elsewhere than where there is something to read: soon there would be nothing."""
    if case.method == "DELETE":
        _point_elsewhere(case.path_parameters, "another")
        _point_elsewhere(case.query, "doomed")
    elif isinstance(case.body, dict) and case.body.get("scope") == "owner":
        case.body["preview"] = True
    elif isinstance(case.body, dict) and "client_id" not in case.body:
        _point_elsewhere(case.body, "another")


def _point_elsewhere(names: dict[str, Any], connector: str) -> None:
    """Name nothing that is to stay."""
    if names.get("connector_id") in (*_TO_STAY, "doomed"):
        names["connector_id"] = connector
    for name in ("connection_id", "connector_instance_id"):
        if str(names.get(name, "")).startswith(("home", "work", "cin_")):
            names[name] = "far"


def _agree(case: schemathesis.Case[Any]) -> None:
    """Let a good request be good in what no schema says: names that go together, that exclude each other."""
    query = case.query
    _settle(case.path_parameters, query)
    for present, excluded in (
        ("connector_instance_id", ("connection_id",)),
        ("fields", ("view",)),
        ("cursor", ("changes_since",)),
        ("changes_since", ("order", "filter", "expand[]")),
    ):
        if present in query:
            for name in excluded:
                query.pop(name, None)
    if not query.get("expand[]"):
        query.pop("expand_limit", None)
    for name in ("Content-Digest", "Repr-Digest", "If-Match"):  # of which bytes?
        case.headers.pop(name, None)
    if isinstance(case.body, dict):
        if "connector_instance_id" in case.body:
            case.body.pop("connection_id", None)
        for member, mend in (("client_id", _grant), ("streams", _declare), ("state", _remember)):
            if member in case.body:
                mend(case.body)
                break


def _settle(path: dict[str, Any], query: dict[str, Any]) -> None:
    """Ask a connector that is there for streams that are its own; the library has one instance."""
    home = _HOMES.get(path.get("stream") or query.get("stream") or "")
    if query.get("connector_id") in _TO_STAY and home is not None:
        query["connector_id"] = home
    if query.get("connector_id") in (*_LIBRARY, "doomed") or path.get("connector_id") in _LIBRARY:
        query.pop("connector_instance_id", None)
        query.pop("connection_id", None)


def _remember(body: dict[str, Any]) -> None:
    """State of streams that are there."""
    body["state"] = dict(zip(("books", "shelves"), body["state"].values(), strict=False))


def _declare(manifest: dict[str, Any]) -> None:
    """Declare the fields that the streams of a manifest name."""
    for index, stream in enumerate(manifest["streams"]):
        named = [*stream["primary_key"], stream.get("cursor_field"), stream.get("consent_time_field")]
        stream["name"] = f"{index}{stream['name']}"[:512]
        stream["schema"] = {"type": "object", "properties": {name: {} for name in named if name is not None}}
        for member in ("views", "query"):
            stream.pop(member, None)


def _grant(request: dict[str, Any]) -> None:
    """Every other time, grant what is there."""
    if len(request["client_id"]) % 2:
        request["connector_id"] = "library"
        request["streams"] = [{"name": name} for name, _ in zip(("books", "shelves"), request["streams"], strict=False)]
        request.pop("expires_at", None)
