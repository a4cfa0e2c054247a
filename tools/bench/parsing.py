"""`python -m tools.bench.parsing SOURCE`: parses every row of an archive and asks for every file, and nothing else."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec

TABLES = ("S_USER", "CHANNEL", "MESSAGE", "FILE")


def passed(source: Path) -> tuple[int, int]:
    """How many files and rows there are."""
    rows = 0
    with closing(sqlite3.connect(source / "slackdump.sqlite")) as db:
        for table in TABLES:
            for (data,) in db.execute(f"SELECT data FROM {table}"):
                msgspec.json.decode(data)
                rows += 1
    return sum(path.stat().st_size >= 0 for path in (source / "__uploads").glob("*/*")), rows


def counted(source: Path) -> str:
    """For people."""
    files, rows = passed(source)
    return f"{files:,} files, {rows:,} rows"


if __name__ == "__main__":
    passed(Path(sys.argv[1]))
