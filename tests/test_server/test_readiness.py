"""What `/readyz` says of a server that is to end, of a part that hangs, and of one that is not ours any more."""

import asyncio
import json
import threading
from typing import Any

import pytest

from blobstore.errors import StorageUnavailable
from server import readiness
from server.keys import READINESS, STOPPING
from tests.fakes.data_directory import vandal
from tests.test_server.conftest import Running, Start

READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def checks(running: Running) -> tuple[int, dict[str, str]]:
    with await running.connect() as wire:
        await wire.send(READY)
        status, _, body = await wire.answer()
        return status, json.loads(body)["checks"]


async def test_a_server_that_is_to_end_says_so_and_serves_on(start: Start) -> None:
    async with start() as running:
        with await running.connect() as wire:
            await wire.send(READY)
            assert "connection" not in (await wire.answer())[1]
            running.app[STOPPING].announce()
            await wire.send(READY)  # on a connection that was kept
            status, headers, body = await wire.answer()
            assert (status, headers["connection"]) == (503, "close")
            assert json.loads(body)["checks"] == {"records": "ok", "blobs": "ok", "space": "ok", "server": "draining"}
            assert await wire.rest() == b""
        with await running.connect() as wire:
            await wire.send(ALIVE)
            status, headers, _ = await wire.answer()
            assert (status, headers["connection"]) == (200, "close")


async def test_a_part_that_hangs_is_asked_once_however_many_ask(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start() as running:
        asked, answered = 0, asyncio.Event()

        async def hang(*_: Any) -> None:
            nonlocal asked
            asked += 1
            await answered.wait()

        with monkeypatch.context() as patch:
            patch.setattr(readiness, "ANSWER_WITHIN", 0.1)
            patch.setattr(running.store.central, "token", hang)
            for _ in range(3):
                status, found = await checks(running)
                # Nothing of the others: a tenth of a second may be too little for them as well, where much is going on.
                assert (status, found["records"]) == (503, "no answer")
            assert asked == 1
            answered.set()
        while (await checks(running))[0] != 200:
            await asyncio.sleep(0.01)


async def test_the_place_of_blobs_is_not_asked_at_every_question(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "REMEMBERED", 3600.0)
    async with start() as running:
        asked = 0

        def bound() -> None:
            nonlocal asked
            asked += threading.current_thread().name.startswith("asyncio")  # a collection asks in the store's threads
            raise StorageUnavailable("it is down")

        assert (await checks(running))[0] == 200
        with monkeypatch.context() as patch:
            patch.setattr(running.store.blobs.backend, "bound", bound)
            assert (await checks(running))[0] == 200
            assert asked == 0
            patch.setattr(running.app[READINESS]._blobs, "_good_until", 0.0)
            assert await checks(running) == (503, {"records": "ok", "blobs": "no answer", "space": "ok"})
            assert await checks(running) == (503, {"records": "ok", "blobs": "no answer", "space": "ok"})
            assert asked == 2
        assert (await checks(running))[0] == 200


async def test_it_is_told_whether_the_catalogue_or_the_place_of_the_bytes_is_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as running:

        async def away() -> str:
            raise StorageUnavailable("it is down")

        monkeypatch.setattr(running.store.blobs.catalogue, "store_id", away)
        assert await checks(running) == (503, {"records": "ok", "blobs": "catalogue: no answer", "space": "ok"})


async def test_a_database_that_a_newer_version_took_over_is_told_as_such(start: Start) -> None:
    async with start() as running:
        with vandal(running.store.directory / "central.db") as db:
            (before,) = db.execute("PRAGMA user_version").fetchone()
            db.execute("PRAGMA user_version = 65536000")
        status, found = await checks(running)
        assert (status, found["records"]) == (503, "a newer version of this program has taken it over")
        with vandal(running.store.directory / "central.db") as db:
            db.execute(f"PRAGMA user_version = {before}")
