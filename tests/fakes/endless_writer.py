"""Writes records, uploads and sync state into one connector as long as it is there; says what was acknowledged."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from blobstore.errors import BlobError
from records.errors import RecordError, Unknown
from records.layout import Topology
from records.store import RecordStore
from tests.fakes.bags import MAIL, Writer

Write = Callable[[int], Awaitable[object]]


async def main(data: str, owner: str, topology: str, database_url: str | None = None) -> None:
    store = await RecordStore.open(Path(data), topology=Topology(topology), database_url=database_url)
    try:
        writer = Writer(store, await store.access.owner(owner), MAIL, "home")

        async def put(number: int) -> None:
            await writer.put("messages", f"record-{number}", f'{{"id":"record-{number}"}}')

        async def upload(number: int) -> None:
            await writer.upload(f"upload {number}".encode(), "records", f"upload-{number}")

        async def merge(number: int) -> None:
            await store.states.merge(writer.owner, writer.selector, {"pairs": f'"state-{number}"'.encode()})

        writes: dict[str, Write] = {"record": put, "upload": upload, "state": merge}
        await asyncio.gather(*(for_ever(name, write) for name, write in writes.items()))
    finally:
        await store.close()


async def for_ever(name: str, write: Write) -> None:
    """One line for each write that was acknowledged, until the connector is gone."""
    number = 0
    while True:
        number += 1
        try:
            await write(number)
            print(f"{name}-{number}", flush=True)
        except Unknown:
            return
        except (BlobError, RecordError):
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
