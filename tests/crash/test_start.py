"""Any number of processes may start on one directory that is not there yet, and any of them may die half-way."""

import asyncio
import json
import random
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from tests.crash.acknowledged import Acknowledged, Content, Place, mark
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, leftovers, nothing_is_left
from tests.crash.workers import Client, OneServer, Worker
from tests.fakes.topologies import DURABLE, Storage, one_of

OWNER = "start"
PROCESSES, IMPORTERS = 16, 16


async def all_serve(fleet: Fleet, servers: int) -> None:
    """Wait until so many servers take requests."""
    while len(fleet.urls) < servers:
        await asyncio.sleep(0.01)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("storage", one_of(DURABLE, "start"), ids=str, indirect=True)
async def test_sixteen_processes_start_at_once_on_a_directory_that_is_not_there_and_sixteen_importers_at_once(
    tmp_path: Path, forks: Path, rng: random.Random, storage: Storage, sized: Callable[[int, int], int]
) -> None:
    fleet = Fleet(tmp_path / "new" / "data", forks, tmp_path / "log", options=storage.options)
    known = Acknowledged()
    async with asyncio.TaskGroup() as group:
        servers = [group.create_task(fleet.serve_for_ever()) for _ in range(sized(8, PROCESSES))]
        creating = [fleet.command("token", "create", "--owner", OWNER) for _ in range(PROCESSES // 2)]
        created = await asyncio.gather(*creating)
        await asyncio.wait_for(all_serve(fleet, len(servers)), 120)
        assert [code for code, _ in created] == [0] * len(created), fleet.log.read_text()
        urls, tokens = cycle(fleet.urls), cycle(token.strip() for _, token in created)
        async with clients() as session:
            one_each = [Client(session, OneServer(next(urls)), next(tokens), rng) for _ in range(IMPORTERS)]
            importers = [Worker(client, known, rng, f"import-{number}") for number, client in enumerate(one_each)]
            await asyncio.gather(*(bring(importer, sized(2, 10)) for importer in importers))
            await Look(one_each[0], known).at_all()
        for server in servers:
            server.cancel()
    assert fleet.complaints == []
    await nothing_is_left(fleet.command, fleet.data, known, OWNER, storage)


async def bring(importer: Worker, batches: int) -> None:
    """Register a connector, and bring records of which some have attachments that others bring, too."""
    await importer.register()
    for batch in range(batches):
        places = [Place(importer.connector, None, "files", f"{batch}-{number}") for number in range(50)]
        blobs = {place: (await importer.upload(place),) for place in places[:2]}
        await importer.put(places, [Content(mark(importer.rng), blobs.get(place, ())) for place in places])


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_directory_whose_makers_are_killed_is_made_by_those_who_come_after(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    for number in range(sized(3, 100)):
        fleet = Fleet(tmp_path / f"{number}", forks, tmp_path / "log")
        async with asyncio.TaskGroup() as group:
            servers = [group.create_task(fleet.serve_for_ever()) for _ in range(4)]
            for _ in range(rng.randrange(1, 6)):
                await asyncio.sleep(rng.uniform(0.0, 0.03))
                fleet.kill_one(rng)
            await asyncio.wait_for(all_serve(fleet, len(servers)), 60)
            code, _ = await fleet.command("token", "create", "--owner", OWNER)
            assert code == 0, fleet.log.read_text()
            for server in servers:
                server.cancel()
        assert (await fleet.command("gc", "--grace", "0"))[0] == 0
        code, found = await fleet.command("doctor", "--deep", "--json")
        assert (code, json.loads(found)) == (0, [])
        assert leftovers(fleet.data) == []
        assert fleet.complaints == []
