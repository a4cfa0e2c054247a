"""Storage that does not answer or has no room: 503, nothing half-told, and a readiness that names it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from blobstore.errors import StorageUnavailable, WrongStore
from blobstore.gc import Wanted
from blobstore.space import Floor
from records.collections import Collections
from tests.fakes.data_directory import vandal
from tests.test_server.conftest import Running, Start
from tests.test_server.test_connection import INGEST, NDJSON, line, register, stored

READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def failing(start: Start) -> AsyncIterator[Running]:
    """A server whose store is broken by the test, so that it cannot be closed in order either."""
    with suppress(StorageUnavailable):
        async with start() as running:
            yield running


async def ask(running: Running, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with await running.connect() as wire:
        await wire.send(request)
        return await wire.answer()


async def unavailable(running: Running, request: bytes) -> None:
    status, headers, answer = await ask(running, request)
    error = json.loads(answer)["error"]
    assert (status, error["code"], error["type"]) == (503, "temporarily_unavailable", "api_error")
    assert int(headers["retry-after"]) > 0
    # Where records live is nobody's business.
    assert "records" not in error["message"]
    assert ".db" not in error["message"]


async def test_records_that_do_not_answer_are_503_and_worth_a_retry(start: Start) -> None:
    async with failing(start) as running:
        await register(running)
        body = line("a")
        await running.store.engines.close()
        await unavailable(running, running.head(INGEST, NDJSON, f"Content-Length: {len(body)}") + body)
        await unavailable(running, running.head("GET /v1/streams/notes/records"))
        await unavailable(running, running.head("GET /v1/streams"))


async def test_records_that_a_newer_version_took_over_are_503_and_left_as_they_are(start: Start) -> None:
    async with start() as running:
        await register(running)
        body = line("a")
        ingest = running.head(INGEST, NDJSON, f"Content-Length: {len(body)}") + body
        assert (await ask(running, ingest))[0] == 200
        [file] = (running.store.directory / "records").glob("*.db")
        with vandal(file) as db:
            (before,) = db.execute("PRAGMA user_version").fetchone()
            db.execute("PRAGMA user_version = 65536000")
        await unavailable(running, ingest)
        await unavailable(running, running.head("GET /v1/streams/notes/records"))
        with vandal(file) as db:
            db.execute(f"PRAGMA user_version = {before}")
        assert (await ask(running, running.head("GET /v1/streams/notes/records")))[0] == 200


async def test_a_batch_that_failed_half_way_may_be_sent_again_whole(start: Start) -> None:
    """What was accepted before the failure stays, the answer tells no counts, and sending again settles every line."""
    lines = [line(f"{n:05}", "x" * 1_000) for n in range(6_000)]
    first, rest = b"".join(lines[:3_000]), b"".join(lines[3_000:])
    head = f"Content-Length: {len(first) + len(rest)}"
    async with failing(start) as running:
        await register(running)
        with await running.connect() as wire:
            await wire.send(running.head(INGEST, NDJSON, head) + first)
            while not await stored(running):
                await asyncio.sleep(0.01)
            await running.store.engines.close()
            await wire.send(rest)
            status, _, answer = await wire.answer()
        assert status == 503
        assert "records_accepted" not in json.loads(answer)["error"]
    async with start() as again:
        status, _, answer = await ask(again, again.head(INGEST, NDJSON, head) + first + rest)
        assert (status, json.loads(answer)["records_accepted"]) == (200, len(lines))
        status, _, answer = await ask(again, again.head("GET /v1/streams"))
        assert json.loads(answer)["data"][0]["record_count"] == len(lines)


async def test_readiness_says_which_part_does_not_answer(start: Start) -> None:
    async with failing(start) as running:
        await running.store.central.close()
        status, _, answer = await ask(running, READY)
        assert (status, json.loads(answer)) == (
            503,
            {"status": "unavailable", "checks": {"records": "no answer", "blobs": "ok", "space": "ok"}},
        )
        assert (await ask(running, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200


async def test_a_token_that_cannot_be_looked_up_is_not_refused_for_good(start: Start) -> None:
    async with failing(start) as running:
        await running.store.central.close()
        await unavailable(running, running.head("GET /v1/streams"))


async def test_an_erasure_that_cannot_take_its_lock_is_503_and_done_when_it_can(start: Start) -> None:
    async with start() as running:
        await register(running)
        locks = running.store.directory / "locks"
        away = locks.rename(locks.with_name("locks.away"))  # with the locks of those who work in the background
        await unavailable(running, running.head("DELETE /v1/owner/connectors/c"))
        with pytest.raises(StorageUnavailable):  # and not an error that ends upkeep for good
            await running.store.collect(0)
        away.rename(locks)
        assert await running.store.erasures.resume() == 0


async def tick_until(collections: Collections, *, stopped: bool) -> None:
    """The server ticks by itself too, and one tick does nothing while another runs."""
    async with asyncio.timeout(20):
        while (collections.stopped is not None) != stopped:
            with suppress(WrongStore):
                await collections.tick(Wanted(0))
            await asyncio.sleep(0.01)


async def test_a_collection_that_was_stopped_is_told_and_leaves_the_server_ready(start: Start) -> None:
    async with start() as running:
        marker = running.store.directory / "store-id"
        name = marker.read_text()
        marker.write_text("another store's")
        await tick_until(running.store.collections, stopped=True)
        status, _, body = await ask(running, READY)
        stopped = json.loads(body)["checks"]["collection"]
        assert (status, stopped) == (200, "stopped: the log says why")
        marker.write_text(name)
        await tick_until(running.store.collections, stopped=False)
        assert "collection" not in json.loads((await ask(running, READY))[2])["checks"]


async def test_too_little_room_is_not_ready(start: Start) -> None:
    async with start(floor=Floor(bytes=1 << 62)) as running:
        status, _, body = await ask(running, READY)
    assert status == 503
    checks = json.loads(body)["checks"]
    assert (checks["records"], checks["blobs"]) == ("ok", "ok")
    assert "bytes are free" in checks["space"]
