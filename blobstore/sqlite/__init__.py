"""The one place that SQLite is imported from: a build without the WAL-reset bug.

SQLite 3.7.0 to 3.51.2 can corrupt a WAL file when two connections write and checkpoint at once (fixed in 3.51.3, and
in 3.50.7 and 3.44.6 for older lines); many systems ship such a version. pysqlite3 carries its own.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["require_sound_sqlite", "sqlite3"]

# Of a value for which it knows no adapter the driver first asks whether it has any, which takes as long as a quarter of
# inserting the row. These types it takes as they are; `bytearray` alone it takes without asking.
sqlite3.register_adapter(bytes, bytearray)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(type(None), lambda none: none)

_FIXED = (3, 51, 3)
_FIXED_IN_OLDER_LINES = {(3, 50): 7, (3, 44): 6}


def require_sound_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Raise `RuntimeError` when this SQLite can corrupt a WAL file."""
    patch = _FIXED_IN_OLDER_LINES.get((version[0], version[1]))
    if version >= _FIXED or (patch is not None and version[2] >= patch):
        return
    raise RuntimeError(
        f"SQLite {'.'.join(map(str, version))} can corrupt WAL files; install pysqlite3 with SQLite >= 3.51.3"
    )
