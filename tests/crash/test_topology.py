"""`topology migrate` between any two topologies is killed at any moment, and run again: nothing is lost."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from records.layout import Topology
from tests.crash.acknowledged import Acknowledged, Content, Place, mark
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.workers import Client, Ingester, Uploader, Worker
from tests.fakes.topologies import Storage

OWNER = "moving"
SINGLE, APART, DATABASE = Topology.SINGLE, Topology.PER_CONNECTOR, Topology.POSTGRES

ROUND = (SINGLE, APART, DATABASE, APART, SINGLE, DATABASE, SINGLE)
"""From any topology to any other, each once."""

SAMPLES = ((SINGLE, APART, SINGLE), (SINGLE, DATABASE, SINGLE), (APART, DATABASE, APART))

STANDING = [f"standing-{number}" for number in range(3)]
"""Connectors that nobody writes to while they move: what they export never changes."""

Way = tuple[Topology, Topology]

MOST = 10.0
"""Seconds after which a run is killed at the latest: a machine that stood still is no reason to wait."""


class Unhurried(Client):
    """Leaves the processors to others for a moment before it asks."""

    async def ask(self, method: str, path: str, *expected: int, data: bytes | None = None) -> tuple[int, bytes]:
        await asyncio.sleep(0.02)
        return await super().ask(method, path, *expected, data=data)


class Mover:
    """Runs the command and kills it."""

    def __init__(self, fleet: Fleet, url: str, rng: random.Random) -> None:
        self._fleet = fleet
        self._rng = rng
        self._database = ("--database-url", url)
        self.took: dict[Way, float] = {}
        """Seconds that the last run that came to its end took."""
        self.killed = Counter[Way]()

    async def move(self, way: Way, kills: int) -> None:
        """Have the command killed up to so many times, then let it come to its end."""
        for _ in range(kills):
            command = asyncio.create_task(self._run(way))
            longest = min(max(1.0, self.took.get(way, 0.0)), MOST)
            done, _ = await asyncio.wait([command], timeout=self._rng.uniform(0.1, longest))
            if done:
                return await command
            command.cancel()  # which kills it
            await asyncio.wait([command])
            self.killed[way] += 1
        await asyncio.wait_for(self._run(way), 300)

    async def _run(self, way: Way) -> None:
        began = asyncio.get_running_loop().time()
        database = self._database if way[1] is DATABASE else ()
        code, _ = await self._fleet.command("topology", "migrate", "--to", str(way[1]), *database)
        assert code == 0, self._fleet.log.read_text()[-3000:]
        self.took[way] = asyncio.get_running_loop().time() - began


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_two_servers_go_on_while_the_command_is_killed_and_nothing_is_lost(
    tmp_path: Path, forks: Path, database_url: str, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log")
    known, mover = Acknowledged(), Mover(fleet, database_url, rng)
    route = (*SAMPLES, ROUND)[sized(rng.randrange(len(SAMPLES)), -1)]
    ways, kills = list(pairwise(route)), sized(2, 50)
    database = ("--database-url", database_url) if route[0] is DATABASE else ()
    _, token = await fleet.command("token", "create", "--owner", OWNER, "--topology", str(route[0]), *database)
    async with asyncio.TaskGroup() as group, clients() as session:
        tasks = [group.create_task(fleet.serve_for_ever()) for _ in range(2)]
        while len(fleet.urls) < 2:
            await asyncio.sleep(0.01)
        standing = [Worker(Client(session, fleet, token.strip(), rng), known, rng, each) for each in STANDING]
        await asyncio.gather(*(stand(worker, sized(50, 1_000), sized(2, 100)) for worker in standing))
        client = Unhurried(session, fleet, token.strip(), rng)
        tasks += [group.create_task(Ingester(client, known, rng, f"records-{n}").work()) for n in range(2)]
        tasks += [group.create_task(Uploader(client, known, rng, "uploads").work())]
        before = await exported(fleet, "--connector", STANDING[0])
        while any(mover.killed[way] < kills for way in ways):
            for way in ways:
                await mover.move(way, min(sized(2, 10), max(0, kills - mover.killed[way])))
                await Look(client, known).at_some(rng)
                assert await exported(fleet, "--connector", STANDING[0]) == before
        for task in tasks:
            task.cancel()
    await at_rest(fleet, mover, ways)
    async with fleet.served(), clients() as session:
        await Look(Client(session, fleet, token.strip(), rng), known).at_all()
    await nothing_is_left(fleet.command, fleet.data, known, OWNER, Storage(route[-1]))
    log = fleet.log.read_text()
    assert not [each for each in ("Traceback", "database is locked", "SQLITE_BUSY") if each in log], log[-5000:]
    told = {f"{one} to {other}": count for (one, other), count in mover.killed.items()}
    print(f"killed {told}; acknowledged {dict(known.kinds)}")


async def at_rest(fleet: Fleet, mover: Mover, ways: Sequence[Way]) -> None:
    """When nobody writes, an export of everything is the same from every topology."""
    everything = await exported(fleet)
    for way in ways:
        await mover.move(way, 0)
        assert await exported(fleet) == everything
        code, found = await fleet.command("doctor", "--deep")
        assert code == 0, found


async def stand(worker: Worker, records: int, blobs: int) -> None:
    """Bring so many records, of which so many have an attachment."""
    await worker.register()
    places = [Place(worker.connector, None, "files", f"{number}") for number in range(records)]
    for begin in range(0, records, 100):
        contents = [
            Content(mark(worker.rng), (await worker.upload(place),) if number < blobs else ())
            for number, place in enumerate(places[begin : begin + 100], begin)
        ]
        await worker.put(places[begin : begin + 100], contents)


async def exported(fleet: Fleet, *what: str) -> bytes:
    """All that an export has."""
    out = fleet.data.with_name("export.tar")
    out.unlink(missing_ok=True)
    code, _ = await fleet.command("export", "--owner", OWNER, *what, str(out))
    assert code == 0, fleet.log.read_text()[-3000:]
    return out.read_bytes()
