"""Whole schemas in files, and files in an empty database: a file for each table, and one that says what they are.

The files are those of `COPY … (FORMAT binary)`, named `SCHEMA.TABLE`. `database.json` has the migrations that had made
the tables, so that files of an older version are read into the tables that they came from and migrated then; and how
far the sequences had come: a number that was given and is in no row any more must not be given again.
"""

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import msgspec

from blobstore.errors import Damaged, NewerVersion, StorageUnavailable
from blobstore.postgres.database import Connection, Database
from blobstore.postgres.migrations import Step, applied, migrate
from blobstore.postgres.moment import Moment

ABOUT = "database.json"
LOAD_TIMEOUT = 24 * 3600.0
"""Seconds that it may take to load everything: it is one transaction."""

_TABLES = """
SELECT relname::text FROM pg_class
WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    AND relname != 'migrations' AND $1 || '.' || relname != ALL($2::text[])
ORDER BY relname
"""
_NEEDS = """
SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
WHERE contype = 'f' AND conrelid != confrelid AND connamespace = $1::text::regnamespace
"""
_SEQUENCES = "SELECT sequencename::text, last_value FROM pg_sequences WHERE schemaname = $1"


class _Schema(msgspec.Struct, frozen=True):
    steps: list[str]
    tables: list[str]
    sequences: dict[str, int]


async def dump(moment: Moment, schemas: Sequence[str], folder: Path, without: Sequence[str] = ()) -> None:
    """Write the tables of the schemas, as they were at that moment, into the folder. Nothing is made durable.

    `without`: tables (`SCHEMA.TABLE`) that mean nothing once the moment is over; they are loaded as empty ones.
    """
    about: dict[str, _Schema] = {}
    for schema in schemas:
        steps = await moment.fetch(f"SELECT name FROM {schema}.migrations ORDER BY number")
        tables = [row[0] for row in await moment.fetch(_TABLES, schema, without)]
        for table in tables:
            await moment.copy(schema, table, folder / f"{schema}.{table}")
        # They are of no moment, but never behind it.
        sequences = {name: last for name, last in await moment.fetch(_SEQUENCES, schema) if last is not None}
        about[schema] = _Schema([row[0] for row in steps], tables, sequences)
    (folder / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")


async def load(
    database: Database, schemas: Mapping[str, Sequence[Step]], folder: Path, without: Sequence[str] = ()
) -> None:
    """Make the schemas, which must not be there, of a folder that `dump` wrote; they have all steps afterwards.

    Raises `StorageUnavailable` when one is there, `NewerVersion` when a newer version wrote the folder, `Damaged`.
    """
    try:
        about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=dict[str, _Schema])
    except (OSError, msgspec.DecodeError) as error:
        raise Damaged(f"{ABOUT}: {error}") from error
    if about.keys() != schemas.keys():
        raise Damaged(f"{ABOUT} is about other schemas than {', '.join(schemas)}")
    for schema, steps in schemas.items():
        if await applied(database, schema):
            raise StorageUnavailable(f"the database has a schema {schema} already; give an empty one")
        await migrate(database, schema, _taken(schema, steps, about[schema].steps))
    await database.write(lambda db: _load(db, about, folder, without), timeout=LOAD_TIMEOUT)
    for schema, steps in schemas.items():
        await migrate(database, schema, steps)


def _taken(schema: str, steps: Sequence[Step], names: Sequence[str]) -> Sequence[Step]:
    if [step.name for step in steps[: len(names)]] != list(names):
        raise NewerVersion(f"the copy of schema {schema} was made by a newer version; upgrade this program")
    return steps[: len(names)]


async def _load(db: Connection, about: Mapping[str, _Schema], folder: Path, without: Sequence[str]) -> None:
    for schema, kept in about.items():
        if {row[0] for row in await db.fetch(_TABLES, schema, without)} != set(kept.tables):
            raise Damaged(f"the copy of schema {schema} has other tables than its migrations make")
        order = TopologicalSorter({f"{schema}.{table}": set[str]() for table in kept.tables})
        for table, needed in await db.fetch(_NEEDS, schema):
            order.add(table, needed)
        for table in (each for each in order.static_order() if each not in without):
            name = table.removeprefix(f"{schema}.")
            await db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")  # what they count was copied, too
            await db.execute(f"DELETE FROM {table}")  # rows that the migrations made
            await db.copy_to_table(name, schema_name=schema, source=folder / table, format="binary")
            await db.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        for sequence, last in kept.sequences.items():
            await db.fetchval("SELECT setval($1::text::regclass, $2)", f"{schema}.{sequence}", last)
