"""`blobs migrate` between files and buckets is killed at any moment, and run again: nothing is lost."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from blobstore.backend import LATE_SECONDS
from blobstore.backends.where import Where
from records.layout import Topology
from tests.crash.acknowledged import Acknowledged
from tests.crash.erasers import Eraser
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.test_topology import OWNER, Unhurried, exported, stand
from tests.crash.workers import Client, Ingester, Uploader, Worker
from tests.fakes.s3 import S3Server
from tests.fakes.topologies import Kind, Storage, one_of

BUSY = "busy"
STANDING = "standing"
"""A connector that nobody writes to meanwhile: what it exports never changes."""


class Mover:
    """Runs the command and kills it."""

    def __init__(self, fleet: Fleet, rng: random.Random) -> None:
        self._fleet = fleet
        self._rng = rng
        self._longest = 1.5
        self.killed = Counter[str]()

    async def move(self, to: Where, kills: int) -> None:
        """Have the command killed so many times, then let it come to its end."""
        while self.killed[to.location] < kills:
            command = asyncio.create_task(self._run(to))
            done, _ = await asyncio.wait([command], timeout=self._rng.uniform(0.1, self._longest))
            if done:  # the next one has less to do
                await command
                continue
            command.cancel()  # which kills it
            await asyncio.wait([command])
            self.killed[to.location] += 1
        await asyncio.wait_for(self._run(to), 3600)

    async def _run(self, to: Where) -> None:
        reached = () if to.is_files else ("--s3-endpoint", str(to.endpoint), "--s3-region", str(to.region))
        keep = self._rng.choice([("--keep", "0"), ("--delete-now",), ()])
        began = asyncio.get_running_loop().time()
        code, told = await self._fleet.command("blobs", "migrate", "--to", to.location, *reached, *keep)
        assert code == 0, told + self._fleet.log.read_text()[-3000:]
        self._longest = min(max(1.0, asyncio.get_running_loop().time() - began), 10.0)


KINDS = [Kind(Topology.SINGLE), Kind(Topology.POSTGRES), Kind(Topology.POSTGRES, in_s3=True)]
"""Where the blobs are to begin with: they go into a bucket, and back from there."""


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("storage", one_of(KINDS, "migrating"), ids=str, indirect=True)
async def test_servers_go_on_while_the_command_is_killed_and_nothing_is_lost(
    storage: Storage, s3: S3Server, tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log")
    known, mover = Acknowledged(), Mover(fleet, rng)
    route, kills = [s3.where(), storage.where], sized(2, 10)
    # An export waits for no erasure of its owner: who erases is another.
    _, standing_token = await fleet.command("token", "create", "--owner", OWNER, *storage.options)
    _, token = await fleet.command("token", "create", "--owner", BUSY)
    async with asyncio.TaskGroup() as group, clients() as session:
        tasks = [group.create_task(fleet.serve_for_ever()) for _ in range(2)]
        while len(fleet.urls) < 2:
            await asyncio.sleep(0.01)
        client = Unhurried(session, fleet, token.strip(), rng)
        quiet = Client(session, fleet, standing_token.strip(), rng)
        await stand(Worker(quiet, Acknowledged(), rng, STANDING), sized(12, 1_000), sized(8, 1_000))
        before = await exported(fleet, "--connector", STANDING)
        tasks += [
            group.create_task(work)
            for work in (
                Ingester(client, known, rng, "records").work(),
                Uploader(client, known, rng, "uploads").work(),
                Eraser(client, known, rng, "erased", fleet, BUSY).work(),
                fleet.command_for_ever("gc", "--grace", "0"),
            )
        ]
        for to in route:
            await mover.move(to, kills)
            await Look(client, known).at_some(rng)
            assert await exported(fleet, "--connector", STANDING) == before
        for task in tasks:
            task.cancel()
    print(f"killed {dict(mover.killed)}; acknowledged {dict(known.kinds)}")
    late = LATE_SECONDS * sized(0, 1)
    await at_rest(fleet, mover, route, late)
    async with fleet.served(), clients() as session:
        await Look(Client(session, fleet, token.strip(), rng), known).at_all()
    await nothing_is_left(fleet.command, fleet.data, known, BUSY, storage, where=storage.where)
    _nothing_is_there(s3, route[0])
    log = fleet.log.read_text()
    assert "Traceback" not in log, log[-5000:]


async def at_rest(fleet: Fleet, mover: Mover, route: Sequence[Where], late: float) -> None:
    """When nobody writes, an export of everything is the same from every place.

    What killed processes were sending to S3 is waited for so many seconds; before it may come still, it may be going.
    """
    everything = await exported(fleet)
    for to in route:
        await mover.move(to, 0)
        assert await exported(fleet) == everything
    await asyncio.sleep(late)
    await fleet.command("blobs", "migrate", "--to", route[-1].location, "--delete-now")
    _, shown = await fleet.command("blobs", "show", "--json")
    rows = json.loads(shown)
    assert [row for row in rows if row["kept_blobs"]] == []
    assert [row for row in rows if row["going_blobs"] and (late or row["place"] == "file")] == []


def _nothing_is_there(s3: S3Server, where: Where) -> None:
    client = s3.client()
    bucket, _, prefix = where.location.removeprefix("s3://").partition("/")
    listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", ())
    keys = [row["Key"].removeprefix(f"{prefix}/") for row in listed]
    # A process that is killed while it tries what S3 can do leaves what it tried with, for an hour or more.
    assert [key for key in keys if not key.startswith(("store-id", "ledger", "self-test/"))] == []
    client.close()
