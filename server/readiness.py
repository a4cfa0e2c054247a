"""Whether the server can do its work: its databases answer, its disk has room."""

import asyncio
from collections.abc import Awaitable, Mapping

from blobstore.errors import StorageUnavailable
from records.store import RecordStore
from server import logs

ANSWER_WITHIN = 5.0
"""Seconds that a part of the store gets to show that it answers."""

OK = "ok"

COLLECTION = "collection"
"""Told only where it was stopped: a server whose garbage waits for somebody to look at it serves all the same."""


async def check(store: RecordStore, request_id: str) -> dict[str, str]:
    """What is wrong with records, blobs and space, each in a few words; `OK` where nothing is."""
    found = await asyncio.gather(
        _answer("records", store.central.owners(), request_id),
        _answer("blobs", store.blobs.catalogue.store_id(), request_id),
        _room(store),
    )
    checks = dict(zip(("records", "blobs", "space"), found, strict=True))
    if store.collections.stopped is not None:  # why is not for anybody who asks
        checks[COLLECTION] = "stopped: the log says why"
    return checks


def is_ready(checks: Mapping[str, str]) -> bool:
    """Whether it can do its work."""
    return all(found == OK for part, found in checks.items() if part != COLLECTION)


async def _answer(name: str, question: Awaitable[object], request_id: str) -> str:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await question
    except Exception as error:
        logs.failure(error, request_id, f"not ready: {name}")
        return "no answer"
    return OK


async def _room(store: RecordStore) -> str:
    try:
        return await store.blobs.lacking() or OK
    except StorageUnavailable:
        return "the data directory cannot be read"
