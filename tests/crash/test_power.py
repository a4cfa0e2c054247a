"""The power goes at any moment of everything that the service does: nothing acknowledged is lost, nothing comes back.

A server, commands, uploaders, ingesters and erasers work on a disk that forgets what was not fsynced; on what each cut
leaves, the service is started again (`tests.crash.after_cut`).
"""

import asyncio
import pickle
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.crash.acknowledged import Acknowledged
from tests.crash.erasers import Eraser
from tests.crash.fleet import Fleet
from tests.crash.look import clients
from tests.crash.workers import Client, Granter, Ingester, Uploader
from tests.fakes.power import Disk
from tests.fakes.warm import asking

OWNER = "power"


class Marking(Client):
    """Notes on the disk, before each request, all that has been acknowledged up to then."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        fleet: Fleet,
        token: str,
        rng: random.Random,
        known: Acknowledged,
        disk: Disk,
        notes: Path,
    ) -> None:
        super().__init__(session, fleet, token, rng)
        self._known = known
        self._disk = disk
        self._notes = notes
        self.asked = 0

    async def ask(self, method: str, path: str, *expected: int, data: bytes | None = None) -> tuple[int, bytes]:
        self.asked += 1
        await self.note()
        return await super().ask(method, path, *expected, data=data)

    async def note(self) -> None:
        """A cut from here on finds this."""
        note = self._notes / f"{self.asked}"
        note.write_bytes(pickle.dumps(self._known))
        self._disk.mark(str(note))


@asynccontextmanager
async def noting(
    fleet: Fleet, disk: Disk, notes: Path, rng: random.Random, *options: str
) -> AsyncIterator[tuple[Marking, Acknowledged]]:
    """Work on a new directory, of which notes tell at each moment what was acknowledged."""
    known = Acknowledged()
    _, token = await fleet.command("token", "create", "--owner", OWNER, *options)
    known.tokens[token.strip()] = OWNER
    notes.mkdir()
    async with clients() as session:
        client = Marking(session, fleet, token.strip(), rng, known, disk, notes)
        await client.note()
        yield client, known
        await client.note()
    assert "Traceback" not in fleet.log.read_text(), fleet.log.read_text()[-5000:]
    print(f"acknowledged {dict(known.kinds)}")


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_what_was_acknowledged_survives_a_power_cut_at_any_moment(
    tmp_path: Path, disk: Disk, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    fleet = Fleet(disk.path / "data", forks, tmp_path / "log")
    async with noting(fleet, disk, tmp_path / "notes", rng) as (client, known):
        await work(fleet, client, known, rng, sized(100, 200))
    check = asking(forks, "tests.crash.after_cut", OWNER, "data")
    assert disk.after_every_cut(check, "strict,ext4,random", sized(3, 120), sized(1, 3)) == ""


@pytest.mark.long
async def test_a_directory_that_a_power_cut_left_half_made_is_completed(
    tmp_path: Path, disk: Disk, forks: Path, sized: Callable[[int, int], int]
) -> None:
    fleet = Fleet(disk.path / "new" / "data", forks, tmp_path / "log")
    known = Acknowledged()
    _, token = await fleet.command("token", "create", "--owner", OWNER)
    known.tokens[token.strip()] = OWNER
    note = tmp_path / "note"
    note.write_bytes(pickle.dumps(known))
    disk.mark(str(note))
    async with fleet.served():
        while not fleet.urls:
            await asyncio.sleep(0.01)
    check = asking(forks, "tests.crash.after_cut", OWNER, "new/data")
    assert disk.after_every_cut(check, "strict,ext4", sized(5, 100_000)) == ""


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_move_and_the_erasure_of_a_connector_are_before_or_after_a_power_cut(
    tmp_path: Path, disk: Disk, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    """What was erased is in no file at all then, so in none that a connector lives in."""
    fleet = Fleet(disk.path / "data", forks, tmp_path / "log")
    async with noting(fleet, disk, tmp_path / "notes", rng, "--topology", "per-connector") as (client, known):
        await moves(fleet, client, known, rng, sized(2, 4))
    check = asking(forks, "tests.crash.after_cut", OWNER, "data", rng.choice(["single", "per-connector"]))
    assert disk.after_every_cut(check, "strict,ext4,random", sized(3, 120), sized(1, 3)) == ""


async def moves(fleet: Fleet, client: Marking, known: Acknowledged, rng: random.Random, number: int) -> None:
    """Into one file and back, so often, while records come and connectors are erased."""
    async with asyncio.TaskGroup() as group:
        work = [
            fleet.serve_for_ever(),
            fleet.command_for_ever("gc", "--grace", "0"),  # or there is more garbage than it removes unasked
            Ingester(client, known, rng, "records").work(),
            Eraser(client, known, rng, "doomed", fleet, OWNER).work(),
        ]
        tasks = [group.create_task(each) for each in work]
        while not known.kinds["erasure of a connector"]:
            await asyncio.sleep(0.01)
        for topology in ("single", "per-connector", "single", "per-connector")[:number]:
            code, _ = await fleet.command("topology", "migrate", "--to", topology)
            assert code == 0, fleet.log.read_text()[-5000:]
            await client.note()
        for task in tasks:
            task.cancel()


async def back_up_for_ever(fleet: Fleet, known: Acknowledged) -> None:
    """On the same disk; each one that is acknowledged can be restored."""
    while True:
        code, _ = await fleet.command("backup", str(fleet.data.with_name("backup")), "--keep", "2")
        assert code == 0, fleet.log.read_text()
        known.backups += 1
        known.kinds["backup"] += 1


async def work(fleet: Fleet, client: Marking, known: Acknowledged, rng: random.Random, requests: int) -> None:
    """So many requests, by several at once."""
    work = [
        fleet.serve_for_ever(),
        fleet.command_for_ever("gc", "--grace", "0"),
        Uploader(client, known, rng, "uploads").work(),
        Ingester(client, known, rng, "records").work(),
        Eraser(client, known, rng, "doomed", fleet, OWNER).work(),
        Granter(client, known, rng, "records").work(),
        back_up_for_ever(fleet, known),
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        while client.asked < requests:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
