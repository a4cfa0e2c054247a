"""`kill -9` at any moment of many processes on one data directory: nothing acknowledged is lost, nothing is left over.

Several servers, four uploaders, two ingesters, two erasers (over HTTP and by command), two collections and a backup
that never end, on one directory; again and again one of the processes is killed and another one started in its place.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.acknowledged import Acknowledged, marks_in
from tests.crash.erasers import Eraser
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.workers import Client, Ingester, Uploader

OWNER = "crash"
SERVERS, UPLOADERS, INGESTERS, ERASERS, COLLECTIONS = 3, 4, 2, 2, 2
PAUSE = 0.3
"""Seconds between two kills, at most."""

SEARCHED = 25
"""Kills after which all files are searched for what was erased."""


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_what_was_acknowledged_survives_kill_9_at_any_moment(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log")
    known = Acknowledged()
    _, token = await fleet.command("token", "create", "--owner", OWNER)
    assert token
    async with clients() as session:
        await kill_many(fleet, Client(session, fleet, token.strip(), rng), known, rng, sized(8, 500))
    await nothing_is_left(fleet.command, fleet.data, known, OWNER)
    for place in (fleet, await restored(fleet, tmp_path / "restored")):
        async with place.served(), clients() as session:
            await Look(Client(session, place, token.strip(), rng), known).at_all()
    assert "Traceback" not in fleet.log.read_text(), fleet.log.read_text()[-5000:]
    print(f"killed {dict(fleet.killed)}; acknowledged {dict(known.kinds)}")


async def restored(fleet: Fleet, data: Path) -> Fleet:
    """A directory made of a backup to which killed processes have added as well."""
    backup = fleet.data.with_name("backup")
    code, _ = await fleet.command("backup", str(backup))
    assert code == 0, fleet.log.read_text()
    other = fleet.beside(data)
    code, _ = await other.command("restore", str(backup), "--ledger", str(fleet.data / "erasures.ledger"))
    assert code == 0, fleet.log.read_text()
    return other


async def kill_many(fleet: Fleet, client: Client, known: Acknowledged, rng: random.Random, kills: int) -> None:
    """Let everybody work, and kill."""
    work = [fleet.serve_for_ever() for _ in range(SERVERS)]
    work += [fleet.command_for_ever("gc", "--grace", "0") for _ in range(COLLECTIONS)]
    work += [fleet.command_for_ever("backup", str(fleet.data.with_name("backup")), "--keep", "2")]
    work += [Uploader(client, known, rng, f"uploads-{number}").work() for number in range(UPLOADERS)]
    work += [Ingester(client, known, rng, f"records-{number}").work() for number in range(INGESTERS)]
    work += [Eraser(client, known, rng, f"doomed-{number}", fleet, OWNER).work() for number in range(ERASERS)]
    look = Look(client, known)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        while not known.kinds:
            await asyncio.sleep(0.05)
        for number in range(1, kills + 1):
            await asyncio.sleep(rng.uniform(0.0, PAUSE))
            fleet.kill_one(rng)
            await look.at_some(rng)
            if number % SEARCHED == 0:
                erased = set(known.erased)
                assert not erased & await asyncio.to_thread(marks_in, fleet.data), "erased things are back"
        for task in tasks:
            task.cancel()
