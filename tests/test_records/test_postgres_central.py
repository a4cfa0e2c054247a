"""The central store in PostgreSQL keeps the contract of `records.central`, between processes and when it is cut off."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from blobstore.postgres import Database
from records.audit import spine
from records.central import About, ErasureJob, Instance, Token
from records.centrals.postgres import PostgresCentral
from records.centrals.postgres.chain import noted_sql
from records.manifest import MAX_ID
from tests.conformance.central_suite import CentralSuite
from tests.conformance.central_values import EVENT, T1, T2, added, granted, job_of, registered
from tests.fakes.emptied import Emptied, central_tables
from tests.fakes.postgres import Cluster
from tests.fakes.postgres_proxy import Proxy
from tests.fakes.warm import launch


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture
async def central(database: Database) -> AsyncIterator[PostgresCentral]:
    central = await PostgresCentral.open(database)
    yield central
    await central.close()


@pytest.fixture
async def vandal(central: PostgresCentral, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody with a connection of his own to the database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


class TestPostgresCentral(CentralSuite):
    @pytest.fixture
    async def central(self, emptied: Emptied) -> AsyncIterator[PostgresCentral]:
        async with emptied.lent(central_tables) as url:
            database = await Database.open(url)
            central = await PostgresCentral.open(database)
            yield central
            await central.close()
            await database.close()


async def test_names_with_nul_and_of_any_script_come_back(central: PostgresCentral) -> None:
    owner = await registered(central, "'; DROP TABLE owners; --\0", "a'b\0c")
    strange = Instance('x"y%_\0\U0001f600', "a'b\0c", False, T1, None)
    assert await central.add_instance(owner.id, strange) == strange
    assert await central.instances(owner.id, "a'b\0c") == [strange]
    await central.merge_state(owner.id, "a'b\0c", strange.id, {"\0": b"\0"}, T1, EVENT)
    assert await central.state(owner.id, "a'b\0c", strange.id) == ({"\0": b"\0"}, T1)
    token = Token(b"t" * 32, "owner", owner, T1, None, None, "la\0bel")
    await central.add_token(token, EVENT)
    assert await central.tokens() == [token]
    for nothing in (central.grant("\0"), central.erasure(owner.id, "\0"), central.instance(owner.id, "\0")):
        assert await nothing is None
    assert await central.noted(owner.id, About("\0", "\0", "\0"), 0, 10) == []


async def test_names_may_be_as_long_as_they_may(central: PostgresCentral, rng: random.Random) -> None:
    def name() -> str:
        return "".join(chr(rng.randrange(0x10000, 0x110000)) for _ in range(MAX_ID))

    connector, stream = name(), name()
    owner = await registered(central, name(), connector)
    instance = await added(central, owner, name(), connector)
    default = await central.ensure_default_instance(owner.id, connector, name(), T1)
    await granted(central, owner, "g1", 1, connector)
    for grant in (None, "g1"):
        for value in (b"1", b"2"):
            await central.merge_state(owner.id, connector, instance.id, {stream: value}, T1, EVENT, grant)
        assert await central.state(owner.id, connector, instance.id, grant) == ({stream: b"2"}, T1)
    assert set(await central.instances(owner.id)) == {instance, default}
    await central.place(owner.id, connector, "s1")
    await central.note(owner.id, EVENT, T1, About("g1", connector, "blob"))
    assert len(await central.noted(owner.id, About(connector=connector), 0, 10)) == 1
    await central.begin_erasure(job_of(owner, "e1", connector), EVENT)
    assert len(await central.erased_by(owner.id, "e1")) == 2


async def test_notes_that_come_at_once_are_chained_each_once_and_some_together(
    central: PostgresCentral, vandal: asyncpg.Connection
) -> None:
    owner = await central.ensure_owner("ann", T1)
    notes = [central.note(owner.id, b"%d" % n, T1, About("g1")) for n in range(300)]
    other = [central.append(owner.id, "records", [(n, b"other")], T1) for n in range(1, 20)]
    await asyncio.gather(*notes, *other)
    events = await central.spine(owner.id, 0, 1000)
    assert list(spine.verify(events)) == []
    assert [each.body for each in events if each.body != b"other"] == [b"%d" % n for n in range(300)]
    assert [each.body for each in await central.noted(owner.id, About("g1"), 0, 1000)] == [
        b"%d" % n for n in range(300)
    ]
    assert await vandal.fetchval("SELECT count(DISTINCT xmin::text) FROM central.noted") < 30


async def test_who_began_a_note_may_be_cancelled_and_the_others_are_told(central: PostgresCentral) -> None:
    owner = await central.ensure_owner("ann", T1)
    first, *others = [asyncio.create_task(central.note(owner.id, b"%d" % n, T1, About())) for n in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(*others)
    bodies = [each.body for each in await central.spine(owner.id, 0, 10)]
    assert bodies in ([b"0", b"1", b"2", b"3", b"4"], [b"1", b"2", b"3", b"4"])


async def test_a_spine_that_lost_its_end_is_found_and_never_closes_the_gap(
    central: PostgresCentral, vandal: asyncpg.Connection
) -> None:
    owner = await central.ensure_owner("ann", T1)
    await central.append(owner.id, "records", [(n, b"%d" % n) for n in range(1, 5)], T1)
    assert await central.check() == []
    await vandal.execute("DELETE FROM central.spine WHERE seq >= 3")
    assert await central.check() == [f"the spine of {owner.id} has 2 of 4 events"]
    assert [each.seq for each in await central.spine(owner.id, 0, 10)] == [1, 2]
    assert await central.chained(owner.id) == 4
    await central.append(owner.id, "records", [(5, b"5")], T2)
    faults = list(spine.verify(await central.spine(owner.id, 0, 10)))
    assert [fault.message for fault in faults] == ["Events 3 to 4 are missing before event 5."]


@pytest.mark.parametrize(
    ("about", "index"),
    [
        (About(), "noted_pkey"),
        (About("g1"), "noted_by_grant"),
        (About(connector="slack"), "noted_by_connector"),
        (About("g1", "slack", "blob"), "noted_by_blob"),
    ],
)
async def test_notes_are_found_through_an_index_and_never_by_a_scan(
    central: PostgresCentral, vandal: asyncpg.Connection, about: About, index: str
) -> None:
    await vandal.execute(
        "INSERT INTO central.noted SELECT 'o' || n % 3, n, ('g' || n % 10)::bytea,"
        " (ARRAY['slack', 'gmail', 'a', 'b'])[n % 4 + 1]::bytea, ('blob' || n)::bytea"
        " FROM generate_series(1, 5000) AS n"
    )
    await vandal.execute("INSERT INTO central.spine SELECT owner, seq, 't', 'b', '\\x00', '\\x00' FROM central.noted")
    await vandal.execute("ANALYZE central.noted, central.spine")
    sql, named = noted_sql(about)
    plan = json.loads(await vandal.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", "o1", 0, 10, *named))
    assert index in json.dumps(plan)
    assert '"Seq Scan"' not in json.dumps(plan)


async def test_sanitizing_waits_for_a_snapshot_and_says_so(
    central: PostgresCentral, vandal: asyncpg.Connection
) -> None:
    owner = await registered(central)
    await added(central, owner, "one")
    await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T1, EVENT)
    reading = vandal.transaction(isolation="repeatable_read")
    await reading.start()
    await vandal.fetch("SELECT * FROM central.states")
    await central.drop_state(owner.id, "slack", None, None)
    assert await central.sanitize(0.2) is False
    await reading.rollback()
    assert await central.sanitize(5.0) is True


async def test_erased_state_is_in_no_file_of_any_table_or_index_once_sanitized(
    central: PostgresCentral, vandal: asyncpg.Connection, postgres: Cluster
) -> None:
    owner = await registered(central, "needle-of-subject")
    await added(central, owner, "one")
    await central.merge_state(owner.id, "slack", "one", {"needle-of-state": b'"needle-of-state"'}, T1, EVENT)
    key = b'{"key":"needle-of-target"}'
    await central.begin_erasure(ErasureJob("e1", owner.id, key, "running", T1, None, None, "slack", "one"), EVENT)
    await central.redact_erasure("e1", b"{}")
    await central.begin_erasure(replace(job_of(owner, "e2"), owner_digest="digest"), EVENT)
    needles = [b"needle-of-state", b"needle-of-target", b"needle-of-subject"]
    await vandal.execute("CHECKPOINT")
    assert in_files(postgres, needles) == set(needles)
    assert await central.sanitize(5.0)
    await vandal.execute("CHECKPOINT")
    assert in_files(postgres, needles) == set()


def in_files(postgres: Cluster, needles: list[bytes]) -> set[bytes]:
    """Those that are in some file of a table or an index."""
    found = set()
    for path in (postgres.data / "base").rglob("*"):
        if path.is_file():
            found |= {needle for needle in needles if needle in path.read_bytes()}
    return found


PROCESS = """
import asyncio, json, sys
from blobstore.postgres import Database
from records.central import About
from records.centrals.postgres import PostgresCentral

