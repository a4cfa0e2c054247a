"""A process that does everything a server does over HTTP while one call to the operating system fails, round by round.

    python -m tests.faults.everything DATA ERRNO SPAN MOST SEED

Each round is the number of the call that fails, with the `SPAN - 1` that follow it: up to MOST of those that a round
without a fault has, as SEED says. After each, the fault is gone: what was acknowledged must be there, one collection
must leave nothing over, `doctor` must find nothing. What went wrong is printed as JSON, with how many calls a round
without a fault has, how many rounds there were, and how many calls failed.
"""

import asyncio
import hashlib
import itertools
import json
import logging
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from blobstore.errors import BlobError
from blobstore.findings import Severity
from records.errors import RecordError
from records.store import RecordStore
from records.upkeep import Schedule
from server.app import make_app
from server.config import Config
from server.run import listening
from tests.fakes.at_rest import look_once
from tests.fakes.faults import NEVER, Faults
from tools.doctor import Examination
from tools.opening import Opening, configure

NDJSON = {"Content-Type": "application/x-ndjson"}
SMALL, BIG = b"a letter ", b"a photograph " * 120_000
DELETED = json.dumps({"key": "1", "op": "delete", "emitted_at": "2026-01-02T00:00:00Z"}) + "\n"
REFUSED = {503: "temporarily_unavailable", 507: "insufficient_storage"}
STREAMS = [
    {
        "name": "files",
        "semantics": "mutable_state",
        "primary_key": ["id"],
        "schema": {"type": "object", "properties": {"id": {"type": "string"}, "blob_ref": {"type": "object"}}},
    }
]
SELDOM = Schedule(drain=1e6, collect=1e6, scrub_every=1e6, forget_every=1e6, checkpoint_every=1e6)
"""Upkeep is asked for where it belongs, so that each round makes the same calls."""


@dataclass
class Kept:
    """What was acknowledged in one round, by connector."""

    blobs: dict[str, str] = field(default_factory=dict)
    records: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    erased: bool = False
    tokens: list[str] = field(default_factory=list)


