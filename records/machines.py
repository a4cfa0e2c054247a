"""Machines that serve one store, and what only one that is alone may do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from records.errors import Conflict
from records.locks import HOST, Locks, taken


@asynccontextmanager
async def alone(locks: Locks, host: str) -> AsyncIterator[None]:
    """This machine, which is `host`, is seen by others for the length of the block, before which none of them serves.

    Raises `Conflict` where one does, or did until half a minute ago.
    """
    async with taken(locks, HOST + host):  # None: a server of this machine has it
        if others := sorted(name.removeprefix(HOST) for name in await locks.held(HOST) if name != HOST + host):
            raise Conflict(
                f"other machines serve this store ({', '.join(others)}), and would miss what moves into files of this"
                " one: stop their servers, wait half a minute, and run this again"
            )
        yield
