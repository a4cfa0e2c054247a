"""What the tests of the HTTP surface say to a server, and what they hear. Knows nothing of how the server is made."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_entity_too_large_error",
}


def part(text: str) -> str:
    """One part of a path: everything but letters, digits and `-._~` percent-encoded."""
    return quote(text, safe="")


def field(name: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "title": name}


MANIFEST: dict[str, Any] = {
    "version": "1.0.0",
    "display_name": "A connector for tests",
    "unknown_member": {"kept": True},
    "streams": [
        {
            "name": "notes",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "cursor_field": "at",
            "consent_time_field": "at",
            "schema": {
                "type": "object",
                "properties": {"id": field("id"), "at": field("at"), "text": field("text"), "blob_ref": {}},
                "required": ["id"],
            },
            "views": [{"id": "short", "fields": ["id", "text"]}],
            "query": {"range_filters": {"at": ["gte", "lt"]}},
        },
        {
            "name": "log",
            "semantics": "append_only",
            "primary_key": ["id"],
            "schema": {"type": "object", "properties": {"id": field("id"), "text": field("text")}},
        },
        {
            "name": "pairs",
            "semantics": "mutable_state",
            "primary_key": ["left", "right"],
            "schema": {"type": "object", "properties": {"left": {}, "right": {}}},
        },
    ],
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]


class Api:
    """One caller: a server's address and a token."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, token: str | None) -> None:
        self.session = session
        self.base_url = base_url.rstrip("/")
        self.token = token

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | Iterable[tuple[str, object]] = (),
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send exactly this path (percent-encoded already) and query; a dict as body goes as JSON."""
        pairs = list(query.items()) if isinstance(query, Mapping) else list(query)
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        url = URL(self.base_url + path + ("?" + urlencode(pairs, quote_via=quote) if pairs else ""), encoded=True)
        async with self.session.request(method, url, data=body, headers=sent, allow_redirects=False) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **query: object) -> Answer:
        return await self.call("GET", path, query)

    async def delete(self, path: str, **query: object) -> Answer:
        return await self.call("DELETE", path, query)


@dataclass
class Connector:
    """A connector of this test alone."""

    api: Api
    id: str

    @property
    def home(self) -> str:
        """The name of an instance that only this connector has."""
        return "home-" + self.id.rpartition("/")[2]

    @property
    def work(self) -> str:
        """The name of another instance."""
        return "work-" + self.id.rpartition("/")[2]

    async def register(self, **members: Any) -> Answer:
        return await self.api.call("POST", "/v1/connectors", body={"connector_id": self.id, **MANIFEST, **members})

    async def ingest(self, stream: str, *lines: Any, **query: object) -> Answer:
        """Lines as values (sent as JSON) or as bytes (sent as they are)."""
        text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
        return await self.send(stream, text, **query)

    async def send(self, stream: str, body: Any, **query: object) -> Answer:
        return await self.api.call(
            "POST",
            f"/v1/ingest/{part(stream)}",
            {"connector_id": self.id, **query},
            body=body,
            headers={"Content-Type": "application/x-ndjson"},
        )

    async def put(self, stream: str, *records: dict[str, Any], **query: object) -> None:
        answer = await self.ingest(stream, *records, **query)
        assert answer.status == 200, answer.body
        assert answer.json["records_rejected"] == 0, answer.body

    async def upload(self, key: str, body: Any, media_type: str = "image/png", **query: object) -> dict[str, Any]:
        """Upload for the record `key` of `notes`; the reference to it."""
        named = {"connector_id": self.id, "stream": "notes", "record_key": key, "mime_type": media_type, **query}
        answer = await self.api.call("POST", "/v1/blobs", named, body=body)
        assert answer.status == 200, answer.body
        return {name: value for name, value in answer.json.items() if name != "object"}

    async def page(self, stream: str, **query: object) -> Answer:
        return await self.api.get(f"/v1/streams/{part(stream)}/records", connector_id=self.id, **query)

    async def one(self, stream: str, key: str, **query: object) -> Answer:
        return await self.api.get(f"/v1/streams/{part(stream)}/records/{part(key)}", connector_id=self.id, **query)

    async def pages(self, stream: str, **query: object) -> list[list[str]]:
        """The keys of every page, following the cursors."""
        pages: list[list[str]] = []
        cursor: dict[str, object] = {}
        while True:
            answer = await self.page(stream, **query, **cursor)
            assert answer.status == 200, answer.body
            pages.append([each["id"] for each in answer.data])
            assert answer.json["has_more"] == ("next_cursor" in answer.json)
            if not answer.json["has_more"]:
                return pages
            cursor = {"cursor": answer.json["next_cursor"]}

    async def spell(self, stream: str, key: str, raw_data: bytes) -> Answer:
        """Ingest one line whose data is this very text."""
        line = b'{"key":' + json.dumps(key).encode() + b',"emitted_at":"2026-01-01T00:00:00Z","data":' + raw_data + b"}"
        return await self.ingest(stream, line)


def note(key: str, at: str | None = None, **data: Any) -> dict[str, Any]:
    """A line of the streams `notes` and `log`."""
    moment = {} if at is None else {"at": at}
    return {"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": {"id": key, **moment, **data}}


def deletion(key: str, **data: Any) -> dict[str, Any]:
    return {"key": key, "op": "delete", "emitted_at": "2026-01-02T00:00:00Z", "data": data}


def refused(answer: Answer, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """Check that this is the contract's error; gives its `error` object."""
    assert answer.status == status, (answer.status, answer.body[:500])
    assert answer.headers["Content-Type"].startswith("application/json")
    error: dict[str, Any] = answer.json["error"]
    assert error["code"] == code, error
    assert error["type"] == TYPES.get(status, error["type"])
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["request_id"] == answer.headers["Request-Id"]
    if param is not None:
        assert error["param"] == param
    return error


def fresh_name() -> str:
    """The id of a connector that nothing else uses."""
    return f"https://connectors.example/{secrets.token_hex(8)}"
