"""The central stores keep the contract of `records.central`, and SQLite's keeps it between processes and on disk."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobstore.sqlite import sqlite3
from records.audit import spine
from records.central import About, Central, ErasureJob, Instance, Owner, Token
from records.centrals.memory import MemoryCentral
from records.centrals.sqlite import SqliteCentral
from records.centrals.sqlite.chain import noted_sql
from records.consent import tokens
from tests.conformance.central_suite import CentralSuite
from tests.conformance.central_values import EVENT, T1, T2, added, granted, job_of, registered
from tests.fakes.warm import launch


class TestMemoryCentral(CentralSuite):
    @pytest.fixture
    def central(self) -> MemoryCentral:
        return MemoryCentral()


class TestSqliteCentral(CentralSuite):
    @pytest.fixture
    async def central(self, tmp_path: Path) -> AsyncIterator[SqliteCentral]:
        central = await SqliteCentral.open(tmp_path / "central.db")
        yield central
        await central.close()


@pytest.fixture
async def central(tmp_path: Path) -> AsyncIterator[SqliteCentral]:
    central = await SqliteCentral.open(tmp_path / "central.db")
    yield central
    await central.close()


def in_file(path: Path, text: bytes) -> list[str]:
    return [file.name for file in path.parent.iterdir() if text in file.read_bytes()]


async def test_all_of_it_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "central.db"
    central = await SqliteCentral.open(path)
    owner = await registered(central)
    await central.add_token(Token(b"t" * 32, "owner", owner, T1, None, None), EVENT)
    await added(central, owner, "one")
    await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T1, EVENT)
    await granted(central, owner, "g1", 7)
    await central.merge_state(owner.id, "slack", "one", {"a": b"2"}, T1, EVENT, grant="g1")
    await central.note(owner.id, EVENT, T1, About("g1", "slack", "blob"))
    await central.begin_erasure(job_of(owner, "e1"), EVENT)
    await central.append(owner.id, "records", [(1, b"a")], T1)
    before = await everything(central, owner)
    await central.close()

    central = await SqliteCentral.open(path)
    assert await everything(central, owner) == before
    assert await central.append(owner.id, "records", [(1, b"a")], T2) == 0
    await central.close()


async def everything(central: Central, owner: Owner) -> list[object]:
    return [
        await central.owners(),
        await central.tokens(),
        await central.connectors(owner.id),
        await central.instances(owner.id),
        await central.grants(owner.id),
        await central.state(owner.id, "slack", "one"),
        await central.state(owner.id, "slack", "one", "g1"),
        await central.noted(owner.id, About("g1", "slack", "blob"), 0, 10),
        await central.unfinished_erasures(),
        await central.spine(owner.id, 0, 10),
    ]


async def test_a_token_itself_is_in_no_file(central: SqliteCentral, tmp_path: Path) -> None:
    owner = await central.ensure_owner("ann", T1)
    token = tokens.make()
    await central.add_token(Token(tokens.digest(token), "owner", owner, T1, None, None), EVENT)
    assert in_file(tmp_path / "central.db", tokens.digest(token))
    assert in_file(tmp_path / "central.db", token.encode()) == []
    assert in_file(tmp_path / "central.db", token.removeprefix(tokens.PREFIX).encode()) == []


async def test_erased_state_is_in_no_file_once_sanitized(central: SqliteCentral, tmp_path: Path) -> None:
    owner = await registered(central)
    await added(central, owner, "one")
    await central.merge_state(owner.id, "slack", "one", {"a": b'"needle-in-state"'}, T1, EVENT)
    key = b'{"key":"needle-in-target"}'
    await central.begin_erasure(ErasureJob("e1", owner.id, key, "running", T1, None, None, "slack", "one"), EVENT)
    await central.redact_erasure("e1", b"{}")
    assert in_file(tmp_path / "central.db", b"needle-in-")
    assert await central.sanitize(5.0)
    assert in_file(tmp_path / "central.db", b"needle-in-") == []


async def test_sanitizing_waits_for_a_reader_and_says_so(central: SqliteCentral, tmp_path: Path) -> None:
    owner = await registered(central)
    reader = sqlite3.connect(tmp_path / "central.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM owners").fetchall()
    await central.append(owner.id, "records", [(1, b"a")], T1)
    assert await central.sanitize(0.2) is False
    reader.close()
    assert await central.sanitize(5.0) is True


async def test_a_spine_that_lost_its_end_is_found_and_never_closes_the_gap(
    central: SqliteCentral, tmp_path: Path
) -> None:
    owner = await central.ensure_owner("ann", T1)
    await central.append(owner.id, "records", [(n, b"%d" % n) for n in range(1, 5)], T1)
    vandal = sqlite3.connect(tmp_path / "central.db", isolation_level=None)
    vandal.execute("DELETE FROM spine WHERE seq >= 3")
    vandal.close()
    assert [each.seq for each in await central.spine(owner.id, 0, 10)] == [1, 2]
    assert await central.chained(owner.id) == 4
    await central.append(owner.id, "records", [(5, b"5")], T2)
    faults = list(spine.verify(await central.spine(owner.id, 0, 10)))
    assert [fault.message for fault in faults] == ["Events 3 to 4 are missing before event 5."]


@pytest.mark.parametrize(
    ("about", "index"),
    [
        (About(), "PRIMARY KEY"),
        (About("g1"), "noted_by_grant"),
        (About(connector="slack"), "noted_by_connector"),
        (About("g1", "slack", "blob"), "noted_by_blob"),
    ],
)
async def test_notes_are_found_through_an_index_and_never_by_a_scan(
    central: SqliteCentral, tmp_path: Path, about: About, index: str
) -> None:
    sql, named = noted_sql(about)
    reader = sqlite3.connect(tmp_path / "central.db", isolation_level=None)
    plan = [row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}", ("o", 0, *named, 10))]
    reader.close()
    assert all("SEARCH" in step for step in plan), plan
    assert len(plan) == 2, plan  # no sorting either
    assert index in plan[0]


PROCESS = """
import asyncio, json, sys
from pathlib import Path
from records.centrals.sqlite import SqliteCentral
from records.centrals.sqlite.chain import noted_sql
from records.central import Instance

