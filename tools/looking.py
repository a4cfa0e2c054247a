"""Opening a data directory only to look: nothing is made that is missing, nothing is drained at the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import click

from records.central import Owner
from records.store import RecordStore
from tools import directory
from tools.opening import Opening, configure, messages

T = TypeVar("T")


@asynccontextmanager
async def look_into(opening: Opening) -> AsyncIterator[RecordStore]:
    """The store, opened. Raises `click.ClickException` where there is none, or where parts of it are missing."""
    directory.require_store(opening.data)
    directory.require_whole(opening.data, opening.parts)
    configure(opening, opened=False)
    store = await opening.open()
    try:
        configure(opening)
        yield store
    finally:
        await store.let_go()


def run_looking(opening: Opening, work: Callable[[RecordStore], Awaitable[T]]) -> T:
    """Run `work` on the opened store, with `messages`."""

    async def run() -> T:
        async with look_into(opening) as store:
            return await work(store)

    with messages():
        return asyncio.run(run())


async def known_owner(store: RecordStore, subject: str) -> Owner:
    """The owner of that name. Raises `click.ClickException`."""
    for owner in await store.central.owners():
        if owner.subject == subject:
            return owner
    raise click.ClickException(f"there is no owner {subject!r}; `blobstore token list` shows those that have tokens")
