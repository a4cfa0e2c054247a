"""What is there, held against what was acknowledged: over HTTP, and in the files when nobody is at work."""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from records.store import RecordStore
from tests.crash.acknowledged import Acknowledged, Blob, Content, Known, Place, marks_in, wrong_on_spine
from tests.crash.workers import Client, until_told
from tests.fakes.topologies import IN_FILES, Storage

Run = Callable[..., Awaitable[tuple[int, str]]]
"""Runs a command of the program on the data directory: its arguments, to exit code and standard output."""


AT_ONCE = 20
"""Requests of one who looks at everything."""


class Look:
    """Holds what is served against what was acknowledged."""

    def __init__(self, client: Client, acknowledged: Acknowledged) -> None:
        self._client = client
        self._known = acknowledged

    async def at_some(self, rng: random.Random) -> None:
        """A few of everything, while others write."""
        places = sorted(self._known.records, key=str)
        for place in rng.sample(places, min(3, len(places))):
            await self._record(place, self._known.records[place])
        blobs = [blob for uploads in self._known.uploads.values() for blob in uploads.values()]
        for blob in rng.sample(blobs, min(2, len(blobs))):
            await self._blob(blob)

    async def at_all(self) -> None:
        """Everything, when nobody writes any more."""
        blobs = [blob for uploads in self._known.uploads.values() for blob in uploads.values()]
        records = (self._record(place, known) for place, known in self._known.records.items())
        at_once = asyncio.Semaphore(AT_ONCE)  # who waits for a connection is on the clock already

        async def in_turn(look: Awaitable[None]) -> None:
            async with at_once:
                await look

        await asyncio.gather(*map(in_turn, (*records, *map(self._blob, blobs))))
        for connector, states in self._known.states.items():
            status, body = await self._client.ask("GET", f"/v1/state/{connector}", 200, 404)
            found = json.loads(body)["state"].get("files") if status == 200 else None
            assert found in states, f"the state of {connector} is {found}"
        _, body = await self._client.ask("GET", "/v1/owner/grants", 200)
        grants = {each["grant_id"]: each["status"] for each in json.loads(body)["data"]}
        for grant, allowed in self._known.grants.items():
            assert grants.get(grant) in allowed, f"{grant} is {grants.get(grant)}"
        wrong = wrong_on_spine(self._known, [each async for each in self._events()])
        assert wrong == [], f"on the spine is not: {wrong}"

    async def _record(self, place: Place, known: Known) -> None:
        seen = known.changes
        status, data = await self._read(place)
        if known.changes != seen:
            return  # it was changed while we looked
        found = [each for each in known.allowed if _shown(each) == (None if data is None else _told(data))]
        assert found, f"{place} should be one of {known.allowed}, and is {status} {data}"
        for blob in found[0].blobs if found[0] is not None else ():
            path = f"/v1/blobs/{blob.id}"
            status, served = await until_told(partial(self._client.ask, "GET", path, 200, 404))
            # A server may go on with what its client gave up: then the link went, too, and before the bytes.
            moved = status == 404 and (await self._read(place))[1] != data
            if known.changes != seen or (moved and len(known.allowed) > 1):
                return
            assert status == 200, f"{place} has a link without bytes: {blob}"
            assert hashlib.sha256(served).hexdigest() == blob.sha256, f"other bytes than {blob}"

    async def _read(self, place: Place) -> tuple[int, dict[str, Any] | None]:
        instance = "" if place.instance is None else f"&connector_instance_id={place.instance}"
        path = f"/v1/streams/{place.stream}/records/{place.key}?connector_id={place.connector}{instance}"
        status, body = await until_told(lambda: self._client.ask("GET", path, 200, 404))
        return status, json.loads(body)["data"] if status == 200 else None

    async def _blob(self, blob: Blob) -> None:
        _, served = await until_told(lambda: self._client.ask("GET", f"/v1/blobs/{blob.id}", 200))
        assert hashlib.sha256(served).hexdigest() == blob.sha256, f"other bytes than {blob}"

    async def _events(self) -> AsyncIterator[dict[str, Any]]:
        """The owner's audit log."""
        after, more = 0, True
        while more:
            _, body = await self._client.ask("GET", f"/v1/owner/spine?after={after}&limit=1000", 200)
            page = json.loads(body)
            for each in page["data"]:
                yield each["body"]
            after, more = page["next_after"], page["has_more"]


def _shown(content: Content | None) -> object:
    return None if content is None else (content.mark, [blob.id for blob in content.blobs])


def _told(data: dict[str, Any]) -> object:
    return data["text"], [each["blob_ref"]["blob_id"] for each in data["attachments"]]


async def nothing_is_left(
    run: Run,
    data: Path,
    known: Acknowledged,
    owner: str | None,
    storage: Storage = IN_FILES,
    **opening: Any,
) -> None:
    """One collection, and there is no garbage, no debris, and nothing of what was erased.

    `opening` is what `RecordStore.open` is told beside the storage.
    """
    now = time.time()
    assert (await run("gc", "--grace", "0"))[0] == 0
    marks = marks_in(data)
    assert not (known.erased | known.going) & marks, f"back again: {(known.erased | known.going) & marks}"
    if storage.database_url is None:
        assert known.living_marks() <= marks, "the search does not find what is there: it proves nothing"
    code, printed = await run("doctor", "--deep", "--json")
    found = json.loads(printed)
    assert code == 0, printed
    assert owner is None or (await run("spine", "verify", "--owner", owner))[0] == 0
    assert not leftovers(data), leftovers(data)
    store = await RecordStore.open(data, topology=storage.topology, database_url=storage.database_url, **opening)
    catalogue = store.blobs.catalogue
    assert await catalogue.orphans(None, 1e18, 10) == []
    # Of uploads to S3 that were killed some may still come: their rows wait for that, and erasures with them.
    # One whose time was over between the collection and the search is found by the search.
    condemned = await catalogue.condemned(1000)
    assert [each for each in condemned if each.late_until is None or each.late_until <= now] == []
    late = {str(each.name.digest) for each in condemned}
    assert [each for each in found if (each["kind"], each["subject"] in late) != ("condemned_left", True)] == [], found
    assert await catalogue.leases() == []
    assert condemned or await store.central.unfinished_erasures() == []
    await store.close()


def leftovers(data: Path) -> list[str]:
    """What processes that are gone have left behind: staging, locks of erasures, empty folders, half-written files."""
    paths = [path for name in ("staging", "locks") for path in (data / name).rglob("*")]
    paths += [path for path in (data / "blobs").rglob("*") if path.is_dir() and not any(path.iterdir())]
    paths += data.glob(".*.new")
    return sorted(str(path.relative_to(data)) for path in paths)


def clients() -> aiohttp.ClientSession:
    """A connection for each request: what is asked on one that was left open is asked twice when it breaks."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=AT_ONCE), timeout=aiohttp.ClientTimeout(total=120)
    )
