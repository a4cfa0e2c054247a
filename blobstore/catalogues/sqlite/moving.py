"""A catalogue in a SQLite file as one end of a move."""

from pathlib import Path

from blobstore.catalogues.sections import SECTIONS
from blobstore.catalogues.sqlite.schema import MIGRATIONS
from blobstore.sqlite.side import SqliteSide, Table

_GIVEN = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)"

_TABLES = {
    "numbering": Table(
        f"SELECT {_GIVEN} AS given",
        ("DELETE FROM sqlite_sequence WHERE name = 'outbox'",),
        (("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (0,)),),
    ),
}


def catalogue_side(path: Path) -> SqliteSide:
    """The file `DIR/catalogue.db`."""
    return SqliteSide(path, MIGRATIONS, SECTIONS, _TABLES)
