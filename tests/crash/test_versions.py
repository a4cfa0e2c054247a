"""Programs of two versions on one data directory, and a sweep that is killed: nothing is lost, nobody is kept out."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from blobstore.sqlite.versions import Schema, prepare
from records.engines.sqlite.schema import MIGRATIONS
from records.layout import Topology
from tests.crash.acknowledged import Acknowledged
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.workers import Client, Ingester, Uploader
from tests.fakes.data_directory import vandal
from tests.fakes.next_version import STRICT
from tests.fakes.topologies import Storage

OWNER = "versions"
NEXT = "tests.fakes.next_version"


async def states(fleet: Fleet) -> set[str]:
    """Of all files, as the program sees them."""
    _, printed = await fleet.command("migrate", "--status", "--json")
    return {each["state"] for each in json.loads(printed)}


async def until_swept(fleet: Fleet) -> None:
    while await states(fleet) != {"current"}:
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("storage", [Topology.SINGLE, Topology.POSTGRES], indirect=True)
async def test_servers_of_two_versions_write_at_once_while_the_newer_sweeps(
    tmp_path: Path, forks: Path, rng: random.Random, storage: Storage
) -> None:
    before = Fleet(tmp_path / "data", forks, tmp_path / "log", options=storage.options)
    after = Fleet(before.data, forks, before.log, NEXT, storage.options)
    known = Acknowledged()
    _, token = await before.command("token", "create", "--owner", OWNER)
    async with asyncio.TaskGroup() as group, clients() as session:
        tasks = [group.create_task(before.serve_for_ever()) for _ in range(2)]
        while len(before.urls) < 2:
            await asyncio.sleep(0.01)
        for number, fleet in enumerate((before, after)):
            client = Client(session, fleet, token.strip(), rng)
            tasks.append(group.create_task(Ingester(client, known, rng, f"records-{number}").work()))
            tasks.append(group.create_task(Uploader(client, known, rng, f"uploads-{number}").work()))
        while not known.kinds["ingest"]:
            await asyncio.sleep(0.01)
        tasks += [group.create_task(after.serve_for_ever()) for _ in range(2)]
        await asyncio.wait_for(until_swept(after), 60)
        assert await states(before) == {"ahead"}
        done = sum(known.kinds.values())
        while sum(known.kinds.values()) < done + 40:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
    for fleet in (before, after):
        async with fleet.served(), clients() as session:
            await Look(Client(session, fleet, token.strip(), rng), known).at_all()
    await nothing_is_left(before.command, before.data, known, OWNER, storage)
    assert "Traceback" not in before.log.read_text(), before.log.read_text()[-5000:]
    assert "locked" not in before.log.read_text()


@pytest.mark.parametrize("storage", [Topology.POSTGRES], indirect=True)
async def test_a_step_that_older_servers_must_know_waits_until_they_have_gone(
    tmp_path: Path, forks: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Fleet(tmp_path / "data", forks, tmp_path / "log", options=storage.options)
    after = Fleet(before.data, forks, before.log, NEXT, storage.options)
    async with before.served(), clients() as session:
        while not before.urls:
            await asyncio.sleep(0.01)
        monkeypatch.setenv(STRICT, "strict")
        code, _ = await after.command("token", "create", "--owner", OWNER)
        assert code == 1
        assert "stop all of them, then start this one" in before.log.read_text()
        async with session.get(f"{before.urls[0]}/readyz") as answer:
            assert answer.status == 200
    assert (await after.command("token", "create", "--owner", OWNER))[0] == 0
    assert (await before.command("token", "create", "--owner", OWNER))[0] == 1
    assert "was made by a newer version (m903_strict); upgrade this program" in before.log.read_text()
    assert {each["state"] for each in json.loads((await before.command("migrate", "--status", "--json"))[1])} == {
        "ahead",
        "refused",
    }


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_sweep_that_is_killed_is_gone_on_with(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    before = Fleet(tmp_path / "data", forks, tmp_path / "log")
    after = Fleet(before.data, forks, before.log, NEXT)
    await before.command("token", "create", "--owner", OWNER)
    for _ in range(sized(3, 50)):
        files = [make_records(before.data / "records" / f"x{number}.db") for number in range(20)]
        for longest in itertools.count(0.1, 0.1):  # however slow the machine: each is let get further than the last
            if await states(after) == {"current"}:
                break
            sweeping = asyncio.create_task(after.command("migrate"))
            await asyncio.sleep(rng.uniform(0.0, longest))
            after.kill_one(rng)
            await sweeping
            assert await states(before) <= {"current", "ahead"}
        for path in files:
            with vandal(path) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert db.execute("SELECT count(*) FROM connectors").fetchone() == (500,)
            for each in path.parent.glob(f"{path.name}*"):
                each.unlink()
    assert after.killed["migrate"] > 0


def make_records(path: Path) -> Path:
    """A file of the version before with rows that a step has to go through."""
    path.parent.mkdir(exist_ok=True)
    with vandal(path) as db:
        prepare(path, db, Schema(MIGRATIONS))
        db.execute("BEGIN")
        db.executemany("INSERT INTO connectors (name) VALUES (?)", [(f"c{number}",) for number in range(500)])
        db.execute("COMMIT")
    return path


async def test_sixteen_processes_open_one_file_of_the_version_before_at_once(
    tmp_path: Path, forks: Path, rng: random.Random
) -> None:
    before = Fleet(tmp_path / "data", forks, tmp_path / "log")
    after = Fleet(before.data, forks, before.log, NEXT)
    await before.command("token", "create", "--owner", OWNER)
    created = await asyncio.gather(*(after.command("token", "create", "--owner", OWNER) for _ in range(16)))
    assert [code for code, _ in created] == [0] * 16, after.log.read_text()
    assert (await after.command("migrate"))[0] == 0
    assert await states(before) == {"ahead"}
    assert after.complaints == []
