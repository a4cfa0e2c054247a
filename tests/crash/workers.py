"""Clients that write while the servers under them are killed, and note only what was acknowledged."""

import asyncio
import hashlib
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp

from tests.crash.acknowledged import Acknowledged, Blob, Content, Place, mark
from tests.crash.fleet import Fleet

T = TypeVar("T")

STREAMS = ("files", "notes")
KEYS = [f"k{number}" for number in range(12)]
KINDS = {"/v1/ingest": "application/x-ndjson", "/v1/blobs": "application/octet-stream"}
SIZES = [0] * 4 + [5_000] * 3 + [100_000]
ROUND = 40
"""Uploads after which other bytes are shared: those of before are forgotten by most, and collected."""


class CutOffError(Exception):
    """The server was killed: whether it did what it was asked for, nobody was told."""


class OneServer:
    """A server that must not die."""

    def __init__(self, url: str) -> None:
        self.urls = [url]

    async def died(self, url: str) -> None:
        """A connection to it was broken off."""
        raise AssertionError(f"{url} broke a connection off")


class Client:
    """Asks one of the servers, whichever lives."""

    def __init__(
        self, session: aiohttp.ClientSession, fleet: Fleet | OneServer, token: str, rng: random.Random
    ) -> None:
        self._session = session
        self._fleet = fleet
        self._headers = {"Authorization": f"Bearer {token}"}
        self._rng = rng

    async def ask(self, method: str, path: str, *expected: int, data: bytes | None = None) -> tuple[int, bytes]:
        """Status and body. Raises `CutOffError`; any status but the expected ones is a failure."""
        while not self._fleet.urls:
            await asyncio.sleep(0.005)
        url = self._rng.choice(self._fleet.urls)
        kind = next((kind for start, kind in KINDS.items() if path.startswith(start)), "application/json")
        headers = {**self._headers, "Content-Type": kind}
        try:
            async with self._session.request(method, url + path, data=data, headers=headers) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, ConnectionError) as error:
            await self._fleet.died(url)
            raise CutOffError from error
        assert answer.status in expected, f"{method} {path}: {answer.status} {body.decode()[:500]}"
        assert answer.status != 503 or int(answer.headers["Retry-After"]) > 0, "it does not say when to come back"
        return answer.status, body


class Worker:
    """Writes to one connector of its own; shares some bytes with all others."""

    def __init__(self, client: Client, acknowledged: Acknowledged, rng: random.Random, connector: str) -> None:
        self.client = client
        self.acknowledged = acknowledged
        self.rng = rng
        self.connector = connector

    async def register(self) -> None:
        """Say which streams there are."""
        streams = [
            {
                "name": name,
                "semantics": "mutable_state",
                "primary_key": ["id"],
                "schema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
            }
            for name in STREAMS
        ]
        manifest = {"connector_id": self.connector, "version": "1", "display_name": "Crash", "streams": streams}
        await until_told(
            lambda: self.client.ask("POST", "/v1/connectors", 200, 201, data=json.dumps(manifest).encode())
        )

    async def upload(self, place: Place) -> Blob:
        """Bytes of a blob for a record; some have been uploaded by others at about this time."""
        unique = self.rng.random() < 0.6
        text = mark(self.rng) if unique else f"shared {self._round()} {self.rng.randrange(4)} "
        rest = self.rng if unique else random.Random(text)
        content = text.encode() + rest.randbytes(rest.choice(SIZES))
        return await until_told(lambda: self._upload(place, content, text if unique else None))

    async def put(self, places: Sequence[Place], contents: Sequence[Content | None]) -> None:
        """One batch; None deletes."""
        await until_told(lambda: self._put(places, contents))

    def query(self, instance: str | None, **more: str) -> str:
        """What names this connector, and an instance of it."""
        named = {} if instance is None else {"connector_instance_id": instance}
        return urlencode({"connector_id": self.connector, **named, **more})

    def _round(self) -> int:
        return sum(count.sent for count in self.acknowledged.blobs.values()) // ROUND

    async def _upload(self, place: Place, content: bytes, text: str | None) -> Blob:
        count = self.acknowledged.sending(self.acknowledged.blobs, self.connector)
        query = self.query(place.instance, stream=place.stream, record_key=place.key)
        _, body = await self.client.ask("POST", f"/v1/blobs?{query}", 200, data=content)
        count.acknowledged += 1
        self.acknowledged.kinds["upload"] += 1
        answer = json.loads(body)
        assert answer["sha256"] == hashlib.sha256(content).hexdigest()
        return Blob(answer["blob_id"], answer["sha256"], len(content), text)

    async def _put(self, places: Sequence[Place], contents: Sequence[Content | None]) -> None:
        lines = [_line(place, content) for place, content in zip(places, contents, strict=True)]
        deletes = sum(content is None for content in contents)
        puts = self.acknowledged.sending(self.acknowledged.puts, self.connector, len(lines) - deletes)
        deleted = self.acknowledged.sending(self.acknowledged.deletes, self.connector, deletes)
        for place, content in zip(places, contents, strict=True):
            self.acknowledged.known(place).trying(content)
        path = f"/v1/ingest/{places[0].stream}?{self.query(places[0].instance)}"
        _, body = await self.client.ask("POST", path, 200, data="\n".join(map(json.dumps, lines)).encode())
        answer = json.loads(body)
        assert (answer["records_accepted"], answer["rejections"]) == (len(lines), []), body
        for place, content in zip(places, contents, strict=True):
            self.acknowledged.known(place).acknowledged(content)
        puts.acknowledged += len(lines) - deletes
        deleted.acknowledged += deletes
        self.acknowledged.kinds["ingest"] += 1


