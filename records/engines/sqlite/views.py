"""Views for whoever opens a records file by other means, such as an auditor: one for each stream, with plain columns.

Nothing of the program reads them. A stream's view is made with the first batch after its file was opened, from the
fields that its manifest declares then; a migration drops all of them, and so does the erasure of all content, for they
name fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from blobstore.sqlite import sqlite3
from records.model import Partition

MOST = 200
"""Views of one file, and fields of one view: every connection reads their definitions when it is opened."""


@dataclass(frozen=True, slots=True)
class View:
    """A stream's view and what it is called; of a connector's own file the connector is no part of the name."""

    name: str
    connector: str
    stream: str
    fields: Sequence[str]

    @classmethod
    def of(cls, place: Partition, fields: Sequence[str], *, own_file: bool) -> "View | None":
        """The view of the partition's stream; None where nothing is declared, or SQL has no word for it."""
        name = place.stream if own_file else f"{place.stream} of {place.connector}"
        if not fields or "\0" in name + place.connector:
            return None
        return cls(name, place.connector, place.stream, tuple(fields))

    @property
    def sql(self) -> str:
        """What makes it."""
        columns, taken = [], {"instance", "key", "emitted_at", "attachments"}
        for field in self.fields[:MOST]:
            if not set(field) & set('"\\\0'):
                column = f"data.{field}" if field.lower() in taken else field
                taken.add(column.lower())
                path = _text(f'$."{field}"')
                columns.append(f"r.data ->> {path} AS {_name(column)}")
        return _VIEW.format(
            name=_name(self.name),
            columns="".join(f"{each},\n    " for each in columns),
            connector=_text(self.connector),
            stream=_text(self.stream),
            fraction="(((r.emitted_at >> 2) % 1000000 + 1000000) % 1000000)",
        )


def keep(db: sqlite3.Connection, view: View) -> None:
    """Have the view in the file as it is to be."""
    rows = db.execute("SELECT name, type, sql FROM sqlite_schema").fetchall()
    if view.name.lower() in {name.lower() for name, kind, _ in rows if kind != "view"} | {"fresh", "moved"}:
        view = replace(view, name=f"{view.name} (stream)")
    elif view.name.lower().startswith("sqlite_"):  # SQLite keeps such names for itself
        view = replace(view, name=f"stream {view.name}")
    there = {name: sql for name, kind, sql in rows if kind == "view"}
    if there.get(view.name) != view.sql and (view.name in there or len(there) < MOST):
        db.execute(f"DROP VIEW IF EXISTS {_name(view.name)}")
        db.execute(view.sql)


def is_left_of_erased(db: sqlite3.Connection) -> bool:
    """Whether there are views although there is no content."""
    there = db.execute("SELECT 1 FROM sqlite_schema WHERE type = 'view' LIMIT 1").fetchone()
    return there is not None and not any(
        db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in ("records", "tombstones", "history")
    )


def drop_views(db: sqlite3.Connection) -> None:
    """Take all of them away."""
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall():
        db.execute(f"DROP VIEW {_name(name)}")


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# `emitted_at`: see `times.packed`.
_VIEW = """CREATE VIEW {name} AS SELECT
    p.instance,
    r.key,
    CASE typeof(r.emitted_at) WHEN 'integer' THEN
        strftime('%Y-%m-%dT%H:%M:%S', ((r.emitted_at >> 2) - {fraction}) / 1000000, 'unixepoch')
        || CASE r.emitted_at & 3 WHEN 0 THEN '' WHEN 1 THEN printf('.%03d', {fraction} / 1000)
           ELSE printf('.%06d', {fraction}) END || 'Z'
    ELSE r.emitted_at END AS emitted_at,
    {columns}(SELECT group_concat('blob_b3_' || lower(hex(l.digest)), ' ') FROM links l
     WHERE l.part = r.part AND l.key = r.key) AS attachments
FROM connectors c JOIN partitions p ON p.connector = c.id JOIN records r ON r.part = p.id
WHERE c.name = {connector} AND p.stream = {stream}"""
