"""Central store and catalogue move to a database and back under servers that are written to, and movers are killed."""

import asyncio
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from records.layout import Topology
from tests.crash.acknowledged import Acknowledged
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.workers import Client, Ingester, Uploader
from tests.fakes.warm import fork

OWNER = "moving"


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_two_servers_go_on_while_movers_are_killed_and_nothing_is_lost(
    tmp_path: Path,
    forks: Path,
    database_url: str,
    rng: random.Random,
    sized: Callable[[int, int], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BLOBSTORE_DATABASE_URL", database_url)
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log")
    known, kills = Acknowledged(), 0
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
            for to in (Topology.POSTGRES, Topology.SINGLE):
                kills += await moved(fleet, database_url, to, rng)
                await Look(client, known).at_some(rng)
        for task in tasks:
            task.cancel()
    monkeypatch.delenv("BLOBSTORE_DATABASE_URL")
    async with fleet.served(), clients() as session:
        await Look(Client(session, fleet, token.strip(), rng), known).at_all()
    await nothing_is_left(fleet.command, fleet.data, known, OWNER)
    assert "Traceback" not in fleet.log.read_text(), fleet.log.read_text()[-5000:]
    print(f"killed {kills}; acknowledged {dict(known.kinds)}")


async def moved(fleet: Fleet, url: str, to: Topology, rng: random.Random) -> int:
    """Have movers killed until one comes to its end; how many were."""
    kills = 0
    while True:
        with fleet.log.open("ab") as log:
            arguments = [str(fleet.data), url, str(to)]
            mover = fork(fleet._forking, "tests.fakes.centre_mover", arguments, log.fileno(), log.fileno())
        ended = asyncio.create_task(mover.ended())
        done, _ = await asyncio.wait([ended], timeout=rng.uniform(0.1, 2.0) if kills < 3 else 60)
        if not done:
            with suppress(ProcessLookupError):  # it ended in this moment
                os.kill(mover.pid, 9)
        code = await ended
        assert code in (0, -9), fleet.log.read_text()[-5000:]
        if code == 0:
            return kills
        kills += 1
