"""`serve --workers`: real workers on one directory are killed and replaced while clients go on."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from records.store import RecordStore
from tests.conftest import SEED, SOAK
from tests.fakes.topologies import DURABLE, Storage
from tests.test_server.test_connection import MANIFEST


@asynccontextmanager
async def served(data: Path, storage: Storage, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A supervisor with two workers, and its address."""
    command = (sys.executable, "-m", "tools", "serve", "--data", str(data), *storage.options)
    process = await asyncio.create_subprocess_exec(
        *command, "--port", "0", "--workers", "2", *options, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield process, (await process.stdout.readline()).decode().removeprefix("serving on ").strip()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def token(data: Path, storage: Storage) -> str:
    store = await RecordStore.open(data, topology=storage.topology, database_url=storage.database_url)
    created = await store.access.create_owner_token("ada", None)
    await store.close()
    return created


def workers(process: asyncio.subprocess.Process) -> list[int]:
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


@pytest.mark.long
@pytest.mark.parametrize("storage", DURABLE if SOAK else [random.Random(SEED).choice(DURABLE)], ids=str, indirect=True)
async def test_clients_go_on_while_workers_are_killed_and_replaced(
    tmp_path: Path, storage: Storage, sized: Callable[[int, int], int]
) -> None:
    data = tmp_path / "data"
    bearer = {"Authorization": f"Bearer {await token(data, storage)}"}
    async with (
        served(data, storage) as (process, url),
        # A connection for each request: one that is kept may be closed while it is written to.
        aiohttp.ClientSession(url, headers=bearer, connector=aiohttp.TCPConnector(force_close=True)) as session,
    ):
        await session.post("/v1/connectors", json=MANIFEST)
        written = await write(session, 0)
        for _ in range(sized(0, 3)):
            old = workers(process)
            process.send_signal(signal.SIGHUP)
            while set(workers(process)) & set(old) or len(workers(process)) != 2:
                written += await write(session, written)  # any error here is a refused or broken request
        for killed in workers(process)[: sized(1, 2)]:
            os.kill(killed, signal.SIGKILL)
            while killed in workers(process) or len(workers(process)) != 2:
                await asyncio.sleep(0.01)
            written += await write(session, written)
        async with session.get("/v1/streams") as response:
            assert (await response.json())["data"][0]["record_count"] == written
        async with session.get("/metrics") as response:  # whichever worker this is, it tells of all, the dead included
            text = await response.text()
            assert f'blobstore_ingest_lines_total{{outcome="accepted"}} {float(written)}\n' in text
        process.terminate()
        assert await process.wait() == 0


async def write(session: aiohttp.ClientSession, number: int) -> int:
    """One record; how many that are."""
    line = json.dumps({"key": str(number), "emitted_at": "2026-01-01T00:00:00Z", "data": {"id": str(number)}})
    headers = {"Content-Type": "application/x-ndjson"}
    async with session.post("/v1/ingest/notes?connector_id=c", data=line, headers=headers) as response:
        assert response.status == 200, await response.text()
        return int((await response.json())["records_accepted"])


async def test_what_is_wrong_is_told_once_and_nobody_tries_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "central.db").write_bytes(b"no database" * 100)
    command = (sys.executable, "-m", "tools", "serve", "--data", str(data), "--port", "0", "--workers", "2")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert errors.count(b"secret of the data directory is missing") == 1, errors
    assert b"a worker ended with exit code 1 before it was ready" in errors
