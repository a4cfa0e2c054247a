"""The processor time of a server and of the database that it speaks to, as the kernel counts it."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from blobstore.postgres import Database
from tools.running import Server

TICK = os.sysconf("SC_CLK_TCK")


class Processors:
    """Adds up what processes have used so far. Needs /proc, and the database's processes on this machine."""

    def __init__(self, server: Server, database_url: str | None) -> None:
        self._server = server.process.pid
        self._database = None if database_url is None else asyncio.run(_postmaster(database_url))

    def server(self) -> float:
        """Seconds of the server's processes."""
        return _used(self._server)

    def database(self) -> float:
        """Seconds of the database's processes, those that have ended too; 0 where it is in files."""
        return 0.0 if self._database is None else _used(self._database)


async def _postmaster(url: str) -> int:
    """The process that has started those which serve connections."""
    database = await Database.open(url)
    try:
        return int(_stat(await database.fetchval("SELECT pg_backend_pid()"))[1])
    finally:
        await database.close()


def _used(pid: int) -> float:
    """Of the process, its children that ended, and all below it that live."""
    return sum(_ticks(each) for each in (pid, *_below(pid))) / TICK


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _below(child)


def _ticks(pid: int) -> int:
    try:
        return sum(map(int, _stat(pid)[11:15]))
    except FileNotFoundError:  # it has just ended, and is counted with its parent
        return 0


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may have anything in it: the first is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