class Uploader(Worker):
    """Uploads, and never sends a record: a claim alone keeps the bytes."""

    async def work(self) -> None:
        """For ever."""
        await self.register()
        uploads = self.acknowledged.uploads.setdefault(self.connector, {})
        while True:
            blob = await self.upload(Place(self.connector, None, "files", mark(self.rng)))
            uploads[blob.id] = blob


class Ingester(Worker):
    """Writes, rewrites and deletes records with blobs, and says how far it came."""

    async def work(self) -> None:
        """For ever."""
        await self.register()
        while True:
            stream = self.rng.choice(STREAMS)
            keys = self.rng.sample(KEYS, self.rng.choice([1, 1, 3]))
            places = [Place(self.connector, None, stream, key) for key in keys]
            await self.put(places, [await self._content(place) for place in places])
            await until_told(self._keep_state)

    async def _content(self, place: Place) -> Content | None:
        there = None not in self.acknowledged.known(place).allowed  # to delete nothing is no mutation
        if there and self.rng.random() < 0.2:
            return None
        blobs = [await self.upload(place) for _ in range(self.rng.choice([0, 1, 1, 2]))]
        return Content(mark(self.rng), tuple(blobs))

    async def _keep_state(self) -> None:
        cursor = mark(self.rng)
        states = self.acknowledged.states.setdefault(self.connector, {None})
        states.add(cursor)
        body = json.dumps({"state": {"files": cursor}}).encode()
        await self.client.ask("PUT", f"/v1/state/{self.connector}", 200, data=body)
        self.acknowledged.states[self.connector] = {cursor}
        self.acknowledged.kinds["state"] += 1


class Granter(Worker):
    """Grants what an ingester writes, and revokes some of it."""

    async def work(self) -> None:
        """For ever."""
        await self.register()
        grants = self.acknowledged.grants
        stream = {"name": "files", "fields": ["id"]}
        wanted = json.dumps({"client_id": "app", "connector_id": self.connector, "streams": [stream]}).encode()
        while True:
            _, body = await until_told(lambda: self.client.ask("POST", "/v1/owner/grants", 201, data=wanted))
            grant = json.loads(body)["grant_id"]
            grants[grant] = {"active"}
            self.acknowledged.kinds["grant"] += 1
            if self.rng.random() < 0.5:
                grants[grant] = {"active", "revoked"}
                path = f"/v1/owner/grants/{grant}/revoke"
                await until_told(partial(self.client.ask, "POST", path, 200, data=b""))
                grants[grant] = {"revoked"}
                self.acknowledged.kinds["revocation"] += 1
            await asyncio.sleep(0.3)  # others write more often


async def until_told(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again until a server lives long enough to answer."""
    while True:
        try:
            return await ask()
        except CutOffError:
            continue


def _line(place: Place, content: Content | None) -> dict[str, Any]:
    line: dict[str, Any] = {"key": place.key, "emitted_at": "2026-01-01T00:00:00Z"}
    if content is None:
        return line | {"op": "delete"}
    refs = [
        {"blob_ref": {"blob_id": blob.id, "mime_type": "text/plain", "sha256": blob.sha256, "size_bytes": blob.size}}
        for blob in content.blobs
    ]
    return line | {"data": {"id": place.key, "text": content.mark, "attachments": refs}}
