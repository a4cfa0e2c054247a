"""A schema of a PostgreSQL database as one end of a move: what it gives away, and what it takes in.

A schema that has moved away is renamed in the transaction that decides so, and one that says where its rows are now
stands in its place. A statement that waited for that transaction, or comes later, finds no table of that name: no
writer has to look first, and none is lost.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from asyncpg import Record

from blobstore.errors import StorageUnavailable, WrongStore
from blobstore.moving.section import Row, Section
from blobstore.moving.sides import Change, Reading, Taking
from blobstore.postgres.database import Connection, Database
from blobstore.postgres.errors import is_lock_timeout
from blobstore.postgres.migrations import LOCK, MOVED, Step, is_there, migrate

TIMEOUT = 3600.0
"""Seconds for what is copied or checked in one transaction."""

SWITCH_TIMEOUT = 30.0
"""Seconds for the switch; far more than it takes."""

LOCK_TIMEOUT = "300ms"
"""How long all writers may have to wait because one of them is at a long transaction."""


@dataclass(frozen=True, slots=True)
class Table:
    """How a section lies in the schema, where it is not a table with its name and columns.

    `raw`: columns in which texts are kept as the bytes of their UTF-8; `flags`: columns that are BOOLEAN.
    `read`: a query with the section's columns. `clear`: statements. `write`: statements, run for each row, each with
    the places in the row of what is bound in it. `added`: columns beside the section's, each made from a row.
    """

    raw: str = ""
    flags: str = ""
    read: str | None = None
    clear: tuple[str, ...] | None = None
    write: Sequence[tuple[str, tuple[int, ...]]] | None = None
    added: Mapping[str, Callable[[Row], object]] | None = None


class _On:
    """Rows as one connection sees them, in its transaction."""

    def __init__(self, side: "PostgresSide", db: Connection | Database) -> None:
        self._side = side
        self._db = db

    async def page(self, section: Section, after: Row | None, limit: int) -> list[Row]:
        keys = ", ".join(section.keys)
        beyond = "" if after is None else f"WHERE ({keys}) > ({_marks(section.key, 2)})"
        sql = f"SELECT * FROM ({self._side.reading(section)}) AS x {beyond} ORDER BY {keys} LIMIT $1"
        return self._decoded(section, await self._db.fetch(sql, limit, *self._side.encoded(section, after or ())))

    async def rows(self, section: Section, keys: Sequence[Row]) -> list[Row]:
        if not keys:
            return []
        wanted = list(zip(*(self._side.encoded(section, key) for key in keys), strict=True))
        arrays = ", ".join(f"${place}::{_TYPES[type(each[0])]}[]" for place, each in enumerate(wanted, 1))
        columns = ", ".join(section.keys)
        sql = f"""
            SELECT x.* FROM unnest({arrays}) WITH ORDINALITY AS k ({columns}, place)
            JOIN ({self._side.reading(section)}) AS x USING ({columns}) ORDER BY k.place"""
        return self._decoded(section, await self._db.fetch(sql, *wanted))

    async def all(self, section: Section) -> list[Row]:
        order = section.order or ", ".join(section.keys)
        return self._decoded(section, await self._db.fetch(f"{self._side.reading(section)} ORDER BY {order}"))

    async def changes(self, limit: int) -> list[Change]:
        found: list[Change] = []
        for section in self._side.ahead:
            columns = ", ".join(section.keys)
            sql = f"SELECT number, {columns} FROM {self._side.log(section)} ORDER BY number LIMIT $1"
            for row in await self._db.fetch(sql, limit - len(found)):
                found.append(Change(row[0], section.name, self._side.decoded(section, tuple(row)[1:])))
        return found

    async def put(self, section: Section, keys: Collection[Row], rows: Sequence[Row]) -> None:
        named = " AND ".join(f"{column} = ${place}" for place, column in enumerate(section.keys, 1))
        gone = [self._side.encoded(section, key) for key in keys]
        if gone:
            await self._connection.executemany(f"DELETE FROM {self._side.table(section)} WHERE {named}", gone)
        await self.add(section, rows)

    async def clear(self, sections: Sequence[Section]) -> None:
        for section in reversed(sections):
            for statement in self._side.clearing(section):
                await self._connection.execute(statement)

    async def add(self, section: Section, rows: Sequence[Row]) -> None:
        table = self._side.tables[section.name]
        encoded = [self._side.encoded(section, row) for row in rows]
        if table.write is not None:
            for statement, places in table.write:
                await self._connection.executemany(statement, [[row[place] for place in places] for row in encoded])
            return
        added = table.added or {}
        more = [(*row, *(make(row) for make in added.values())) for row in encoded]
        await self._connection.copy_records_to_table(
            section.name, schema_name=self._side.schema, columns=[*section.columns, *added], records=more
        )

    @property
    def _connection(self) -> Connection:
        assert not isinstance(self._db, Database), "rows are written in a transaction"
        return self._db

    def _decoded(self, section: Section, rows: Sequence[Record]) -> list[Row]:
        return [self._side.decoded(section, tuple(row)) for row in rows]


class PostgresSide:
    """Adapter of `blobstore.moving.sides.Source` and `Target`. The database stays its opener's to close.

    `before`: what is to be done in the transaction that gives the store away, before its rows are read.
    """

    def __init__(
        self,
        database: Database,
        schema: str,
        steps: Sequence[Step],
        sections: Sequence[Section],
        tables: Mapping[str, Table],
        before: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        self.schema = schema
        self.tables = {each.name: tables.get(each.name, Table()) for each in sections}
        self.ahead = [each for each in sections if each.ahead]
        self._database = database
        self._steps = steps
        self._before = before
        self._codecs = {each.name: _codecs(each, self.tables[each.name]) for each in sections}
        self._now = _On(self, database)

    async def close(self) -> None:
        """Nothing of its own is open."""

    # -- reading ---------------------------------------------------------------------------------------------------

    async def page(self, section: Section, after: Row | None, limit: int) -> list[Row]:
        return await self._now.page(section, after, limit)

    async def rows(self, section: Section, keys: Sequence[Row]) -> list[Row]:
        return await self._database.read(lambda db: _On(self, db).rows(section, keys))

    async def all(self, section: Section) -> list[Row]:
        return await self._now.all(section)

    async def changes(self, limit: int) -> list[Change]:
        return await self._now.changes(limit)

    # -- giving away -----------------------------------------------------------------------------------------------

    async def moved(self) -> str | None:
        async def look(db: Connection) -> str | None:
            if not await is_there(db, self.schema, "migrations"):
                return "elsewhere"
            if not await is_there(db, self.schema, "moved"):
                return None
            place: str = await db.fetchval(f"SELECT place FROM {self.schema}.moved")
            return place

        return await self._database.read(look)

    async def watch(self) -> None:
        async def run(db: Connection) -> None:
            await self._require_owned(db)
            await self._drop_watch(db)
            for section in self.ahead:
                await db.execute(self._watching(section))

        await self._database.write(run, timeout=SWITCH_TIMEOUT)

    async def unwatch(self) -> None:
        await self._database.write(self._drop_watch, timeout=SWITCH_TIMEOUT)

    async def settle(self, changes: Collection[Change]) -> None:
        async def run(db: Connection) -> None:
            for section in self.ahead:
                numbers = [each.number for each in changes if each.section == section.name]
                await db.execute(f"DELETE FROM {self.log(section)} WHERE number = ANY ($1::bigint[])", numbers)

        await self._database.write(run)

    async def one_moment(self, work: Callable[[Reading], Awaitable[None]]) -> None:
        await self._database.read(lambda db: work(_On(self, db)), timeout=TIMEOUT)

    async def leave(self, work: Callable[[Reading], Awaitable[bool]], place: str) -> bool:
        async def run(db: Connection) -> None:
            await db.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            await db.execute(f"LOCK TABLE {', '.join(await self._tables(db))} IN EXCLUSIVE MODE")
            await db.execute("SET LOCAL lock_timeout = 0")
            if self._before is not None:
                await self._before(db)
            if not await work(_On(self, db)):
                raise _StaysError
            await self._drop_watch(db)
            await db.execute(_LEAVE.format(schema=self.schema))
            await db.execute(f"INSERT INTO {self.schema}.moved VALUES ($1)", place)

        try:
            await self._database.write(run, timeout=SWITCH_TIMEOUT)
        except _StaysError:
            return False
        except StorageUnavailable as error:
            if is_lock_timeout(error.__cause__):
                return False
            raise
        return True

    async def serves(self) -> bool:
        return await self.moved() is None and not await is_there(self._database, self.schema, "coming")

    async def remove(self) -> None:
        """As the port says; what says where the rows are now stays."""
        if await self.serves():
            raise WrongStore(f"the database's schema {self.schema} has not moved away")

        async def run(db: Connection) -> None:
            await db.execute(f"DROP SCHEMA IF EXISTS {self.schema}_moved CASCADE")
            if await is_there(db, self.schema, "coming"):
                await db.execute(f"DROP SCHEMA {self.schema} CASCADE")

        await self._database.write(run)

    # -- taking in -------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        async def run(db: Connection) -> None:
            await db.execute(f"DROP SCHEMA IF EXISTS {self.schema}_moved CASCADE")
            if await self._tables(db):
                if not any([await is_there(db, self.schema, name) for name in ("moved", "coming")]):
                    raise WrongStore(f"the database's schema {self.schema} is in use; nothing is moved over it")
                await db.execute(f"DROP SCHEMA {self.schema} CASCADE")
            if not await db.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", self.schema):
                await db.execute(f"CREATE SCHEMA {self.schema}")
            await db.execute(f"CREATE TABLE {self.schema}.coming (one INTEGER)")

        await self._database.write(run, lock=LOCK, timeout=SWITCH_TIMEOUT)
        await migrate(self._database, self.schema, self._steps)

    async def take(self, work: Callable[[Taking], Awaitable[None]]) -> None:
        await self._database.write(lambda db: work(_On(self, db)), timeout=TIMEOUT)

    async def faults(self) -> list[str]:
        return []  # PostgreSQL checks what it stores when it reads it

    async def arrived(self) -> None:
        await self._database.write(lambda db: db.execute(f"DROP TABLE IF EXISTS {self.schema}.coming"))

    # -- how a section lies here -----------------------------------------------------------------------------------

    def table(self, section: Section) -> str:
        """The table of a section that is one."""
        return f"{self.schema}.{section.name}"

    def log(self, section: Section) -> str:
        """Where changes of a section are noted."""
        return f"{self.schema}.watch_{section.name}"

    def reading(self, section: Section) -> str:
        """A query for all of its rows."""
        return self.tables[section.name].read or f"SELECT {', '.join(section.columns)} FROM {self.table(section)}"

    def clearing(self, section: Section) -> Sequence[str]:
        """Statements that take all of its rows away."""
        clear = self.tables[section.name].clear
        return (f"DELETE FROM {self.table(section)}",) if clear is None else clear

    def encoded(self, section: Section, row: Row) -> Row:
        """A row, or the key of one, as the tables want it."""
        return tuple(_encoded(value, codec) for value, codec in zip(row, self._codecs[section.name], strict=False))

    def decoded(self, section: Section, row: Row) -> Row:
        """A row, or the key of one, as no database has it."""
        return tuple(_decoded(value, codec) for value, codec in zip(row, self._codecs[section.name], strict=False))

    # -- within ----------------------------------------------------------------------------------------------------

    async def _tables(self, db: Connection) -> list[str]:
        sql = """
            SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') ORDER BY 1"""
        return [row[0] for row in await db.fetch(sql, self.schema)]

    async def _require_owned(self, db: Connection) -> None:
        sql = """
            SELECT pg_has_role(nspowner, 'USAGE') AND has_database_privilege(current_database(), 'CREATE')
            FROM pg_namespace WHERE nspname = $1"""
        if not await db.fetchval(sql, self.schema):
            raise StorageUnavailable(
                f"to move the schema {self.schema} away its role must own it, and may create schemas in the database"
            )

    async def _drop_watch(self, db: Connection) -> None:
        for section in self.ahead:
            await db.execute(f"DROP TABLE IF EXISTS {self.log(section)}")
            await db.execute(f"DROP FUNCTION IF EXISTS {self.log(section)}() CASCADE")  # and the trigger

    def _watching(self, section: Section) -> str:
        columns = ", ".join(section.keys)
        empty = f"SELECT 0::bigint AS number, {columns} FROM {self.table(section)} LIMIT 0"
        noted = f"INSERT INTO {self.log(section)} ({columns}) VALUES"
        old, new = (", ".join(f"{row}.{column}" for column in section.keys) for row in ("OLD", "NEW"))
        return f"""
            CREATE TABLE {self.log(section)} AS {empty};
            ALTER TABLE {self.log(section)} ALTER number SET NOT NULL, ALTER number ADD GENERATED ALWAYS AS IDENTITY,
                ADD PRIMARY KEY (number);
            CREATE FUNCTION {self.log(section)}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF TG_OP != 'INSERT' THEN {noted} ({old}); END IF;
                IF TG_OP != 'DELETE' THEN {noted} ({new}); END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON {self.table(section)}
                FOR EACH ROW EXECUTE FUNCTION {self.log(section)}()"""


