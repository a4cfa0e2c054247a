"""Transactions on PostgreSQL: done once, repeated where that is safe, refused in time where nobody answers."""

import asyncio
import random
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from blobstore.errors import NewerVersion, StorageUnavailable
from blobstore.postgres import Connection, Database, Isolation, Step, migrate, migrations
from blobstore.postgres.binding import BOUND, bind
from blobstore.postgres.groups import Groups
from blobstore.postgres.outbox import NUMBERING, OUTBOX, number
from tests.fakes.postgres import USER, Cluster, statement
from tests.fakes.postgres_proxy import Proxy
from tests.fakes.warm import launch

COUNTER = Step("counter", "CREATE TABLE s.counter (n INT NOT NULL); INSERT INTO s.counter VALUES (0)")
COLOUR = Step("colour", "ALTER TABLE s.counter ADD COLUMN colour TEXT", additive=True)
MORE = Step("more", "CREATE TABLE s.more (n INT)")
RAISE = "UPDATE s.counter SET n = n + 1 RETURNING n"
LOOK = "SELECT n FROM s.counter"

ONE_OF_MANY = """
import asyncio, sys
from blobstore.postgres import Database, Step, migrate
from blobstore.postgres.binding import BOUND, bind

async def prepare():
    database = await Database.open(sys.argv[1])
    counter = Step("counter", "CREATE TABLE s.counter (n INT NOT NULL); INSERT INTO s.counter VALUES (0)")
    await migrate(database, "s", [counter, Step("bound", BOUND.format(schema="s"))])
    await bind(database, "s", "the first name")
    await database.execute("UPDATE s.counter SET n = n + 1")
    await database.close()

sys.stdin.read()  # all begin together
asyncio.run(prepare())
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    await migrate(database, "s", [COUNTER])
    yield database
    await database.close()


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A server that the test may stop."""
    cluster = Cluster()
    yield cluster
    cluster.remove()


async def raise_counter(db: Connection) -> int:
    raised: int = await db.fetchval(RAISE)
    return raised


async def once(database: Database, sql: str) -> tuple[Any, ...]:
    """The row that it gives."""
    row = await database.once(sql)
    assert row is not None
    return tuple(row)


