"""The program as its next version might be: one more column in each kind of file, and one more index.

Run in the place of `tools`; older programs go on using the files.
"""

from sqlite_utils import Database, Migrations

from blobstore.sqlite.versions import later, on_opening
from records.versions import KINDS

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


if __name__ == "__main__":
    for each in KINDS.values():
        add_to(each)
    from tools.cli import main

    main()