async def main(url, name, rounds):
    database = await Database.open(url)
    central = await PostgresCentral.open(database)
    owner = await central.ensure_owner("ann", "t")
    await central.register(owner.id, "slack", b"{}", "t", b"{}")
    default = await central.ensure_default_instance(owner.id, "slack", name, "t")
    for n in range(1, rounds + 1):
        both = [(m, b"shared %d" % m) for m in range(max(1, n - 5), n + 1)]
        mine = [(m, f"{name} {m}".encode()) for m in (n, n)]
        await asyncio.gather(
            central.append(owner.id, "shared", both, "t"),
            central.append(owner.id, name, mine, "t"),
            central.note(owner.id, f"note {name} {n}".encode(), "t", About(name)),
        )
    await central.close()
    await database.close()
    print(json.dumps([owner.id, default.id]))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_processes_that_start_and_append_at_once_give_one_chain_with_each_event_once(
    database_url: str, forks: Path, sized: Callable[[int, int], int]
) -> None:
    rounds, names = sized(10, 60), [f"p{number}" for number in range(16)]
    processes = [launch(forks, "-c", PROCESS, database_url, name, rounds) for name in names]
    answers = [json.loads(await asyncio.to_thread(each.end)) for each in processes]

    database = await Database.open(database_url)
    central = await PostgresCentral.open(database)
    assert {tuple(answer) for answer in answers} == {(answers[0][0], answers[0][1])}
    owner = answers[0][0]
    events = await central.spine(owner, 0, 100_000)
    assert list(spine.verify(events)) == []
    bodies = [event.body for event in events]
    expected = {"shared": "shared", **{name: name for name in names}, **{f"note {name}": name for name in names}}
    for prefix, source in expected.items():
        mine = [body for body in bodies if body.startswith(prefix.encode() + b" ")]
        assert mine == [f"{prefix} {n}".encode() for n in range(1, rounds + 1)], source
    assert len(bodies) == rounds * len(expected) + len(names)
    for name in names:
        assert len(await central.noted(owner, About(name), 0, 1000)) == rounds
    assert await central.check() == []
    await database.close()