class TestTransactions:
    async def test_what_was_written_is_read(self, database: Database) -> None:
        assert await database.write(raise_counter) == 1
        assert await database.fetchval(LOOK) == 1

    async def test_an_error_undoes_all_of_its_transaction(self, database: Database) -> None:
        async def fail(db: Connection) -> None:
            await db.execute(RAISE)
            raise LookupError

        with pytest.raises(LookupError):
            await database.write(fail)
        assert await database.fetchval(LOOK) == 0

    async def test_a_read_sees_one_moment(self, database: Database) -> None:
        async def twice(db: Connection) -> tuple[int, int]:
            first = await db.fetchval(LOOK)
            await database.write(raise_counter)
            return first, await db.fetchval(LOOK)

        assert await database.read(twice) == (0, 0)

    async def test_a_read_cannot_write(self, database: Database) -> None:
        with pytest.raises(StorageUnavailable, match="read-only"):
            await database.read(raise_counter)

    async def test_a_mistake_in_our_sql_stays_what_it_is(self, database: Database) -> None:
        with pytest.raises(asyncpg.UndefinedColumnError):
            await database.fetch("SELECT nothing FROM s.counter")
        assert await database.fetchval(LOOK) == 0

    async def test_an_error_that_was_passed_over_is_no_success(self, database: Database) -> None:
        async def pass_over(db: Connection) -> None:
            await db.execute(RAISE)
            with pytest.raises(asyncpg.UndefinedColumnError):
                await db.execute("SELECT nothing FROM s.counter")

        with pytest.raises(RuntimeError):
            await database.write(pass_over)
        assert await database.fetchval(LOOK) == 0

    @pytest.mark.parametrize("isolation", list(Isolation))
    async def test_writers_of_the_same_row_are_all_counted(self, database: Database, isolation: Isolation) -> None:
        async def look_then_set(db: Connection) -> None:
            suffix = " FOR UPDATE" if isolation is Isolation.READ_COMMITTED else ""
            n = await db.fetchval(LOOK + suffix)
            await db.execute("UPDATE s.counter SET n = $1", n + 1)

        await asyncio.gather(*(database.write(look_then_set, isolation=isolation) for _ in range(20)))
        assert await database.fetchval(LOOK) == 20

    async def test_under_one_lock_one_writes_at_a_time(self, database: Database) -> None:
        async def look_then_set(db: Connection) -> None:
            n = await db.fetchval(LOOK)
            await db.execute("UPDATE s.counter SET n = $1", n + 1)

        await asyncio.gather(*(database.write(look_then_set, lock="the counter") for _ in range(20)))
        assert await database.fetchval(LOOK) == 20

    async def test_of_two_that_deadlock_both_are_done(self, database: Database) -> None:
        await database.write(lambda db: db.execute("CREATE TABLE s.pair (id INT PRIMARY KEY, n INT)"))
        await database.executemany("INSERT INTO s.pair VALUES ($1, 0)", [(1,), (2,)])
        met = asyncio.Barrier(2)
        waited: set[int] = set()

        async def both(db: Connection, first: int) -> None:
            await db.execute("UPDATE s.pair SET n = n + 1 WHERE id = $1", first)
            if first not in waited:
                waited.add(first)
                await met.wait()
            await db.execute("UPDATE s.pair SET n = n + 1 WHERE id = $1", 3 - first)

        await asyncio.gather(*(database.write(partial(both, first=n)) for n in (1, 2)))
        assert await database.fetchval("SELECT sum(n) FROM s.pair") == 4

    async def test_who_is_cancelled_leaves_nothing_locked(self, database: Database) -> None:
        begun = asyncio.Event()

        async def hang(db: Connection) -> None:
            await db.execute(RAISE)
            begun.set()
            await db.execute("SELECT pg_sleep(60)")

        task = asyncio.create_task(database.write(hang, lock="the counter"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await database.write(raise_counter, lock="the counter") == 1

    async def test_a_statement_that_takes_too_long_is_ended(self, database: Database) -> None:
        with pytest.raises(StorageUnavailable):
            await database.write(lambda db: db.execute("SELECT pg_sleep(60)"), timeout=0.1)
        assert await database.write(raise_counter) == 1

    async def test_outside_a_transaction_tables_can_be_vacuumed(self, database: Database) -> None:
        await database.outside(lambda db: db.execute("VACUUM s.counter"), timeout=60)

    async def test_a_closed_database_refuses(self, database_url: str) -> None:
        database = await Database.open(database_url)
        await database.close()
        await database.close()
        with pytest.raises(StorageUnavailable):
            await database.fetch("SELECT 1")

    async def test_commits_are_durable_whatever_the_default(self, database_url: str) -> None:
        admin = await asyncpg.connect(database_url)
        name = await admin.fetchval("SELECT current_database()")
        await admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        await admin.close()
        database = await Database.open(database_url)
        assert await database.fetchval("SELECT current_setting('synchronous_commit')") == "on"
        await database.close()


class TestLostConnections:
    @pytest.mark.parametrize("cuts", [["before"], ["after"], ["before", "before", "after"]])
    async def test_a_commit_whose_answer_was_lost_is_done_once(
        self, database: Database, postgres: Cluster, database_url: str, cuts: list[str]
    ) -> None:
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            async with Proxy(postgres.folder, Path(folder), list(cuts)) as proxy:
                cut_off = await Database.open(database_url.replace(str(postgres.folder), folder))
                assert await cut_off.write(raise_counter) == 1
                assert proxy.cuts == []
                assert await cut_off.write(raise_counter) == 2
                await cut_off.close()
        assert await database.fetchval(LOOK) == 2

    async def test_a_connection_that_is_lost_before_the_commit_is_no_matter(self, database: Database) -> None:
        ended: list[int] = []

        async def lose(db: Connection) -> int:
            raised: int = await db.fetchval(RAISE)
            if not ended:
                ended.append(await db.fetchval("SELECT pg_backend_pid()"))
                await database.fetch("SELECT pg_terminate_backend($1)", ended[0])
            await db.execute("SELECT 1")
            return raised

        assert await database.write(lose) == 1
        assert await database.fetchval(LOOK) == 1

    async def test_a_statement_that_was_sent_is_not_sent_again(self, database: Database) -> None:
        assert await once(database, RAISE) == (1,)
        with pytest.raises(StorageUnavailable):
            await database.once("SELECT pg_terminate_backend(pg_backend_pid())")
        assert await once(database, RAISE) == (2,)

    async def test_a_restart_is_a_pause(self, own_cluster: Cluster) -> None:
        database = await Database.open(own_cluster.url("postgres"))
        await migrate(database, "s", [COUNTER])
        for how in (signal.SIGINT, signal.SIGQUIT):
            await asyncio.to_thread(own_cluster.stop, how)
            waiting = [asyncio.create_task(database.write(raise_counter)) for _ in range(20)]
            await asyncio.sleep(0.2)
            await asyncio.to_thread(own_cluster.start)
            await asyncio.gather(*waiting)
        assert await database.fetchval(LOOK) == 40
        await database.close()

    async def test_a_database_that_stays_away_is_unavailable_in_time(
        self, own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = await Database.open(own_cluster.url("postgres"))
        await database.fetch("SELECT 1")
        await asyncio.to_thread(own_cluster.stop)
        monkeypatch.setattr("blobstore.postgres.connection.RECONNECT", 0.5)
        began = time.monotonic()
        answers = await asyncio.gather(
            *(database.fetch("SELECT 1") for _ in range(30)),
            *(database.write(raise_counter) for _ in range(30)),
            return_exceptions=True,
        )
        assert {type(each) for each in answers} == {StorageUnavailable}
        assert time.monotonic() - began < 30
        await database.close()

    async def test_a_database_that_stands_still_is_unavailable_in_time(
        self, own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = await Database.open(own_cluster.url("postgres"))
        await database.fetch("SELECT 1")
        monkeypatch.setattr("blobstore.postgres.database.GRACE", 0.2)
        monkeypatch.setattr("blobstore.postgres.transaction.ROLLBACK_TIMEOUT", 0.2)
        await asyncio.to_thread(own_cluster.pause)
        with pytest.raises(StorageUnavailable):
            await database.write(raise_counter, timeout=0.2)
        await asyncio.to_thread(own_cluster.go_on)
        assert await database.fetchval("SELECT 1") == 1
        await database.close()

    @pytest.mark.parametrize("url", ["postgresql://nobody@/x?host=/nonexistent", "postgresql://h:port/x", "no url"])
    async def test_a_url_that_leads_nowhere_is_unavailable(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("blobstore.postgres.connection.RECONNECT", 0.1)
        with pytest.raises(StorageUnavailable):
            await (await Database.open(url)).fetch("SELECT 1")


class TestGroups:
    async def test_writes_at_once_under_one_lock_share_their_commits(self, database: Database) -> None:
        groups = Groups(database)

        async def which(db: Connection) -> str:
            await db.execute(RAISE)
            number: str = await db.fetchval("SELECT pg_current_xact_id()::text")
            return number

        numbers = await asyncio.gather(*(groups.write("the counter", which) for _ in range(30)))
        assert await database.fetchval(LOOK) == 30
        assert len(set(numbers)) <= 2  # the first, and those who waited for it

    async def test_one_that_fails_undoes_itself_alone(self, database: Database) -> None:
        groups = Groups(database)

        async def fail(db: Connection) -> int:
            await db.execute(RAISE)
            raise LookupError

        async def collide(db: Connection) -> int:
            await db.execute(RAISE)
            await db.execute("SELECT 1 / 0")
            return 0

        works = [raise_counter, raise_counter, fail, collide, raise_counter]
        answers = await asyncio.gather(*(groups.write("n", work) for work in works), return_exceptions=True)
        assert [type(each) for each in answers] == [int, int, LookupError, asyncpg.DivisionByZeroError, int]
        assert await database.fetchval(LOOK) == 3

    async def test_a_connection_that_is_lost_has_all_of_the_group_repeated(self, database: Database) -> None:
        groups = Groups(database)
        ended: list[int] = []

        async def lose(db: Connection) -> int:
            raised: int = await db.fetchval(RAISE)
            if not ended:
                ended.append(await db.fetchval("SELECT pg_backend_pid()"))
                await database.fetch("SELECT pg_terminate_backend($1)", ended[0])
            await db.execute("SELECT 1")
            return raised

        works = [raise_counter, raise_counter, lose, raise_counter]
        assert await asyncio.gather(*(groups.write("n", work) for work in works)) == [1, 2, 3, 4]
        assert await database.fetchval(LOOK) == 4

    async def test_who_is_cancelled_takes_nobody_with_him(self, database: Database) -> None:
        groups = Groups(database)
        tasks = [asyncio.create_task(groups.write("n", raise_counter)) for _ in range(6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[3].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, int) for each in answers] == [False, True, True, False, True, True]

    async def test_different_locks_do_not_wait_for_each_other(self, database: Database) -> None:
        groups = Groups(database)
        met = asyncio.Barrier(2)

        async def meet(db: Connection) -> None:
            await met.wait()

        await asyncio.gather(groups.write("one", meet), groups.write("two", meet))

    async def test_a_closed_database_refuses_groups(self, database_url: str) -> None:
        database = await Database.open(database_url)
        groups = Groups(database)
        await database.close()
        with pytest.raises(StorageUnavailable):
            await groups.write("n", raise_counter)


class TestMigrations:
    async def test_a_step_is_taken_once(self, database: Database) -> None:
        await database.write(raise_counter)
        await migrate(database, "s", [COUNTER])
        await migrate(database, "s", [COUNTER, Step("more", "CREATE TABLE s.more (n INT)")])
        assert await database.fetchval(LOOK) == 1
        assert await database.fetchval("SELECT count(*) FROM s.more") == 0

    async def test_a_step_that_fails_leaves_nothing(self, database: Database) -> None:
        broken = [COUNTER, Step("more", "CREATE TABLE s.more (n INT)"), Step("broken", "CREATE TABLE s.more (n INT)")]
        with pytest.raises(asyncpg.DuplicateTableError):
            await migrate(database, "s", broken)
        await migrate(database, "s", broken[:2])

    async def test_a_newer_version_is_refused(self, database: Database) -> None:
        await migrate(database, "s", [COUNTER, Step("more", "CREATE TABLE s.more (n INT)")])
        with pytest.raises(NewerVersion, match="more"):
            await migrate(database, "s", [COUNTER])

    async def test_a_step_that_others_need_not_know_is_taken_beside_them(
        self, database: Database, database_url: str
    ) -> None:
        older = await Database.open(database_url, uses={"s": [COUNTER]})
        await older.write(raise_counter)
        await migrate(database, "s", [COUNTER, COLOUR])
        await older.write(raise_counter)
        await migrate(older, "s", [COUNTER])
        later = await Database.open(database_url, uses={"s": [COUNTER]})
        assert await later.write(raise_counter) == 3
        for each in (older, later):
            await each.close()

    async def test_a_step_that_must_be_known_is_not_taken_beside_who_does_not_know_it(
        self, database: Database, database_url: str
    ) -> None:
        older = await Database.open(database_url, uses={"s": [COUNTER, COLOUR]})
        same = await Database.open(database_url, uses={"s": [COUNTER, COLOUR, MORE]})
        for each in (older, same):
            await each.write(raise_counter)
        with pytest.raises(StorageUnavailable, match="stop all of them"):
            await migrate(database, "s", [COUNTER, COLOUR, MORE])
        await older.write(raise_counter)
        await older.close()
        await migrate(database, "s", [COUNTER, COLOUR, MORE])
        assert await same.write(raise_counter) == 4
        await same.close()

    async def test_who_was_away_when_it_was_taken_is_refused_and_writes_nothing(
        self, database: Database, database_url: str
    ) -> None:
        older = await Database.open(database_url, uses={"s": [COUNTER]}, size=1)
        await older.write(raise_counter)
        pid = await older.fetchval("SELECT pg_backend_pid()")
        await database.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
        await migrate(database, "s", [COUNTER, MORE])
        for _ in range(2):
            with pytest.raises(NewerVersion, match="more"):
                await older.write(raise_counter)
        assert await database.fetchval(LOOK) == 1
        await older.close()

    @pytest.mark.parametrize(
        ("off", "told"), [(3600, "3,600 s ahead of"), (-40, "40 s behind"), (20, None), (-20, None)]
    )
    async def test_a_machine_whose_clock_is_far_from_the_databases_is_refused_and_says_how_far(
        self, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, off: int, told: str | None
    ) -> None:
        right = time.time
        monkeypatch.setattr(time, "time", lambda: right() + off)
        here = await Database.open(database_url, uses={"s": [COUNTER]})
        if told is None:
            await here.write(raise_counter)
        else:
            with pytest.raises(StorageUnavailable, match=f"the clock of this machine is {told} the database's"):
                await here.write(raise_counter)
        await here.close()

    async def test_a_step_waits_for_who_reads_and_lets_others_pass(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "20ms")
        monkeypatch.setattr(random, "uniform", lambda *_: 0.05)
        async with database.moment() as reading:
            assert await reading.fetch(LOOK)
            migrating = asyncio.create_task(migrate(database, "s", [COUNTER, COLOUR]))
            for number in range(1, 20):
                assert await database.write(raise_counter) == number
                await asyncio.sleep(0.01)
            assert not migrating.done()
        await migrating
        assert await database.fetchval("SELECT colour FROM s.counter") is None

    async def test_who_may_not_make_a_schema_is_told_what_it_takes(self, database: Database, database_url: str) -> None:
        await database.write(lambda db: db.execute("CREATE ROLE stranger LOGIN"))
        try:
            stranger = await Database.open(database_url.replace(USER, "stranger", 1))
            with pytest.raises(StorageUnavailable, match=r"permission denied.*must own"):
                await migrate(stranger, "s", [COUNTER])
            await stranger.close()
        finally:
            await database.write(lambda db: db.execute("DROP ROLE stranger"))

    @pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
    async def test_another_encoding_than_utf8_is_refused(
        self, database: Database, postgres: Cluster, encoding: str
    ) -> None:
        name = f"encoded_in_{encoding.lower()}"
        sql = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        await database.outside(lambda db: db.execute(sql), timeout=30)
        try:
            other = await Database.open(postgres.url(name))
            with pytest.raises(StorageUnavailable, match=encoding):
                await migrate(other, "s", [COUNTER])
            await other.close()
        finally:
            await postgres.drop(name)

    async def test_what_the_role_has_for_its_sessions_changes_nothing(
        self, database: Database, database_url: str
    ) -> None:
        for each in (
            "standard_conforming_strings = off",
            "default_transaction_read_only = on",
            "statement_timeout = 1",
        ):
            sql = f"DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET {each}'; END $$"
            await database.write(statement(sql))
        other = await Database.open(database_url)
        await migrate(
            other, "s", [COUNTER, Step("one", r"CREATE TABLE s.t AS SELECT '\x00'::bytea AS b FROM pg_sleep(0.01)")]
        )
        assert await other.fetchval("SELECT b FROM s.t") == b"\0"
        await other.close()

    async def test_sixteen_processes_at_once_make_one_schema(self, database_url: str, forks: Path) -> None:
        processes = [launch(forks, "-c", ONE_OF_MANY, database_url) for _ in range(16)]
        await asyncio.gather(*(asyncio.to_thread(each.end) for each in processes))
        database = await Database.open(database_url)
        assert await database.fetchval(LOOK) == 16
        await database.close()


async def test_the_first_name_that_is_bound_stays(database: Database) -> None:
    await migrate(database, "s", [COUNTER, Step("bound", BOUND.format(schema="s"))])
    names = await asyncio.gather(*(bind(database, "s", f"name {n}") for n in range(8)))
    assert len(set(names)) == 1
    assert await bind(database, "s", "another") == names[0]


async def test_an_event_that_commits_late_is_not_hidden_by_a_higher_number(database: Database) -> None:
    await migrate(database, "s", [COUNTER, Step("outbox", OUTBOX.format(schema="s"))])
    insert = "INSERT INTO s.outbox (namespace, body) VALUES ($1, $2)"

    async def drain() -> list[tuple[int, bytes]]:
        await database.write(lambda db: number(db, "s"))
        rows = await database.fetch("SELECT seq, body FROM s.outbox ORDER BY seq")
        await database.execute("DELETE FROM s.outbox WHERE seq <= $1", max((seq for seq, _ in rows), default=0))
        return [(seq, body) for seq, body in rows]

    async def late(db: Connection) -> None:
        await db.execute(insert, "one", b"late")
        await database.execute(insert, "two", b"early")
        drained.extend(await drain())

    drained: list[tuple[int, bytes]] = []
    await database.write(late)
    drained.extend(await drain())
    assert drained == [(1, b"early"), (2, b"late")]
    assert await drain() == []
    assert tuple(await database.fetchrow(NUMBERING.format(schema="s")) or ()) == (2, 2)
