"""The process: ready, draining, ended; and no bigger for a large body than for a small one."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from records.store import RecordStore
from tests.test_server.child import Child, serving

PROGRAM = """
import asyncio, sys
from pathlib import Path
from server.config import Config
from server.run import serve
asyncio.run(serve(Path(sys.argv[1]), Config(port=0, drain=float(sys.argv[2])), lambda url: print(url, flush=True)))
"""


@asynccontextmanager
async def child(directory: Path, drain: float = 5.0) -> AsyncIterator[Child]:
    store = await RecordStore.open(directory)
    token = await store.access.create_owner_token("ada", None)
    await store.close()
    async with serving(token, PROGRAM, str(directory), str(drain)) as server:
        yield server


async def ingest(server: Child, pieces: AsyncIterator[bytes]) -> dict[str, int]:
    async with server.session.post(
        "/v1/ingest/notes",
        params={"connector_id": "c"},
        data=pieces,
        headers={"Content-Type": "application/x-ndjson"},
    ) as response:
        body = await response.json()
        assert response.status == 200, body
        return dict(body)


def text(key: str, size: int = 10) -> bytes:
    value = {"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": {"id": key, "text": "x" * size}}
    return json.dumps(value).encode() + b"\n"


async def test_it_tells_its_url_once_it_is_ready(tmp_path: Path) -> None:
    async with child(tmp_path / "data") as server, server.session.get("/readyz") as response:
        assert response.status == 200
        assert server.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_server_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    async with child(tmp_path / "data", drain=60) as server:
        server.process.send_signal(number)
        assert await server.ended(within=5) == 0


async def test_running_requests_are_finished_and_new_ones_refused(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield text("before")
        begun.set()
        await go_on.wait()
        yield text("after")

    async with child(tmp_path / "data", drain=30) as server:
        running = asyncio.create_task(ingest(server, pieces()))
        await begun.wait()
        await asyncio.sleep(0.2)
        server.process.terminate()
        await asyncio.sleep(0.3)
        with pytest.raises(aiohttp.ClientConnectorError):
            async with aiohttp.ClientSession() as fresh:
                await fresh.get(server.url + "/healthz")
        go_on.set()
        assert (await running)["records_accepted"] == 2
        assert await server.ended(within=5) == 0


async def test_what_does_not_end_while_draining_is_cut_off(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield text("before")
        await asyncio.sleep(60)

    async with child(tmp_path / "data", drain=1) as server:
        running = asyncio.create_task(ingest(server, pieces()))
        await asyncio.sleep(0.5)
        server.process.terminate()
        assert await server.ended(within=30) == 0  # the body would take 60
        with pytest.raises(aiohttp.ClientError):
            await running


async def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield text("before")
        await asyncio.sleep(60)

    async with child(tmp_path / "data", drain=60) as server:
        running = asyncio.create_task(ingest(server, pieces()))
        await asyncio.sleep(0.5)
        server.process.terminate()
        await asyncio.sleep(0.5)
        server.process.terminate()
        assert await server.ended(within=3) == -signal.SIGTERM
        with pytest.raises(aiohttp.ClientError):
            await running


async def test_what_was_acknowledged_is_there_after_kill_nine(tmp_path: Path) -> None:
    async with child(tmp_path / "data") as server:

        async def pieces() -> AsyncIterator[bytes]:
            yield text("kept")

        assert (await ingest(server, pieces()))["records_accepted"] == 1
        os.kill(server.process.pid, signal.SIGKILL)
        await server.ended(within=5)
    async with child(tmp_path / "data") as server, server.session.get("/v1/streams/notes/records/kept") as response:
        assert response.status == 200


@pytest.mark.long
async def test_memory_does_not_grow_with_the_length_of_records(
    tmp_path: Path, sized: Callable[[int, int], int]
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for n in range(sized(10, 20)):  # together, they are more than may be added
            yield text(f"{n:02}", 15 << 20)

    async with child(tmp_path / "data") as server:
        await ingest(server, pieces())
        server.reset_memory()
        idle = server.memory()
        async with server.session.get("/v1/streams/notes/records", params={"limit": 100}) as response:
            assert response.status == 200
            assert len(await response.read()) > 15 << 20
        assert server.memory() - idle < 128 << 20


@pytest.mark.long
async def test_memory_does_not_grow_with_the_body(tmp_path: Path, sized: Callable[[int, int], int]) -> None:
    lines = sized(20_000, 400_000)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, lines, 100):
            yield b"".join(text(f"{n:06}", 2_000) for n in range(start, start + 100))

    async def warm_up() -> AsyncIterator[bytes]:
        yield text("first")

    async with child(tmp_path / "data") as server:
        await ingest(server, warm_up())
        server.reset_memory()
        idle = server.memory()
        assert (await ingest(server, pieces()))["records_accepted"] == lines
        assert server.memory() - idle < 64 << 20


@pytest.mark.long
async def test_memory_does_not_grow_with_a_blob_nor_with_who_asks_for_it(
    tmp_path: Path, sized: Callable[[int, int], int]
) -> None:
    size = sized(256, 4_096)
    piece = os.urandom(1 << 20)

    async def pieces() -> AsyncIterator[bytes]:
        for n in range(size):
            yield n.to_bytes(4, "big") + piece[4:]

    async def upload(body: AsyncIterator[bytes] | bytes) -> str:
        named = {"connector_id": "c", "stream": "notes", "record_key": "r"}
        async with server.session.post("/v1/blobs", params=named, data=body) as response:
            assert response.status == 200
            return f"/v1/blobs/{(await response.json())['blob_id']}"

    async def ask(method: str, url: str, **headers: str) -> None:
        async with server.session.request(method, url, headers=headers) as response:
            assert response.status in (200, 206)
            async for _ in response.content.iter_chunked(1 << 20):
                pass

    async with child(tmp_path / "data") as server:
        await ask("GET", await upload(b"first"))
        server.reset_memory()
        idle = server.memory()
        url = await upload(pieces())
        await asyncio.gather(*(ask("HEAD", url) for _ in range(50)))
        await asyncio.gather(*(ask("GET", url, Range=f"bytes={n << 20}-") for n in range(0, size, size // 4)))
        assert server.memory() - idle < 64 << 20