KILLED = """
import asyncio, sys
from blobstore.postgres import Database
from records.central import About
from records.centrals.postgres import PostgresCentral

async def main(url):
    central = await PostgresCentral.open(await Database.open(url))
    owner = await central.ensure_owner("ann", "t")
    print(owner.id, flush=True)
    for n in range(1, 100_000, 2):
        await central.append(owner.id, "records", [(n, b"%d" % n)], "t")
        print(n, flush=True)
        await central.note(owner.id, b"%d" % (n + 1), "t", About())
        print(n + 1, flush=True)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_note_whose_connection_was_cut_is_chained_once(
    database_url: str, postgres: Cluster, tmp_path: Path, cut: str
) -> None:
    async with Proxy(postgres.folder, tmp_path, [cut], word=b"note 3") as proxy:
        database = await Database.open(database_url.replace(str(postgres.folder), str(tmp_path)))
        central = await PostgresCentral.open(database)
        owner = await central.ensure_owner("ann", T1)
        for number in range(1, 6):
            await central.note(owner.id, b"note %d" % number, T1, About())
        assert proxy.cuts == []
        events = await central.spine(owner.id, 0, 10)
        assert [each.body for each in events] == [b"note %d" % number for number in range(1, 6)]
        assert list(spine.verify(events)) == []
        await database.close()


@pytest.mark.parametrize("lines", [1, 2, 31])
async def test_what_was_appended_survives_a_kill(database_url: str, forks: Path, lines: int) -> None:
    process = launch(forks, "-c", KILLED, database_url)
    told = [process.out.readline().strip() for _ in range(lines)]
    told += process.killed().split()

    database = await Database.open(database_url)
    central = await PostgresCentral.open(database)
    await central.append(told[0], "after", [(1, b"after")], T2)  # waits until the one that was killed is let go of
    events = await central.spine(told[0], 0, 100_000)
    assert [event.body.decode() for event in events][: len(told) - 1] == told[1:]
    assert len(events) <= len(told) + 1  # at most one that it had no time to tell of
    assert list(spine.verify(events)) == []
    assert await central.check() == []
    await database.close()


async def test_of_two_who_begin_or_finish_an_erasure_at_once_one_does(
    central: PostgresCentral, database_url: str
) -> None:
    owner = await registered(central)
    other = await Database.open(database_url)
    centrals = [central, await PostgresCentral.open(other)]
    await asyncio.gather(*(each.begin_erasure(job_of(owner, "e1", "slack"), b"begun") for each in centrals * 5))
    await asyncio.gather(*(each.finish_erasure("e1", b"{}", b"r", T2, b"done") for each in centrals * 5))
    assert [each.body for each in await central.spine(owner.id, 1, 10)] == [b"begun", b"done"]
    await other.close()
