"""A server, as one token sees it."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from blobstore.client import pages, saving
from blobstore.client.answers import Record
from blobstore.client.calls import ATTEMPTS, JSON, Calls, decode, part
from blobstore.client.check import Check
from blobstore.client.connector import Connector
from blobstore.client.downloads import OpenBlob
from blobstore.client.pages import Changes
from blobstore.client.session import new_session

_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Client:
    """What an owner's token may, and what a client's may of it (reading). Calls may run at once.

    `connector` and `instance` narrow what is read; where none is named, all that the token sees is looked at. Each call
    is repeated while that may help, and raises `ClientError` when it gives up.
    """

    def __init__(self, session: aiohttp.ClientSession, server: str, token: str | None, attempts: int) -> None:
        self._calls = Calls(session, server, token, attempts)

    def connector(self, connector_id: str, instance_id: str | None = None) -> Connector:
        """What a connector says."""
        return Connector(self._calls, connector_id, instance_id)

    async def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Any:
        """Any route of docs/http.md that speaks JSON: what it answers, None where that is nothing.

        `path` is percent-encoded already. A POST is sent once, for what it does may not be harmless twice.
        """
        headers = JSON if body is not None else {}
        content = msgspec.json.encode(body) if body is not None else None
        again = method in _REPEATABLE
        answer = await self._calls.call(method, path, query or {}, headers, lambda: content, again=again)
        return decode(answer.body, object) if answer.body else None

    async def connectors(self) -> list[dict[str, Any]]:
        """Connectors with their streams and counts."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/v1/connectors"))["data"]
        return found

    async def streams(self, *, connector: str | None = None, instance: str | None = None) -> list[dict[str, Any]]:
        """Streams with their counts."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/v1/streams", _selector(connector, instance)))["data"]
        return found

    async def record(
        self, stream: str, key: str, *, connector: str | None = None, instance: str | None = None
    ) -> Record:
        """One record by its key. Raises `NotFound`."""
        path = f"/v1/streams/{part(stream)}/records/{part(key)}"
        return decode((await self._calls.call("GET", path, _selector(connector, instance))).body, Record)

    def records(
        self,
        stream: str,
        *,
        connector: str | None = None,
        instance: str | None = None,
        order: str = "asc",
        fields: Sequence[str] = (),
        **more: str,
    ) -> AsyncGenerator[Record, None]:
        """The records of a stream in the order of its cursor field, page by page.

        `more` are parameters of docs/http.md by their names, such as `view`, or `**{"filter[sender]": "ada"}`.
        """
        query = {**_selector(connector, instance), "order": order, **more}
        if fields:
            query["fields"] = ",".join(fields)
        return pages.records(self._calls, stream, query)

    def changes(
        self, stream: str, since: str = pages.BEGINNING, *, connector: str | None = None, instance: str | None = None
    ) -> Changes:
        """What changed in a stream since an earlier `Changes.token`. Raises `Expired` where that is too long ago."""
        return Changes(self._calls, stream, _selector(connector, instance), since)

    def events(self, after: int = 0) -> AsyncGenerator[dict[str, Any], None]:
        """The audit log beyond an event, oldest first."""
        return pages.listing(self._calls, "/v1/owner/spine", {"after": str(after)}, None)

    def disclosures(self, after: int = 0, **about: str) -> AsyncGenerator[dict[str, Any], None]:
        """What clients were shown or refused, oldest first; `about` is a `grant`, `connector` or `blob`."""
        return pages.listing(self._calls, "/v1/owner/disclosures", {"after": str(after), **about}, None)

    def erasures(self) -> AsyncGenerator[dict[str, Any], None]:
        """Erasures with their receipts, newest first."""
        return pages.listing(self._calls, "/v1/owner/erasures", {}, "erasure_id")

    def open(
        self,
        blob_id: str,
        start: int = 0,
        stop: int | None = None,
        *,
        connector: str | None = None,
        instance: str | None = None,
    ) -> OpenBlob:
        """A blob as a stream, or what it has from byte `start` on and before `stop`; enter it, then iterate.

        A connection that breaks is gone on from. Of a whole blob the digest is checked, at the end.
        """
        if start < 0 or (stop is not None and stop <= start):
            raise ValueError("a range has one byte at least, and begins at 0 or later")
        check = Check.of(blob_id) if start == 0 and stop is None else None
        return OpenBlob(self._calls, blob_id, _selector(connector, instance), start, stop, check)

    async def save(self, blob_id: str, path: Path, *, connector: str | None = None, instance: str | None = None) -> int:
        """Write a blob to a file, durably and only if its digest is right; gives its size.

        Until then it is `path` with `.part` at its end, where a later call goes on, also of another process.
        """
        return await saving.save(self._calls, blob_id, _selector(connector, instance), path)


def _selector(connector: str | None, instance: str | None) -> dict[str, str]:
    given = {"connector_id": connector, "connector_instance_id": instance}
    return {name: value for name, value in given.items() if value is not None}


@asynccontextmanager
async def connect(server: str, token: str | None, *, attempts: int = ATTEMPTS) -> AsyncIterator[Client]:
    """A client of the server at an address like http://127.0.0.1:8080; `attempts` bounds the tries of each call.

    Raises `NotAnAddress`. Nothing is sent before the first call, and the token to nobody else.
    """
    async with new_session(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Client(session, server, token, attempts)