_TYPES = {str: "text", bytes: "bytea", int: "bigint"}
"""Of what columns of keys are."""


class _StaysError(Exception):
    """It is not to leave now."""


def _codecs(section: Section, table: Table) -> list[str]:
    raw, flags = table.raw.split(), table.flags.split()
    return ["raw" if each in raw else "flag" if each in flags else "" for each in section.columns]


def _encoded(value: object, codec: str) -> object:
    if value is None or not codec:
        return value
    return str(value).encode() if codec == "raw" else bool(value)


def _decoded(value: object, codec: str) -> object:
    if isinstance(value, bytes) and codec == "raw":
        return value.decode()
    return int(value) if isinstance(value, bool) else value


def _marks(count: int, first: int) -> str:
    return ", ".join(f"${place}" for place in range(first, first + count))


_LEAVE = f"""
DROP SCHEMA IF EXISTS {{schema}}_moved CASCADE;
ALTER SCHEMA {{schema}} RENAME TO {{schema}}_moved;
CREATE SCHEMA {{schema}};
CREATE TABLE {{schema}}.migrations (
    name TEXT COLLATE "C" PRIMARY KEY, number INTEGER NOT NULL, additive BOOLEAN NOT NULL
);
INSERT INTO {{schema}}.migrations VALUES ('{MOVED}', 0, false);
CREATE TABLE {{schema}}.moved (place TEXT NOT NULL)
"""