async def main(path, name, rounds):
    central = await SqliteCentral.open(Path(path))
    owner = await central.ensure_owner("ann", "t")
    await central.register(owner.id, "slack", b"{}", "t", b"{}")
    default = await central.ensure_default_instance(owner.id, "slack", name, "t")
    for n in range(1, rounds + 1):
        both = [(m, b"shared %d" % m) for m in range(max(1, n - 5), n + 1)]
        mine = [(m, f"{name} {m}".encode()) for m in (n, n)]
        await asyncio.gather(
            central.append(owner.id, "shared", both, "t"),
            central.append(owner.id, name, mine, "t"),
        )
    await central.close()
    print(json.dumps([owner.id, default.id]))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_processes_that_start_and_append_at_once_give_one_chain_with_each_event_once(
    tmp_path: Path, forks: Path
) -> None:
    path, rounds, names = tmp_path / "central.db", 40, ["p1", "p2", "p3"]
    processes = [launch(forks, "-c", PROCESS, path, name, rounds) for name in names]
    answers = [json.loads(await asyncio.to_thread(each.end)) for each in processes]

    central = await SqliteCentral.open(path)
    assert {tuple(answer) for answer in answers} == {(answers[0][0], answers[0][1])}
    events = await central.spine(answers[0][0], 0, 10_000)
    assert list(spine.verify(events)) == []
    bodies = [event.body for event in events]
    for name in ["shared", *names]:
        mine = [body for body in bodies if body.startswith(name.encode() + b" ")]
        assert mine == [f"{name} {n}".encode() for n in range(1, rounds + 1)]
    registrations = len(names)
    assert len(bodies) == rounds * (1 + len(names)) + registrations
    assert await central.check() == []
    await central.close()


KILLED = """
import asyncio, sys
from pathlib import Path
from records.centrals.sqlite import SqliteCentral
from records.centrals.sqlite.chain import noted_sql

async def main(path):
    central = await SqliteCentral.open(Path(path))
    owner = await central.ensure_owner("ann", "t")
    print(owner.id, flush=True)
    for n in range(1, 100_000):
        await central.append(owner.id, "records", [(n, b"%d" % n)], "t")
        print(n, flush=True)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("lines", [1, 2, 30])
async def test_what_was_appended_survives_a_kill(tmp_path: Path, forks: Path, lines: int) -> None:
    path = tmp_path / "central.db"
    process = launch(forks, "-c", KILLED, path)
    told = [process.out.readline().strip() for _ in range(lines)]
    told += process.killed().split()

    central = await SqliteCentral.open(path)
    events = await central.spine(told[0], 0, 100_000)
    assert [event.body.decode() for event in events][: len(told) - 1] == told[1:]
    assert len(events) <= len(told)  # at most one that it had no time to tell of
    assert list(spine.verify(events)) == []
    assert await central.check() == []
    assert await central.append(told[0], "records", [(n, b"%d" % n) for n in range(1, len(events) + 2)], T2) == 1
    await central.close()


async def test_an_instance_keeps_its_id_apart_from_sql(central: SqliteCentral) -> None:
    owner = await registered(central, "'; DROP TABLE owners; --", "a'b\0c")
    strange = Instance('x"y%_\0\U0001f600', "a'b\0c", False, T1, None)
    assert await central.add_instance(owner.id, strange) == strange
    assert await central.instances(owner.id, "a'b\0c") == [strange]
