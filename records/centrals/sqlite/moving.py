"""A central store in a SQLite file as one end of a move."""

from pathlib import Path

from blobstore.sqlite.side import SqliteSide, Table
from records.centrals.sections import SECTIONS
from records.centrals.sqlite.schema import MIGRATIONS

_TABLES = {
    "owners": Table(
        "SELECT id, created_at, subject, erased_at, digest FROM owners LEFT JOIN subjects ON owner = id",
        ("DELETE FROM subjects", "DELETE FROM owners"),
        (
            ("INSERT INTO owners (id, created_at, erased_at, digest) VALUES (?, ?, ?, ?)", (0, 1, 3, 4)),
            ("INSERT INTO subjects (owner, subject) SELECT ?1, ?2 WHERE ?2 IS NOT NULL", (0, 2)),
        ),
    ),
    "chains": Table(
        "SELECT id AS owner, events FROM owners", (), (("UPDATE owners SET events = ? WHERE id = ?", (1, 0)),)
    ),
}


def central_side(path: Path) -> SqliteSide:
    """The file `DIR/central.db`."""
    return SqliteSide(path, MIGRATIONS, SECTIONS, _TABLES)
