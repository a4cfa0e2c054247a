"""`kill -9` at any moment of many processes on one data directory: nothing acknowledged is lost, nothing is left over.

Several servers, four uploaders, two ingesters, two erasers (over HTTP and by command) and two collections that never
end, on one directory; again and again one of the processes is killed and another one started in its place.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from records.store import RecordStore
from tests.crash.acknowledged import Acknowledged, Blob, Content, Known, Place, marks_in, wrong_on_spine
from tests.crash.erasers import Eraser
from tests.crash.fleet import Fleet
from tests.crash.workers import Client, Ingester, Uploader, until_told
from tests.fakes.warm import forking

OWNER = "crash"
SERVERS, UPLOADERS, INGESTERS, ERASERS, COLLECTIONS = 3, 4, 2, 2, 2
PAUSE = 0.3
"""Seconds between two kills, at most."""

SEARCHED = 25
"""Kills after which all files are searched for what was erased."""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with forking(tmp_path_factory.mktemp("forks")) as listening:
        yield listening


class Look:
    """Holds what is served against what was acknowledged."""

    def __init__(self, client: Client, acknowledged: Acknowledged) -> None:
        self._client = client
        self._known = acknowledged

    async def at_some(self, rng: random.Random) -> None:
        """A few of everything, while others write."""
        places = sorted(self._known.records, key=str)
        for place in rng.sample(places, min(3, len(places))):
            await self._record(place, self._known.records[place], quiet=False)
        blobs = [blob for uploads in self._known.uploads.values() for blob in uploads.values()]
        for blob in rng.sample(blobs, min(2, len(blobs))):
            await self._blob(blob)

    async def at_all(self) -> None:
        """Everything, at the end."""
        for place, known in self._known.records.items():
            await self._record(place, known, quiet=True)
        for uploads in self._known.uploads.values():
            for blob in uploads.values():
                await self._blob(blob)
        for connector, states in self._known.states.items():
            _, body = await self._client.ask("GET", f"/v1/state/{connector}", 200)
            assert json.loads(body)["state"].get("files") in states, f"the state of {connector}"

    async def _record(self, place: Place, known: Known, *, quiet: bool) -> None:
        seen = known.changes
        instance = "" if place.instance is None else f"&connector_instance_id={place.instance}"
        path = f"/v1/streams/{place.stream}/records/{place.key}?connector_id={place.connector}{instance}"
        status, body = await until_told(lambda: self._client.ask("GET", path, 200, 404))
        data = json.loads(body).get("data", {}) if status == 200 else None
        if known.changes != seen:
            return  # it was changed while we looked
        found = [each for each in known.allowed if _shown(each) == (None if data is None else _told(data))]
        assert found, f"{place} should be one of {known.allowed}, and is {status} {data}"
        content = found[0]
        for blob in content.blobs if content is not None else ():
            status, served = await until_told(
                lambda blob=blob: self._client.ask("GET", f"/v1/blobs/{blob.id}", 200, 404)
            )
            if known.changes != seen or (len(known.allowed) > 1 and not quiet):
                return  # it may be changing
            assert (status, hashlib.sha256(served).hexdigest()) == (200, blob.sha256), (
                f"a link of {place} without bytes"
            )

    async def _blob(self, blob: Blob) -> None:
        _, served = await until_told(lambda: self._client.ask("GET", f"/v1/blobs/{blob.id}", 200))
        assert hashlib.sha256(served).hexdigest() == blob.sha256, f"other bytes than {blob.id}"


def _shown(content: Content | None) -> object:
    return None if content is None else (content.mark, [blob.id for blob in content.blobs])


def _told(data: dict[str, Any]) -> object:
    return data["text"], [each["blob_ref"]["blob_id"] for each in data["attachments"]]


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_what_was_acknowledged_survives_kill_9_at_any_moment(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log")
    known = Acknowledged()
    _, token = await fleet.command("token", "create", "--owner", OWNER)
    assert token
    async with clients() as session:
        client = Client(session, fleet, token.strip(), rng)
        await kill_many(fleet, client, known, rng, sized(8, 500))
    await nothing_is_left(fleet, known)
    async with served(fleet), clients() as session:
        client = Client(session, fleet, token.strip(), rng)
        await Look(client, known).at_all()
        assert wrong_on_spine(known, [each async for each in events(client)]) == []
    assert "Traceback" not in fleet.log.read_text(), fleet.log.read_text()[-5000:]
    print(f"killed {dict(fleet.killed)}; acknowledged {dict(known.kinds)}")


async def kill_many(fleet: Fleet, client: Client, known: Acknowledged, rng: random.Random, kills: int) -> None:
    """Let everybody work, and kill."""
    work = [fleet.serve_for_ever() for _ in range(SERVERS)]
    work += [fleet.command_for_ever("gc", "--grace", "0") for _ in range(COLLECTIONS)]
    work += [Uploader(client, known, rng, f"uploads-{number}").work() for number in range(UPLOADERS)]
    work += [Ingester(client, known, rng, f"records-{number}").work() for number in range(INGESTERS)]
    work += [Eraser(client, known, rng, f"doomed-{number}", fleet, OWNER).work() for number in range(ERASERS)]
    look = Look(client, known)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        while not known.kinds:
            await asyncio.sleep(0.05)
        for number in range(1, kills + 1):
            await asyncio.sleep(rng.uniform(0.0, PAUSE))
            fleet.kill_one(rng)
            await look.at_some(rng)
            if number % SEARCHED == 0:
                erased = set(known.erased)
                assert not erased & await asyncio.to_thread(marks_in, fleet.data), "erased things are back"
        for task in tasks:
            task.cancel()


async def nothing_is_left(fleet: Fleet, known: Acknowledged) -> None:
    """One collection, and there is no garbage, no debris, and nothing of what was erased."""
    assert (await fleet.command("gc", "--grace", "0"))[0] == 0
    marks = marks_in(fleet.data)
    assert not (known.erased | known.going) & marks, "erased things are back"
    assert known.living_marks() <= marks, "the search finds nothing: it proves nothing"
    code, printed = await fleet.command("doctor", "--deep", "--json")
    assert (code, json.loads(printed)) == (0, [])
    assert (await fleet.command("spine", "verify", "--owner", OWNER))[0] == 0
    assert leftovers(fleet.data) == []
    store = await RecordStore.open(fleet.data)
    catalogue = store.blobs.catalogue
    assert await catalogue.orphans(None, 1e18, 10) == []
    assert await catalogue.condemned(10) == []
    assert await catalogue.leases() == []
    assert await store.central.unfinished_erasures() == []
    await store.close()


def leftovers(data: Path) -> list[str]:
    """What processes that are gone have left behind: staging, locks of erasures, empty folders, half-written files."""
    paths = [path for name in ("staging", "locks") for path in (data / name).rglob("*")]
    paths += [path for path in (data / "blobs").rglob("*") if path.is_dir() and not any(path.iterdir())]
    paths += data.glob(".*.new")
    return sorted(str(path.relative_to(data)) for path in paths)


async def events(client: Client) -> AsyncIterator[dict[str, Any]]:
    """The owner's audit log."""
    after, more = 0, True
    while more:
        _, body = await client.ask("GET", f"/v1/owner/spine?after={after}&limit=1000", 200)
        page = json.loads(body)
        for each in page["data"]:
            yield each["body"]
        after, more = page["next_after"], page["has_more"]


@asynccontextmanager
async def served(fleet: Fleet) -> AsyncIterator[None]:
    """One server, and nobody is killed."""
    serving = asyncio.create_task(fleet.serve_for_ever())
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.wait([serving])


def clients() -> aiohttp.ClientSession:
    """A connection for each request: what is asked on one that was left open is asked twice when it breaks."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0), timeout=aiohttp.ClientTimeout(total=120)
    )
