"""Any number of processes may start on one directory that is not there yet, and any of them may die half-way."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.acknowledged import Acknowledged
from tests.crash.fleet import Fleet
from tests.crash.look import clients, leftovers, nothing_is_left
from tests.crash.workers import Client, OneServer

OWNER = "start"
PROCESSES = 16


async def all_serve(fleet: Fleet, servers: int) -> None:
    """Wait until so many servers take requests."""
    while len(fleet.urls) < servers:
        await asyncio.sleep(0.01)


async def test_sixteen_processes_start_at_once_on_a_directory_that_is_not_there(
    tmp_path: Path, forks: Path, rng: random.Random
) -> None:
    fleet = Fleet(tmp_path / "new" / "data", forks, tmp_path / "log")
    async with asyncio.TaskGroup() as group:
        servers = [group.create_task(fleet.serve_for_ever()) for _ in range(PROCESSES // 2)]
        creating = [fleet.command("token", "create", "--owner", OWNER) for _ in range(PROCESSES // 2)]
        created = await asyncio.gather(*creating)
        await asyncio.wait_for(all_serve(fleet, len(servers)), 60)
        assert [code for code, _ in created] == [0] * len(created), fleet.log.read_text()
        async with clients() as session:
            for url in fleet.urls:
                for _, token in created:
                    await Client(session, OneServer(url), token.strip(), rng).ask("GET", "/v1/streams", 200)
        for server in servers:
            server.cancel()
    assert fleet.log.read_text() == ""
    await nothing_is_left(fleet.command, fleet.data, Acknowledged(), OWNER)


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
    assert (tmp_path / "log").read_text() == ""
