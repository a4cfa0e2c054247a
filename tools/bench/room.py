"""How much room the databases of a store take, whether they are files or one of PostgreSQL."""

import asyncio
from contextlib import closing
from pathlib import Path

from blobstore.postgres import Database
from blobstore.sqlite import sqlite3


def taken(data: Path, database_url: str | None) -> int:
    """Bytes; of files without their logs, which do not grow with what is stored."""
    if database_url is not None:
        return asyncio.run(_size(database_url))
    return sum(_pages(path) for path in data.rglob("*.db"))


async def _size(url: str) -> int:
    database = await Database.open(url)
    try:
        return int(await database.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        await database.close()


def _pages(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return int(db.execute("PRAGMA page_count").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0])
