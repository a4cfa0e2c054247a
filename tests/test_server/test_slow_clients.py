"""Clients that stall, trickle or stop reading are given up; nothing of them is left.

Patience is a second here, thirty by default: a client is gone within twice that.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from yarl import URL

from server.config import Config
from tests.test_server.conftest import Running, Start, Wire
from tests.test_server.test_connection import INGEST, NDJSON, line, register, stored

PATIENCE = 1.0


def test_by_default_a_slow_client_is_gone_within_a_minute() -> None:
    assert 2 * Config().patience <= 60


@pytest.fixture
async def hasty(start: Start) -> AsyncIterator[Running]:
    async with start(patience=PATIENCE) as running:
        await register(running)
        yield running


async def trickle(wire: Wire, data: bytes, pause: float = 0.1) -> None:
    """Send byte by byte until the other side has had enough."""
    try:
        for byte in data:
            await wire.send(bytes([byte]))
            await asyncio.sleep(pause)
    except ConnectionError:
        pass


async def ended(wire: Wire) -> tuple[bytes, float]:
    """What came until the connection ended, and after how many seconds it did."""
    begun = time.monotonic()
    return await wire.rest(), time.monotonic() - begun


async def test_a_head_that_never_ends_is_cut_off(hasty: Running) -> None:
    with await hasty.connect() as silent, await hasty.connect() as stalled, await hasty.connect() as trickling:
        await stalled.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        sending = asyncio.create_task(trickle(trickling, hasty.head("GET /healthz", "X-Long: " + "x" * 500)))
        for wire in (silent, stalled, trickling):
            _, took = await ended(wire)
            assert took < 2 * PATIENCE
        await sending


async def test_a_body_that_never_comes_is_408(hasty: Running) -> None:
    with await hasty.connect() as wire:
        await wire.send(hasty.head(INGEST, NDJSON, "Content-Length: 1000"))
        answer, took = await ended(wire)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in answer
    assert took < 4 * PATIENCE  # patience, and the two seconds in which a sender may still read the answer


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
async def test_a_body_that_stalls_leaves_nothing(hasty: Running, framing: str) -> None:
    body = line("whole") + line("half")[:-5]
    with await hasty.connect() as wire:
        chunk = body if "Length" in framing else f"{len(body):x}\r\n".encode() + body + b"\r\n"
        await wire.send(hasty.head(INGEST, NDJSON, framing) + chunk)
        answer, _ = await ended(wire)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert "half" not in await stored(hasty)


async def test_a_body_that_trickles_is_408(hasty: Running) -> None:
    with await hasty.connect() as wire:
        await wire.send(hasty.head(INGEST, NDJSON, "Content-Length: 1000"))
        sending = asyncio.create_task(trickle(wire, b" " * 200))
        answer, took = await ended(wire)
        await sending
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert took < 4 * PATIENCE


async def test_a_body_that_trickles_is_408_however_busy_the_server_is(start: Start) -> None:
    """Each turn of the event loop is so long that what came in time is seen late, and never a timeout before it."""
    loop = asyncio.get_running_loop()
    async with start(patience=0.3) as running:
        await register(running)
        with socket.create_connection(("127.0.0.1", URL(running.url).port)) as client:
            client.sendall(running.head(INGEST, NDJSON, "Content-Length: 1000"))
            client.setblocking(False)
            answer = b""
            for _ in range(30):
                with suppress(BlockingIOError):
                    answer += client.recv(1 << 16)
                if answer:
                    break
                client.send(b" ")
                loop.call_soon(time.sleep, 0.2)
                await asyncio.sleep(0)
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_slow_body_that_gets_on_is_waited_for(hasty: Running) -> None:
    padding = b"\n" * (20 << 10)
    with await hasty.connect() as wire:
        await wire.send(hasty.head(INGEST, NDJSON, f"Content-Length: {5 * len(padding) + len(line('a'))}"))
        for _ in range(5):
            await wire.send(padding)
            await asyncio.sleep(0.7 * PATIENCE)
        await wire.send(line("a"))
        assert (await wire.answer())[0] == 200


async def big_record(running: Running) -> None:
    body = line("big", "x" * (8 << 20))
    with await running.connect() as wire:
        await wire.send(running.head(INGEST, NDJSON, f"Content-Length: {len(body)}") + body)
        assert (await wire.answer())[0] == 200


def narrow(running: Running) -> socket.socket:
    """A connection whose own buffer is small, so that the server has to hold what is not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    connection.connect(("127.0.0.1", URL(running.url).port))
    connection.setblocking(False)
    return connection


async def received_from(connection: socket.socket) -> int:
    """Bytes until the end, friendly or not."""
    received = 0
    with suppress(ConnectionError):
        while piece := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 1 << 20), 5):
            received += len(piece)
    return received


async def test_a_client_that_stops_reading_is_cut_off(hasty: Running) -> None:
    await big_record(hasty)
    loop = asyncio.get_running_loop()
    tasks = len(asyncio.all_tasks())
    with narrow(hasty) as connection:
        await loop.sock_sendall(connection, hasty.head("GET /v1/streams/notes/records/big"))
        await asyncio.sleep(2.5 * PATIENCE)
        # The server has let go, though this side still holds the connection.
        assert len(asyncio.all_tasks()) <= tasks
        assert await received_from(connection) < 8 << 20


async def test_a_client_that_reads_slowly_but_steadily_gets_everything(hasty: Running) -> None:
    await big_record(hasty)
    loop = asyncio.get_running_loop()
    received = 0
    with narrow(hasty) as connection:
        await loop.sock_sendall(connection, hasty.head("GET /v1/streams/notes/records/big", "Connection: close"))
        while piece := await asyncio.wait_for(loop.sock_recv(connection, 64 << 10), 5):
            received += len(piece)
            if received < 2 << 20:
                await asyncio.sleep(0.05)
    assert received > 8 << 20


async def test_a_client_that_hangs_up_leaves_no_task_and_no_complaint(
    hasty: Running, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = len(asyncio.all_tasks())
    for _ in range(20):
        wire = await hasty.connect()
        await wire.send(hasty.head(INGEST, NDJSON, "Content-Length: 100000") + line("x") * 20)
        wire.writer.transport.abort()
    await asyncio.sleep(0.5)
    assert len(asyncio.all_tasks()) <= tasks
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
