"""`topology migrate` between files and a database is killed at any moment, and run again: nothing is lost."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.acknowledged import Acknowledged
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.workers import Client, Ingester, Uploader

OWNER = "moving"


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_two_servers_go_on_while_the_command_is_killed_and_nothing_is_lost(
    tmp_path: Path,
    forks: Path,
    database_url: str,
    rng: random.Random,
    sized: Callable[[int, int], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BLOBSTORE_DATABASE_URL", database_url)
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log")
    known = Acknowledged()
    _, token = await fleet.command("token", "create", "--owner", OWNER, "--topology", "single")
    async with asyncio.TaskGroup() as group, clients() as session:
        tasks = [group.create_task(fleet.serve_for_ever()) for _ in range(2)]
        while len(fleet.urls) < 2:
            await asyncio.sleep(0.01)
        client = Client(session, fleet, token.strip(), rng)
        tasks += [group.create_task(Ingester(client, known, rng, f"records-{n}").work()) for n in range(2)]
        tasks += [group.create_task(Uploader(client, known, rng, f"uploads-{n}").work()) for n in range(2)]
        while not known.kinds["ingest"]:
            await asyncio.sleep(0.01)
        for _ in range(sized(1, 25)):
            for to in ("postgres", "single"):
                await migrated(fleet, to, rng)
                await Look(client, known).at_some(rng)
        for task in tasks:
            task.cancel()
    async with fleet.served(), clients() as session:
        await Look(Client(session, fleet, token.strip(), rng), known).at_all()
    monkeypatch.delenv("BLOBSTORE_DATABASE_URL")
    await nothing_is_left(fleet.command, fleet.data, known, OWNER)
    assert "Traceback" not in fleet.log.read_text(), fleet.log.read_text()[-5000:]
    print(f"killed {dict(fleet.killed)}; acknowledged {dict(known.kinds)}")


async def migrated(fleet: Fleet, to: str, rng: random.Random) -> None:
    """Have the command killed a few times, then let it come to its end."""
    for _ in range(3):
        command = asyncio.create_task(fleet.command("topology", "migrate", "--to", to))
        done, _ = await asyncio.wait([command], timeout=rng.uniform(0.5, 4.0))
        if done:
            code, _ = command.result()
            assert code == 0, fleet.log.read_text()[-3000:]
            return
        command.cancel()  # which kills it
        await asyncio.wait([command])
        fleet.killed["topology"] += 1
    code, _ = await asyncio.wait_for(fleet.command("topology", "migrate", "--to", to), 200)
    assert code == 0, fleet.log.read_text()[-3000:]
