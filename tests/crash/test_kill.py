"""`kill -9` at any moment of uploads, ingests and erasures: what was acknowledged is there, debris is collected."""

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

OWNER = "crash"
STREAM = {
    "name": "files",
    "semantics": "mutable_state",
    "primary_key": ["id"],
    "schema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
}


def blobstore(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@dataclass
class Ledger:
    """What the server acknowledged, by connector: bytes by digest, and the digest that each record names."""

    blobs: dict[str, dict[str, str]] = field(default_factory=dict)
    records: dict[str, dict[str, str]] = field(default_factory=dict)
    erasures: int = 0

    def forget(self, connector: str) -> None:
        self.blobs.pop(connector, None)
        self.records.pop(connector, None)


@asynccontextmanager
async def running(data: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools", "serve", "--data", str(data), "--port", "0"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    assert line, "the server did not start"
    try:
        yield process, line.split()[-1].decode()
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()


class Client:
    """Writes to one connector until the server is gone, noting only what was acknowledged."""

    def __init__(self, session: aiohttp.ClientSession, url: str, connector: str, ledger: Ledger, rng: random.Random):
        self._session, self._url, self._rng = session, url, rng
        self._connector = connector
        self._blobs = ledger.blobs.setdefault(connector, {})
        self._records = ledger.records.setdefault(connector, {})

    async def register(self) -> None:
        manifest = {"connector_id": self._connector, "version": "1", "display_name": "Crash", "streams": [STREAM]}
        async with self._session.post(self._url + "/v1/connectors", json=manifest) as answer:
            assert answer.status in (200, 201), await answer.text()

    async def write_for_ever(self) -> None:
        while True:
            key = f"k{self._rng.randrange(10**9)}"
            content = self._rng.randbytes(self._rng.choice([0, 10, 5_000, 300_000]))
            query = urlencode({"connector_id": self._connector, "stream": "files", "record_key": key})
            async with self._session.post(f"{self._url}/v1/blobs?{query}", data=content) as answer:
                assert answer.status == 200, await answer.text()
                blob = await answer.json()
            self._blobs[blob["blob_id"]] = hashlib.sha256(content).hexdigest()
            ref = {name: blob[name] for name in ("blob_id", "mime_type", "size_bytes", "sha256")}
            line = {"key": key, "data": {"id": key, "blob_ref": ref}, "emitted_at": "2026-01-01T00:00:00Z"}
            await self._ingest(key, blob["blob_id"], line)

    async def _ingest(self, key: str, blob_id: str, line: object) -> None:
        query = urlencode({"connector_id": self._connector})
        headers = {"Content-Type": "application/x-ndjson"}
        async with self._session.post(
            f"{self._url}/v1/ingest/files?{query}", data=json.dumps(line).encode() + b"\n", headers=headers
        ) as answer:
            assert answer.status == 200, await answer.text()
            assert (await answer.json())["records_accepted"] == 1
        self._records[key] = blob_id


async def erase_for_ever(session: aiohttp.ClientSession, url: str, ledger: Ledger, rng: random.Random) -> None:
    """Fill a connector, erase it, begin again; an erasure that was not acknowledged says nothing of what is left."""
    while True:
        ledger.forget("doomed")
        client = Client(session, url, "doomed", ledger, rng)
        await client.register()
        for _ in range(3):
            with suppress(TimeoutError):
                await asyncio.wait_for(client.write_for_ever(), rng.uniform(0.02, 0.2))
        ledger.forget("doomed")
        async with session.delete(url + "/v1/owner/connectors/doomed") as answer:
            assert answer.status in (200, 202), await answer.text()
            ledger.erasures += answer.status == 200


Choose = Callable[[list[str]], list[str]]


def some(rng: random.Random) -> Choose:
    return lambda names: rng.sample(names, min(20, len(names)))


async def check(session: aiohttp.ClientSession, url: str, ledger: Ledger, choose: Choose) -> None:
    """What was acknowledged is there, to the byte."""
    for connector, records in ledger.records.items():
        for key in choose(sorted(records)):
            async with session.get(f"{url}/v1/streams/files/records/{key}?connector_id={connector}") as answer:
                assert answer.status == 200, f"acknowledged record {key} is lost"
                assert (await answer.json())["data"]["blob_ref"]["blob_id"] == records[key]
    for blobs in ledger.blobs.values():
        for blob_id in choose(sorted(blobs)):
            async with session.get(f"{url}/v1/blobs/{blob_id}") as answer:
                assert answer.status == 200, f"acknowledged blob {blob_id} is lost"
                assert hashlib.sha256(await answer.read()).hexdigest() == blobs[blob_id]


async def one_life(data: Path, token: str, ledger: Ledger, rng: random.Random) -> None:
    """Start, check what earlier lives acknowledged, write with several clients, be killed."""
    headers = {"Authorization": f"Bearer {token}"}
    async with running(data) as (process, url), aiohttp.ClientSession(headers=headers) as session:
        await check(session, url, ledger, some(rng))
        writers = [Client(session, url, f"kept-{index}", ledger, rng) for index in range(2)]
        for writer in writers:
            await writer.register()
        tasks = [asyncio.create_task(writer.write_for_ever()) for writer in writers]
        tasks.append(asyncio.create_task(erase_for_ever(session, url, ledger, rng)))
        await asyncio.sleep(rng.uniform(0.02, 1.2))
        os.kill(process.pid, signal.SIGKILL)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, aiohttp.ClientError | ConnectionError), repr(outcome)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_what_was_acknowledged_survives_kill_9_at_any_moment(
    tmp_path: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    data, ledger = tmp_path / "data", Ledger()
    token = blobstore("token", "create", "--data", data, "--owner", OWNER).stdout.strip()
    for _ in range(sized(12, 200)):
        await one_life(data, token, ledger, rng)
        # What an erasure that was cut off has erased, and what not, nobody was told.
        ledger.forget("doomed")
    doctor = blobstore("doctor", "--data", data, "--deep", "--json")
    wrong = [finding for finding in json.loads(doctor.stdout) if finding["severity"] == "error"]
    assert (doctor.returncode, wrong) == (0, []), doctor.stderr
    assert blobstore("gc", "--data", data, "--grace", "0").returncode == 0
    doctor = blobstore("doctor", "--data", data, "--deep", "--json")
    left = [finding for finding in json.loads(doctor.stdout) if finding["severity"] != "note"]
    assert (doctor.returncode, left) == (0, []), "collection left debris"
    assert ledger.blobs, "nothing was ever acknowledged: the test proved nothing"
    async with (
        running(data) as (_, url),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
    ):
        await check(session, url, ledger, lambda names: names)
    print(f"{sum(map(len, ledger.blobs.values()))} blobs, {ledger.erasures} erasures acknowledged")
