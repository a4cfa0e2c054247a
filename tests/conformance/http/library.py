"""A connector with everything that a manifest can declare of a list, and a handful of records in it."""

from typing import Any

from tests.conformance.http.api import Api, Connector, fresh_name

T = "2026-01-01T00:00:00Z"


def _nullable(*types: str, **more: Any) -> dict[str, Any]:
    return {"type": [*types, "null"], **more}


MANIFEST: dict[str, Any] = {
    "version": "1.0.0",
    "streams": [
        {
            "name": "books",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "cursor_field": "printed_at",
            "consent_time_field": "printed_at",
            "schema": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "title": _nullable("string"),
                    "pages": _nullable("integer"),
                    "price": _nullable("string"),
                    "lent": _nullable("boolean"),
                    "printed_at": _nullable("string", format="date-time"),
                    "tags": {"type": "array"},
                    "shelf": _nullable("string"),
                    "cover": {"type": "object"},
                },
                "required": ["id", "title"],
            },
            "views": [{"id": "short", "fields": ["id", "pages"]}],
            "query": {
                "range_filters": {
                    "pages": ["gte", "gt", "lte", "lt"],
                    "price": ["gte", "lt"],
                    "printed_at": ["gte", "gt", "lte", "lt"],
                },
                "expand": [{"name": "chapters", "default_limit": 2, "max_limit": 3}, {"name": "on"}],
            },
            "relationships": [
                {"name": "chapters", "stream": "chapters", "foreign_key": "book", "cardinality": "has_many"},
                {"name": "on", "stream": "shelves", "foreign_key": "shelf", "cardinality": "has_one"},
                {"name": "hidden", "stream": "shelves", "foreign_key": "shelf", "cardinality": "has_one"},
            ],
        },
        {
            "name": "chapters",
            "semantics": "append_only",
            "primary_key": ["id"],
            "schema": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "book": {"type": "string"}, "text": {"type": "string"}},
            },
        },
        {
            "name": "shelves",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "schema": {"type": "object", "properties": {"id": {"type": "string"}, "room": {"type": "string"}}},
        },
    ],
}


def line(key: str, emitted_at: str = T, **data: Any) -> dict[str, Any]:
    """A line of an ingest."""
    return {"key": key, "emitted_at": emitted_at, "data": {"id": key, **data}}


def book(key: str, title: str | None = "A title", *, emitted_at: str = T, **data: Any) -> dict[str, Any]:
    """A line of `books`."""
    return line(key, emitted_at, title=title, **data)


BOOKS = [
    book("ada", "Notes", pages=65, price="9.50", lent=True, printed_at="1843-09-01T00:00:00Z", shelf="s1"),
    book("bob", None, pages=None, price="10.00", lent=False, printed_at="1990-01-01T02:00:00+02:00", tags=["x"]),
    book("cyd", "Notes", pages=300, price="100.00", printed_at="1990-01-01T00:00:01Z", shelf="gone"),
    book("dee", '100% [true] "quoted" \'; DROP TABLE records; --', pages=2**60),
    book("eve", "true", pages=65.5, printed_at=None, shelf="s2"),
]
"""By the text of `printed_at`, ascending, are ada, cyd, bob; then dee and eve, which have none."""


async def filled(api: Api, name: str | None = None) -> Connector:
    """The connector with its records; under a name that nothing else uses where none is given."""
    connector = Connector(api, name or fresh_name())
    answer = await api.call("POST", "/v1/connectors", body={"connector_id": connector.id, **MANIFEST})
    assert answer.status == 201, answer.body
    await connector.put("books", *BOOKS)
    await connector.put("chapters", *(line(f"{of}-{n}", book=of, text="…") for of in ("ada", "bob") for n in range(3)))
    await connector.put("shelves", line("s1", room="hall"), line("s2", room="attic"))
    return connector


async def covered(library: Connector, key: str, body: bytes, **data: Any) -> str:
    """A book with a cover; the cover's blob id."""
    query = {"connector_id": library.id, "stream": "books", "record_key": key, "mime_type": "image/png"}
    answer = await library.api.call("POST", "/v1/blobs", query, body=body)
    blob_id: str = answer.json["blob_id"]
    await library.put("books", book(key, cover={"blob_id": blob_id, "mime_type": "image/png"}, **data))
    return blob_id
