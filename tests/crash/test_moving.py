"""`kill -9` at any moment of a move of all records to another topology, and of all who work on them meanwhile.

Servers, uploaders, ingesters, erasers and collections, as in `test_kill`, while records move into a file for each
connector and back into one, again and again. Nothing acknowledged is lost, and nothing is left over.
"""

import asyncio
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.acknowledged import Acknowledged
from tests.crash.erasers import Eraser
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.workers import Client, Ingester, Uploader

OWNER = "crash"
PAUSE = 0.6
"""Seconds between two kills, at most."""


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_what_was_acknowledged_survives_kill_9_of_a_move(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log")
    known = Acknowledged()
    _, token = await fleet.command("token", "create", "--owner", OWNER)
    async with clients() as session:
        await kill_many(fleet, Client(session, fleet, token.strip(), rng), known, rng, sized(10, 200))
    for topology in ("per-connector", "single"):
        code, _ = await fleet.command("topology", "migrate", "--to", topology)
        assert code == 0, fleet.log.read_text()[-5000:]
        await nothing_is_left(fleet.command, fleet.data, known, OWNER)
    assert [path.suffix for path in (fleet.data / "records").rglob("*.db")] == [".db"]
    async with fleet.served(), clients() as session:
        await Look(Client(session, fleet, token.strip(), rng), known).at_all()
    assert "Traceback" not in fleet.log.read_text(), fleet.log.read_text()[-5000:]
    print(f"killed {dict(fleet.killed)}; acknowledged {dict(known.kinds)}")


async def move_for_ever(fleet: Fleet) -> None:
    """There and back, again and again."""
    while True:
        for topology in ("per-connector", "single"):
            code, _ = await fleet.command("topology", "migrate", "--to", topology)
            assert code in (0, -signal.SIGKILL), fleet.log.read_text()[-5000:]


async def kill_many(fleet: Fleet, client: Client, known: Acknowledged, rng: random.Random, kills: int) -> None:
    """Let everybody work, and kill."""
    work = [fleet.serve_for_ever(), fleet.serve_for_ever(), move_for_ever(fleet)]
    work += [fleet.command_for_ever("gc", "--grace", "0")]
    work += [Uploader(client, known, rng, f"uploads-{number}").work() for number in range(2)]
    work += [Ingester(client, known, rng, f"records-{number}").work() for number in range(2)]
    work += [Eraser(client, known, rng, "doomed", fleet, OWNER).work()]
    look = Look(client, known)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        while not known.kinds:
            await asyncio.sleep(0.05)
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(0.0, PAUSE))
            fleet.kill_one(rng)
            await look.at_some(rng)
        for task in tasks:
            task.cancel()