class Round:
    """One round: the same calls each time, on connectors of its own."""

    def __init__(self, number: int, url: str, token: str, session: aiohttp.ClientSession, store: RecordStore) -> None:
        self._url = url
        self._token = token
        self._session = session
        self._store = store
        self._staying, self._going = f"staying{number}", f"going{number}"
        self._salt = f"{number}".encode()
        self.kept = {self._staying: Kept(), self._going: Kept()}
        self.wrong: list[str] = []
        self._registered: set[str] = set()

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON. A refusal is (0, None) where it is one that a failing disk explains."""
        headers = {"Authorization": f"Bearer {options.pop('token', self._token)}", **options.pop("headers", {})}
        async with self._session.request(method, self._url + path, headers=headers, **options) as answer:
            body = await answer.read()
        if answer.status < 400:
            told = json.loads(body) if body and "json" in answer.content_type else hashlib.sha256(body).hexdigest()
            return answer.status, told
        code = json.loads(body)["error"]["code"]
        if REFUSED.get(answer.status) != code:
            self.wrong.append(f"{method} {path}: {answer.status} {body.decode()}")
        return 0, None

    async def everything(self) -> None:
        """Every kind of write that there is."""
        for connector in (self._staying, self._going):
            await self._fill(connector)
        await self._token_and_grant()
        await self._quietly(self._store.audit.drain_all())
        await self._quietly(self._store.collect(0.0))
        if self._going in self._registered:
            status, _ = await self.ask("DELETE", f"/v1/owner/connectors/{self._going}")
            self.kept[self._going].erased = status == 200

    async def _fill(self, connector: str) -> None:
        status, _ = await self.ask("POST", "/v1/connectors", json={"connector_id": connector, "streams": STREAMS})
        if not status:
            return
        self._registered.add(connector)
        small = await self._upload(connector, "1", SMALL + self._salt)
        await self._upload(connector, "2", SMALL + self._salt)
        big = await self._upload(connector, "3", BIG + self._salt, chunked=True)
        for key, blob in (("1", small), ("2", small), ("3", big)):
            await self._ingest(connector, key, blob)
        await self._delete(connector, "1", "POST", f"/v1/ingest/files?connector_id={connector}", DELETED)
        await self._delete(connector, "2", "DELETE", f"/v1/streams/files/records/2?connector_id={connector}")
        await self.ask("PUT", f"/v1/state/{connector}", json={"state": {"files": {"cursor": 1}}})

    async def _upload(self, connector: str, key: str, content: bytes, *, chunked: bool = False) -> str | None:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(content), 300_000):
                yield content[start : start + 300_000]

        query = f"connector_id={connector}&stream=files&record_key={key}"
        status, blob = await self.ask("POST", f"/v1/blobs?{query}", data=pieces() if chunked else content)
        if not status:
            return None
        self.kept[connector].blobs[key] = blob["blob_id"]
        return str(blob["blob_id"])

    async def _ingest(self, connector: str, key: str, blob: str | None) -> None:
        data = {"id": key, **({} if blob is None else {"blob_ref": {"blob_id": blob, "mime_type": "text/plain"}})}
        line = json.dumps({"key": key, "data": data, "emitted_at": "2026-01-01T00:00:00Z"})
        status, report = await self.ask(
            "POST", f"/v1/ingest/files?connector_id={connector}", data=line + "\n", headers=NDJSON
        )
        if status and report["records_accepted"] != 1:
            self.wrong.append(f"a line was rejected: {report}")
        elif status:
            self.kept[connector].records.add(key)

    async def _delete(self, connector: str, key: str, method: str, path: str, line: str | None = None) -> None:
        kept = self.kept[connector]
        kept.records.discard(key)  # from here on both is right, until it is acknowledged
        status, _ = await self.ask(method, path, **({} if line is None else {"data": line, "headers": NDJSON}))
        if status:
            kept.gone.add(key)

    async def _token_and_grant(self) -> None:
        try:
            self.kept[self._staying].tokens.append(await self._store.access.create_owner_token("ada", None))
        except (BlobError, RecordError) as error:
            self._expected(error)
        if self._staying not in self._registered:
            return
        grant = {
            "client_id": "app",
            "connector_id": self._staying,
            "streams": [{"name": "files", "fields": ["id", "blob_ref"]}],
        }
        status, made = await self.ask("POST", "/v1/owner/grants", json=grant)
        if status:
            self.kept[self._staying].tokens.append(made["token"])
            await self.ask("GET", "/v1/streams/files/records", token=made["token"])

    async def _quietly(self, work: Any) -> None:
        """Upkeep: its failures are for the log, and it tries again."""
        try:
            await work
        except Exception as error:
            self._expected(error)

    def _expected(self, error: Exception) -> None:
        if not isinstance(error, BlobError):
            self.wrong.append(repr(error))

    async def check(self) -> None:
        """The fault is gone: nothing acknowledged is lost, nothing erased is there."""
        for connector, kept in self.kept.items():
            if connector == self._going:
                if kept.erased:
                    await self._is_erased(connector)
                continue
            for key in kept.records:
                await self._must("GET", f"/v1/streams/files/records/{key}?connector_id={connector}")
            for key in kept.gone:
                async with self._session.get(
                    f"{self._url}/v1/streams/files/records/{key}?connector_id={connector}",
                    headers={"Authorization": f"Bearer {self._token}"},
                ) as answer:
                    if answer.status != 404:
                        self.wrong.append(f"record {key} of {connector} is back")
            for key, blob in kept.blobs.items():
                if key in kept.records:
                    content = (BIG if key == "3" else SMALL) + self._salt
                    if await self._must("GET", f"/v1/blobs/{blob}") != hashlib.sha256(content).hexdigest():
                        self.wrong.append(f"blob {blob} has other bytes")
            for token in kept.tokens:
                await self._must("GET", "/v1/streams", token=token)

    async def _must(self, method: str, path: str, **options: Any) -> Any:
        status, told = await self.ask(method, path, **options)
        if not status:
            self.wrong.append(f"lost: {method} {path}")
        return told

    async def _is_erased(self, connector: str) -> None:
        _, listed = await self.ask("GET", "/v1/owner/connections")
        if any(each["connector_id"] == connector for each in listed["data"]):
            self.wrong.append(f"{connector} was erased and has a connection")

    async def leave(self) -> None:
        """Erase what is left: the next round begins as this one did."""
        for connector in self.kept:
            async with self._session.delete(
                f"{self._url}/v1/owner/connectors/{connector}", headers={"Authorization": f"Bearer {self._token}"}
            ) as answer:
                if answer.status not in (200, 404):
                    self.wrong.append(f"cannot be erased: {connector}: {answer.status} {await answer.text()}")


OF_A_LIVING_SERVER = ("host_", "lead_")
"""How the locks are called that a server holds for as long as it runs."""


class Log(logging.Handler):
    """Keeps what has no place in a log: errors that nobody foresaw."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, BlobError):
            self.found.append(f"{record.getMessage()}: {error!r}")


