"""Large bodies, which are read past the parser: the same bytes, the same errors, and nothing of what follows them."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator

import pytest

from server import intake
from tests.fakes.stores import nothing_is_left
from tests.test_server.conftest import Running, Start, Wire
from tests.test_server.test_connection import register

PATIENCE = 0.5
LARGE = 200_000


@pytest.fixture
async def hasty(start: Start, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(intake, "LARGE", LARGE)
    async with start(patience=PATIENCE) as running:
        await register(running)
        yield running


def head(running: Running, size: int, *headers: str, key: str = "1") -> bytes:
    line = f"POST /v1/blobs?connector_id=c&stream=notes&record_key={key}"
    return running.head(line, "Content-Type: a/b", f"Content-Length: {size}", *headers)


async def found(running: Running, body: bytes) -> bytes:
    """What the server gives out for the blob of the answer."""
    with await running.connect() as wire:
        await wire.send(running.head(f"GET /v1/blobs/{json.loads(body)['blob_id']}"))
        status, _, data = await wire.answer()
    assert status == 200
    return data


async def cleared(running: Running) -> bool:
    """Whether nothing is left of the uploads that were begun, after a while."""
    await asyncio.sleep(0.2)
    for _ in range(200):
        if await nothing_is_left(running.store.blobs):
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize("step", [1 << 14, 100_003, 1 << 22])
@pytest.mark.parametrize("size", [LARGE, 3_000_001])
async def test_a_large_body_is_taken_in_whatever_pieces_it_comes(
    hasty: Running, rng: random.Random, step: int, size: int
) -> None:
    data = rng.randbytes(size)
    with await hasty.connect() as wire:
        message = head(hasty, size) + data
        for start in range(0, len(message), step):
            await wire.send(message[start : start + step])
            await asyncio.sleep(0)
        status, _, body = await wire.answer()
    assert status == 200
    assert json.loads(body)["sha256"] == hashlib.sha256(data).hexdigest()
    assert await found(hasty, body) == data


async def test_the_connection_ends_with_the_answer_and_nothing_behind_the_body_is_taken_for_it(
    hasty: Running, rng: random.Random
) -> None:
    data = rng.randbytes(2 * LARGE)
    with await hasty.connect() as wire:
        await wire.send(head(hasty, len(data)) + data + hasty.head("GET /v1/streams"))
        status, headers, body = await wire.answer()
        assert await wire.rest() == b""
    assert (status, headers["connection"]) == (200, "close")
    assert await found(hasty, body) == data


async def test_a_client_that_waits_is_told_to_go_on(hasty: Running, rng: random.Random) -> None:
    data = rng.randbytes(2 * LARGE)
    with await hasty.connect() as wire:
        await wire.send(head(hasty, len(data), "Expect: 100-continue"))
        assert (await wire.answer())[0] == 100
        await wire.send(data)
        status, _, body = await wire.answer()
    assert status == 200
    assert await found(hasty, body) == data


async def test_a_large_body_that_is_not_what_was_declared_leaves_nothing(hasty: Running, rng: random.Random) -> None:
    data = rng.randbytes(2 * LARGE)
    with await hasty.connect() as wire:
        await wire.send(head(hasty, len(data), f"Content-Digest: sha-256=:{'A' * 43}=:") + data)
        status, _, _ = await wire.answer()
    assert status == 400
    assert await cleared(hasty)


async def test_a_large_body_that_breaks_off_leaves_nothing(hasty: Running, rng: random.Random) -> None:
    for end in ("write_eof", "close", "abort"):
        wire = await hasty.connect()
        await wire.send(head(hasty, 3 * LARGE) + rng.randbytes(2 * LARGE))
        if end == "abort":
            wire.writer.transport.abort()
        else:
            getattr(wire.writer, end)()
        if end == "write_eof":
            assert b" 200 " not in await wire.rest()
        assert await cleared(hasty)


async def test_a_large_body_that_stalls_is_408_and_leaves_nothing(hasty: Running, rng: random.Random) -> None:
    with await hasty.connect() as wire:
        await wire.send(head(hasty, 3 * LARGE) + rng.randbytes(2 * LARGE))
        status, _, _ = await wire.answer()
    assert status == 408
    assert await cleared(hasty)


async def test_a_large_body_that_gets_on_is_waited_for(hasty: Running, rng: random.Random) -> None:
    data = rng.randbytes(LARGE + (100 << 10))
    with await hasty.connect() as wire:
        await _slowly(wire, head(hasty, len(data)) + data)
        status, _, body = await wire.answer()
    assert status == 200
    assert await found(hasty, body) == data


async def _slowly(wire: Wire, message: bytes) -> None:
    await wire.send(message[:LARGE])
    for start in range(LARGE, len(message), 20 << 10):
        await asyncio.sleep(0.6 * PATIENCE)
        await wire.send(message[start : start + (20 << 10)])
