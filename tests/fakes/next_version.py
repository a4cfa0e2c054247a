"""The program as its next version might be: one more column in each kind of file or schema, and one more index.

Run in the place of `tools`; older programs go on using files and schemas. With BLOBSTORE_NEXT_VERSION=strict there is
one more step of the schema `records`, which they would have to know.
"""

import os
import sys
from collections.abc import Sequence

from sqlite_utils import Database, Migrations

import records.engines.postgres
import records.snapshots.database
from blobstore.postgres import Step
from blobstore.sqlite.versions import later, on_opening
from records import schemas
from records.versions import KINDS

STRICT = "BLOBSTORE_NEXT_VERSION"
TABLES = {"central": ("owners", "created_at"), "catalogue": ("blobs", "size"), "records": ("partitions", "stream")}
"""A table that every statement fills by the names of its columns, and one of these."""


def colour(table: str) -> str:
    return f"ALTER TABLE {table} ADD COLUMN colour TEXT"


def add_to(migrations: Migrations) -> None:
    """Add the steps to what this process knows."""
    table, column = TABLES[migrations.name]

    @migrations()
    @on_opening
    def m901_colour(db: Database) -> None:
        db.execute(colour(table))

    @migrations()
    @later
    def m902_index(db: Database) -> None:
        db.execute(f"CREATE INDEX {table}_next ON {table} ({column})")


def steps_after(schema: str) -> Sequence[Step]:
    """The steps of a schema of PostgreSQL that the next version has beside ours."""
    table, column = TABLES[schema]
    table = f"{schema}.{table}"
    strict = [Step("m903_strict", "CREATE TABLE records.strict (n INT)")] if schema == "records" else []
    return (
        Step("m901_colour", colour(table), additive=True),
        Step("m902_index", f"CREATE INDEX {schema}_next ON {table} ({column})", additive=True),
        *(strict if os.environ.get(STRICT) == "strict" else ()),
    )


def add_to_database() -> None:
    """Add the steps of schemas to what every module of this process knows."""
    loaded = list(sys.modules.values())
    for schema, known in list(schemas.STEPS.items()):
        after = (*known, *steps_after(schema))
        for module in loaded:
            if getattr(module, "STEPS", None) is known:
                module.STEPS = after  # type: ignore[attr-defined]
        for each in (schemas.STEPS, records.snapshots.database.SCHEMAS):
            each[schema] = after  # type: ignore[index]


if __name__ == "__main__":
    for each in KINDS.values():
        add_to(each)
    add_to_database()
    from tools.cli import main

    main()
