"""What a connector says to a server: what it will bring, bytes, records, and how far it has come."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from blobstore.client import possession
from blobstore.client.answers import IngestAnswer, Rejection, StateAnswer, Stored
from blobstore.client.body import CountedBody
from blobstore.client.calls import JSON, Calls, decode, part
from blobstore.client.content import Content, Opener, of_file
from blobstore.client.errors import NotUnderstood, OtherBytes
from blobstore.client.resuming import NoResuming, Resuming

MAX_LINE = 16 << 20
"""Bytes; the server takes no longer NDJSON line."""

RESUMED = 64 << 20
"""Bytes; uploads of so many go on where the connection broke, smaller ones are sent anew: that takes fewer requests."""

_BATCH = 10_000
"""Lines of one request: the server tells of so many rejections."""

_BYTES = {"Content-Type": "application/octet-stream"}
_LINES = {"Content-Type": "application/x-ndjson"}


def line(key: str, data: Mapping[str, Any], emitted_at: str) -> bytes:
    """A record as a line for `Connector.ingest`; `emitted_at` is a date-time like 2026-01-31T12:00:00Z."""
    return msgspec.json.encode({"key": key, "data": data, "emitted_at": emitted_at})


def deletion(key: str, emitted_at: str) -> bytes:
    """The line that says that a record is gone where it came from."""
    return msgspec.json.encode({"key": key, "data": {}, "emitted_at": emitted_at, "op": "delete"})


class Connector:
    """One connector instance of the token's owner; where none is named, the default one. Calls may run at once.

    Each call is repeated while that may help, and raises `ClientError` when it gives up. What returned is durable, and
    everything may be sent again.
    """

    def __init__(self, calls: Calls, connector_id: str, instance_id: str | None) -> None:
        self._calls = calls
        self._connector_id = connector_id
        self._instance = {"connector_instance_id": instance_id} if instance_id else {}

    async def register(self, manifest: Mapping[str, Any]) -> None:
        """Declare the connector's streams, before anything else is written; again is harmless."""
        body = msgspec.json.encode(manifest)
        await self._calls.call("POST", "/v1/connectors", {}, JSON, lambda: body)

    async def state(self) -> dict[str, Any]:
        """How far it has come, by stream, as it was saved; empty when nothing was."""
        answer = await self._calls.call("GET", self._state_path, self._instance)
        return decode(answer.body, StateAnswer).state

    async def save_state(self, state: Mapping[str, Any]) -> None:
        """Set the state of these streams and leave that of others; not concurrent with itself."""
        body = msgspec.json.encode({"state": state})
        await self._calls.call("PUT", self._state_path, self._instance, JSON, lambda: body)

    async def upload(
        self,
        content: Content | Path,
        *,
        stream: str,
        record_key: str,
        mime_type: str = "application/octet-stream",
        json_path: str | None = None,
        size: int | None = None,
        offer: bool = False,
    ) -> Stored:
        """Store bytes and claim them for a record that comes within seven days and names them in a `blob_ref`.

        `size` is their exact number where it is known of an opener; of a file and of bytes it is. The content is read
        once for each try, and much of it (`RESUMED`) sent on from where a connection broke. What the server stored is
        compared with what was sent.

        With `offer` nothing is sent where another connector of the owner has brought these bytes: then it is enough to
        show that they are here. The content is read once more for that.
        """
        if isinstance(content, Path):
            size = (await asyncio.to_thread(content.stat)).st_size
            content = of_file(content)
        query = self._query(stream=stream, record_key=record_key, mime_type=mime_type)
        if json_path is not None:
            query["json_path"] = json_path
        if offer and (claimed := await possession.claim(self._calls, self._query(), query, content)) is not None:
            return claimed
        if isinstance(content, bytes):
            whole = content  # as it is: nothing to be opened, counted or closed
            answer = await self._calls.call("POST", "/v1/blobs", query, _BYTES, lambda: whole)
            return _same(decode(answer.body, Stored), len(whole), hashlib.sha256(whole).hexdigest())
        if size is not None and size >= RESUMED and not self._calls.is_without_resuming:
            try:
                sent = await Resuming(self._calls, query, content, size).run()
                return Stored(sent.blob_id, sent.sha256, size, mime_type)
            except NoResuming:
                self._calls.is_without_resuming = True
        return await self._upload_at_once(content, size, query)

    async def _upload_at_once(self, content: Opener, size: int | None, query: Mapping[str, str]) -> Stored:
        bodies: list[CountedBody] = []

        def body() -> CountedBody:
            bodies.append(CountedBody(content, size))
            return bodies[-1]

        answer = await self._calls.call("POST", "/v1/blobs", query, _BYTES, body)
        return _same(decode(answer.body, Stored), bodies[-1].size, await bodies[-1].sha256())

    async def have(self, blob_ids: Iterable[str]) -> set[str]:
        """Which of these blobs a record of this connector may name now, without an upload; it binds nothing."""
        return await possession.have(self._calls, self._query(), blob_ids)

    async def ingest(self, stream: str, lines: Iterable[bytes]) -> list[Rejection]:
        """Store records, one JSON text without newlines each (`line`, `deletion`); gives what was refused, in order."""
        rejected: list[Rejection] = []
        for first, batch in _batches(lines):
            rejected += await self._ingest(stream, first, batch)
        return rejected

    async def _ingest(self, stream: str, first: int, lines: Sequence[bytes]) -> list[Rejection]:
        kept = [index for index, line in enumerate(lines) if len(line) <= MAX_LINE]
        rejected = [
            Rejection(first + index, "payload_too_large", f"the line has {len(line)} bytes; {MAX_LINE} are taken")
            for index, line in enumerate(lines)
            if len(line) > MAX_LINE
        ]
        if kept:
            body = b"\n".join(lines[index] for index in kept) + b"\n"
            path = f"/v1/ingest/{part(stream)}"
            answer = await self._calls.call("POST", path, self._query(), _LINES, lambda: body)
            rejected += _rejections(decode(answer.body, IngestAnswer), first, kept)
        return sorted(rejected, key=lambda rejection: rejection.index)

    @property
    def _state_path(self) -> str:
        return f"/v1/state/{part(self._connector_id)}"

    def _query(self, **parameters: str) -> dict[str, str]:
        return {"connector_id": self._connector_id, **self._instance, **parameters}


def _batches(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The lines in requests of a good size, and at which of all each begins."""
    rest, first = iter(lines), 0
    while batch := list(islice(rest, _BATCH)):
        yield first, batch
        first += len(batch)


def _same(said: Stored, size: int, sha256: str) -> Stored:
    if (said.size_bytes, said.sha256) != (size, sha256):
        raise OtherBytes(
            f"the server stored other bytes than were sent: {said.size_bytes} bytes with SHA-256 {said.sha256}, "
            f"not {size} with {sha256}; look for a proxy that rewrites bodies"
        )
    return said


def _rejections(answer: IngestAnswer, first: int, sent: Sequence[int]) -> list[Rejection]:
    """The rejections with indices into all lines, of which those at `first` + `sent` went out."""
    if answer.records_attempted != len(sent):
        raise NotUnderstood(
            f"the server saw {answer.records_attempted} of {len(sent)} lines; look for a proxy that cuts"
        )
    return [Rejection(first + sent[each.input_index], each.code, each.message) for each in answer.rejections]
