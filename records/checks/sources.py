"""Connectors whose records cannot be read, while those of others can."""

from collections.abc import AsyncIterator

from records.central import Owner
from records.engine import Engine
from records.errors import SourceDown
from records.store import RecordStore


async def down_sources(store: RecordStore, owner: Owner, engine: Engine) -> AsyncIterator[SourceDown]:
    """Why each of them cannot; connectors that live where all others do are never down alone."""
    for connector in sorted((await store.central.shards(owner.id)).homes):
        try:
            await engine.stats(connector)
        except SourceDown as error:
            yield error