async def nothing_is_left(store: RecordStore) -> list[str]:
    """After everything was erased and collected."""
    staged = [f"staged: {each}" for each in store.blobs.staging.files()]
    objects = [f"object: {each}" for each in store.blobs.backend.list()]
    leases = [f"lease: {each}" for each in await store.blobs.catalogue.leases()]
    volumes = [f"volume: {each}" for each in await store.blobs.catalogue.volumes()]
    names = [path.name for path in (store.directory / "locks").iterdir()]
    locks = [f"lock: {name}" for name in names if not name.startswith(OF_A_LIVING_SERVER)]
    return staged + objects + leases + volumes + locks


async def examined(data: Path) -> list[str]:
    """What doctor finds."""
    found = [finding async for finding, _ in Examination(Opening(data, None, None), False, repair=False).findings()]
    return [f"doctor: {each.kind} {each.subject}: {each.message}" for each in found if each.severity != Severity.NOTE]


@asynccontextmanager
async def served(data: Path) -> AsyncIterator[tuple[str, str, RecordStore]]:
    configure(Opening(data, None, None))
    store = await RecordStore.open(data)
    try:
        token = await store.access.create_owner_token("ada", None)
        config = Config(port=0)
        async with listening(make_app(store, config, SELDOM), config) as url:
            yield url, token, store
    finally:
        await store.close()


async def run(data: Path, error: int, span: int, most: int, seed: str) -> dict[str, Any]:
    look_once()
    log = Log()
    logging.getLogger().addHandler(log)
    async with served(data) as (url, token, store), aiohttp.ClientSession() as session:
        faults = Faults(data)
        report: dict[str, Any] = {"calls": 0, "rounds": 0, "hits": 0, "wrong": {}}
        rounds = [0, 0]  # the first makes what the others find
        for number in itertools.count():
            if number == 2:
                first = range(1, faults.calls if span == 1 else faults.calls // 2)
                rounds += random.Random(seed).sample(first, min(most, len(first)))
            if number == len(rounds):
                break
            nth = rounds[number]
            each = Round(number, url, token, session, store)
            with faults.failing(*((nth, nth + span - 1) if nth else NEVER), error):
                await each.everything()
            try:
                await store.collect(0.0)
            except Exception as failure:
                each.wrong.append(f"cannot be collected when the fault is gone: {failure!r}")
            await each.check()
            each.wrong += await examined(data)
            await each.leave()
            await store.collect(0.0)
            each.wrong += await nothing_is_left(store)
            each.wrong += log.found
            log.found.clear()
            if each.wrong:
                report["wrong"][f"{nth} of {faults.calls}: {faults.what}"] = each.wrong
            report["calls"] = faults.calls if not nth else report["calls"]
            report["hits"] += faults.hits
        report["rounds"] = len(rounds) - 2
    return report


if __name__ == "__main__":
    folder, code, width, count, told = sys.argv[1:]
    print(json.dumps(asyncio.run(run(Path(folder), int(code), int(width), int(count), told))))
