"""PostgreSQL goes away while clients write and read: they are told to come back, or wait; nothing acknowledged is lost.

The server that serves them is never started again.
"""

import asyncio
import hashlib
import json
import random
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import aiohttp
import pytest

from records.layout import Topology
from tests.conftest import SOAK
from tests.crash.acknowledged import Acknowledged
from tests.crash.fleet import Fleet
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.workers import Client, CutOffError, Granter, Ingester, OneServer, Uploader, Worker, until_told
from tests.fakes.postgres import Cluster
from tests.fakes.topologies import Storage

OWNER = "outage"
LARGE = 24 << 20
"""Bytes of a download that lasts longer than an outage."""

TO_NOTICE = 15.0
"""Seconds that the server gets to say that it is, or is no longer, ready."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server that nobody else needs, with all its fsyncs."""
    cluster = Cluster(fsync=True)
    yield cluster
    cluster.remove()


class Patient(Client):
    """Comes back when it is told to. The server must not break a connection off."""

    turned_away = 0

    async def ask(self, method: str, path: str, *expected: int, data: bytes | None = None) -> tuple[int, bytes]:
        status, body = await super().ask(method, path, *expected, 503, data=data)
        if status == 503:
            self.turned_away += 1
            assert b'"temporarily_unavailable"' in body, body
            await asyncio.sleep(0.1)
            raise CutOffError
        return status, body


Outage = Callable[[Cluster, float, asyncio.Event], Coroutine[None, None, None]]
"""Lasts so many seconds at least; one in which the server is not ready lasts until that was noticed."""


async def cut_off(cluster: Cluster, seconds: float, noticed: asyncio.Event) -> None:
    cluster.pause()
    await asyncio.sleep(seconds)
    await noticed.wait()
    cluster.go_on()


async def restarted(cluster: Cluster, seconds: float, noticed: asyncio.Event) -> None:
    await asyncio.to_thread(cluster.stop)
    await asyncio.sleep(seconds)
    await noticed.wait()
    await asyncio.to_thread(cluster.start)


async def crashed(cluster: Cluster, seconds: float, noticed: asyncio.Event) -> None:
    await asyncio.to_thread(cluster.stop, signal.SIGQUIT)
    await asyncio.to_thread(cluster.start)


async def terminated(cluster: Cluster, seconds: float, noticed: asyncio.Event) -> None:
    """Every second all sessions are ended, and at last the server crashes."""
    ends = asyncio.get_running_loop().time() + 2 * seconds
    while asyncio.get_running_loop().time() < ends:
        await cluster.end_sessions()
        await asyncio.sleep(1.0)
    await crashed(cluster, seconds, noticed)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("outage", [cut_off, restarted, crashed, terminated] if SOAK else [restarted])
async def test_clients_of_a_database_that_goes_away_lose_nothing(
    outage: Outage,
    tmp_path: Path,
    forks: Path,
    rng: random.Random,
    cluster: Cluster,
    sized: Callable[[float, float], float],
) -> None:
    storage = Storage(Topology.POSTGRES, cluster.url(await cluster.database()))
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log", options=storage.options)
    known, noticed, over = Acknowledged(), asyncio.Event(), asyncio.Event()
    _, token = await fleet.command("token", "create", "--owner", OWNER)
    async with fleet.served(), clients() as session:
        while not fleet.urls:
            await asyncio.sleep(0.01)
        url = fleet.urls[0]
        client = Patient(session, OneServer(url), token.strip(), rng)
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(each) for each in working(client, known, rng)]
            while len(known.kinds) < 4:
                await asyncio.sleep(0.05)
            large = group.create_task(slow_download(client, url, token.strip(), known, rng, over))
            gone = group.create_task(outage(cluster, sized(2.0, 10.0), noticed))
            if outage in (cut_off, restarted):
                await until_ready(session, url, 503)
            noticed.set()
            await gone
            await until_ready(session, url, 200)
            over.set()
            await large
            done = known.kinds.total()
            while known.kinds.total() < done + 20:
                await asyncio.sleep(0.05)
            for each in work:
                each.cancel()
        await Look(client, known).at_all()
    await nothing_is_left(fleet.command, fleet.data, known, OWNER, storage)
    print(f"turned away {client.turned_away} times; acknowledged {dict(known.kinds)}")


def working(client: Client, known: Acknowledged, rng: random.Random) -> Iterator[Coroutine[None, None, None]]:
    """What goes on meanwhile."""
    yield from (Uploader(client, known, rng, f"uploads-{number}").work() for number in range(2))
    yield from (Ingester(client, known, rng, f"records-{number}").work() for number in range(3))
    yield Granter(client, known, rng, "granted").work()
    yield looking(Look(client, known), rng)


async def looking(look: Look, rng: random.Random) -> None:
    """Read some of what is there, for ever."""
    while True:
        await asyncio.sleep(0.2)
        try:
            await look.at_some(rng)
        except CutOffError:
            continue


async def slow_download(
    client: Client, url: str, token: str, known: Acknowledged, rng: random.Random, over: asyncio.Event
) -> None:
    """Bytes that come slowly, until the outage is over, come whole."""
    content = rng.randbytes(LARGE)
    worker = Worker(client, known, rng, "large")
    await worker.register()
    query = worker.query(None, stream="files", record_key="1")
    _, body = await until_told(lambda: client.ask("POST", f"/v1/blobs?{query}", 200, data=content))
    blob = json.loads(body)["blob_id"]
    digest, headers = hashlib.sha256(), {"Authorization": f"Bearer {token}"}
    async with clients() as session, session.get(f"{url}/v1/blobs/{blob}", headers=headers) as answer:
        assert answer.status == 200
        async for piece in answer.content.iter_chunked(256 << 10):
            digest.update(piece)
            await asyncio.sleep(0.0 if over.is_set() else 0.15)
    assert digest.digest() == hashlib.sha256(content).digest()


async def until_ready(session: aiohttp.ClientSession, url: str, expected: int) -> None:
    """Wait until `/readyz` says so."""
    async with asyncio.timeout(TO_NOTICE):
        while True:
            async with session.get(url + "/readyz") as answer:
                if answer.status == expected:
                    return
            await asyncio.sleep(0.1)
