"""Servers on PostgreSQL and S3 are killed one after another, the S3 store and the database go away: nothing is lost.

Clients upload (also what goes in parts), ingest, download ranges, erase and export all the time. Nothing that was
acknowledged is lost, no download ends short without an error, nobody is turned away for good, and afterwards the bucket
holds what the catalogue knows and nothing else.
"""

import asyncio
import io
import itertools
import random
import secrets
import tarfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blobstore.backend import LATE_SECONDS
from blobstore.backends.s3 import Place as Bucket
from blobstore.catalogue import State
from records.layout import Topology
from records.store import RecordStore
from tests.crash.acknowledged import Acknowledged, Blob, Place, mark
from tests.crash.erasers import Eraser, Target
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.machines import Machine, Stores, Traveller
from tests.crash.workers import Client, CutOffError, Ingester, Uploader, Worker, until_told
from tests.fakes.postgres import Cluster
from tests.fakes.s3 import S3Server
from tests.fakes.topologies import Storage

OWNER = "fleet"
PARTED = 17 << 20
"""Bytes of a blob that S3 gets in parts."""


class Downloader(Worker):
    """Uploads a few blobs, some of them large, and downloads parts of them; now and then one is erased for another."""

    client: Traveller

    async def work(self) -> None:
        """For ever."""
        await self.register()
        kept: list[tuple[Place, Blob, bytes]] = []
        while True:
            if len(kept) < 3:
                kept.append(await self._bring())
            for _ in range(5):
                await self._range(*self.rng.choice(kept)[1:])
            place, blob, content = kept.pop(self.rng.randrange(len(kept)))
            assert await self._whole(blob) == content, f"other bytes than {blob}"
            query = self.query(None)
            path = f"/v1/streams/files/records/{place.key}?{query}"
            await until_told(partial(self.client.ask, "DELETE", path, 200, 202, 204, 404))
            self.acknowledged.kinds["erasure of a large blob"] += 1

    async def _bring(self) -> tuple[Place, Blob, bytes]:
        place = Place(self.connector, None, "files", mark(self.rng))
        size = self.rng.choice([100_000, PARTED, 2 * PARTED + 1])
        text = mark(self.rng)
        content = text.encode() + self.rng.randbytes(size)
        blob = await until_told(lambda: self._upload(place, content, text))
        return place, blob, content

    async def _whole(self, blob: Blob) -> bytes:
        _, body = await until_told(lambda: self.client.ask("GET", f"/v1/blobs/{blob.id}", 200))
        return body

    async def _range(self, blob: Blob, content: bytes) -> None:
        first = self.rng.randrange(len(content))
        last = self.rng.randrange(first, len(content))
        headers = {"Range": f"bytes={first}-{last}"}
        _, body = await until_told(lambda: self.client.ask("GET", f"/v1/blobs/{blob.id}", 206, headers=headers))
        assert body == content[first : last + 1], f"other bytes than {first}-{last} of {blob}"
        self.acknowledged.kinds["range"] += 1


class Persistent(Client):
    """Asks until it is answered."""

    def __init__(self, client: Traveller) -> None:
        self._client = client

    async def ask(self, method: str, path: str, *expected: int, data: bytes | None = None) -> tuple[int, bytes]:
        return await until_told(lambda: self._client.ask(method, path, *expected, data=data))


class OverHttp(Eraser):
    """By command a machine of its own would be needed while a store is away."""

    async def _until_erased(self, target: Target) -> bool:
        return await until_told(lambda: self._over_http(target))


async def exporting(client: Traveller, known: Acknowledged) -> None:
    """Whole bags, again and again."""
    path = "/v1/owner/export?connector_id=records-0"
    while True:
        status, body = await until_told(lambda: client.ask("GET", path, 200, 404))
        if status == 404:  # nobody has told yet that there is such a connector
            continue
        with tarfile.open(fileobj=io.BytesIO(body)) as bag:
            assert any(name.endswith("bagit.txt") for name in bag.getnames())
        known.kinds["export"] += 1
        await asyncio.sleep(0.5)


async def looking(look: Look, rng: random.Random) -> None:
    """Read some of what is there, for ever."""
    while True:
        await asyncio.sleep(0.2)
        try:
            await look.at_some(rng)
        except CutOffError:
            continue


async def killing(machines: Sequence[Machine], rng: random.Random, every: float) -> None:
    """One process after another, for ever."""
    while True:
        await asyncio.sleep(rng.uniform(0.3 * every, 1.7 * every))
        rng.choice(machines).kill_one(rng)


@dataclass(frozen=True)
class Setting:
    """Machines of one store, and what it is made of."""

    machines: list[Machine]
    stores: Stores
    opening: dict[str, Any]
    """What `RecordStore.open` is told."""
    storage: Storage
    s3: S3Server


@pytest.fixture
async def setting(tmp_path: Path, forks: Path) -> AsyncIterator[Setting]:
    """Two machines on stores that nobody else needs; the second is told of the database and the secret, and no more."""
    s3, cluster = S3Server(), Cluster(fsync=True)
    stores = Stores(s3, cluster)
    storage, where, secret = (
        Storage(Topology.POSTGRES, cluster.url(await cluster.database())),
        s3.where(),
        tmp_path / "s",
    )
    secret.write_bytes(secrets.token_bytes(32))
    joining = (*storage.options, "--secret-file", str(secret))
    place = ("--blobs", where.location, "--s3-endpoint", str(where.endpoint), "--s3-region", str(where.region))
    machines = [
        Machine(tmp_path / name, forks, tmp_path / "log", stores, options)
        for name, options in (("first", (*joining, *place)), ("second", joining))
    ]
    yield Setting(machines, stores, {"where": where, "secret_file": secret}, storage, s3)
    cluster.remove()
    s3.remove()


@pytest.mark.long
@pytest.mark.timeout(2400)
async def test_nothing_is_lost_while_processes_are_killed_and_stores_go_away(
    setting: Setting, rng: random.Random, sized: Callable[[float, float], float]
) -> None:
    known = Acknowledged()
    _, token = await setting.machines[0].command("token", "create", "--owner", OWNER)
    async with clients() as session:
        client = Traveller(session, setting.machines, setting.stores, token.strip(), rng)
        async with asyncio.TaskGroup() as group:
            serving = [group.create_task(each) for each in servers(setting.machines, int(sized(3, 4)))]
            while sum(len(machine.urls) for machine in setting.machines) < len(serving):
                await asyncio.sleep(0.05)
            work = [group.create_task(each) for each in working(client, known, rng)]
            while len(known.kinds) < 4:
                await asyncio.sleep(0.05)
            work += [group.create_task(setting.machines[0].collect_for_ever())]
            work += [group.create_task(killing(setting.machines, rng, sized(1.2, 4.0)))]
            await going_away(setting.stores, sized)
            for each in work:
                each.cancel()
            await asyncio.wait(work)
            await Look(Persistent(client), known).at_all()
            for each in serving:
                each.cancel()
    killed = sum((machine.killed for machine in setting.machines), Counter[str]())
    print(f"killed {dict(killed)}; acknowledged {dict(known.kinds)}")
    print(f"requests {dict(client.told)}; bytes {dict(client.bytes)}")
    await asyncio.sleep(sized(0.0, LATE_SECONDS))  # then nothing of a killed upload is waited for any more
    for machine in setting.machines:
        await machine.until_alone()
        await nothing_is_left(machine.command, machine.data, known, OWNER, setting.storage, **setting.opening)
    assert await only_known(setting) == []


def servers(machines: Sequence[Machine], count: int) -> Iterator[Coroutine[None, None, None]]:
    """Two on each machine, of which one has two workers."""
    for machine, options in itertools.islice(itertools.product(machines, ((), ("--workers", "2"))), count):
        yield machine.serve_for_ever(*options)


async def going_away(stores: Stores, sized: Callable[[float, float], float]) -> None:
    """First one store is away for a while, then the other; 12 seconds in all, or five minutes."""
    await asyncio.sleep(sized(2.0, 60.0))
    await stores.without_s3(sized(3.0, 20.0))
    await asyncio.sleep(sized(2.0, 90.0))
    await stores.with_database_restarted(sized(1.0, 3.0))
    await asyncio.sleep(sized(4.0, 127.0))


def working(client: Traveller, known: Acknowledged, rng: random.Random) -> Iterator[Coroutine[None, None, None]]:
    """What goes on meanwhile."""
    yield from (Uploader(client, known, rng, f"uploads-{number}").work() for number in range(2))
    yield from (Ingester(client, known, rng, f"records-{number}").work() for number in range(2))
    yield OverHttp(client, known, rng, "doomed", client._machines[0], OWNER).work()
    yield Downloader(client, known, rng, "large").work()
    yield exporting(client, known)
    yield looking(Look(client, known), rng)


async def only_known(setting: Setting) -> list[str]:
    """What is in the bucket and no blob of the catalogue, or the other way round."""
    bucket = Bucket.parse(setting.opening["where"].location)
    data, url = setting.machines[0].data, setting.storage.database_url
    store = await RecordStore.open(data, topology=Topology.POSTGRES, database_url=url, **setting.opening)
    known, living, after = set[str](), set[str](), None
    while page := await store.blobs.catalogue.walk(after, 1000):
        known |= {bucket.key_of(each.name) for each in page}
        living |= {bucket.key_of(each.name) for each in page if each.state is not State.CONDEMNED}
        after = page[-1].name
    await store.close()
    client = setting.s3.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket, Prefix=bucket.prefix)
    there = {each["Key"] for page in pages for each in page.get("Contents", [])}
    begun = client.list_multipart_uploads(Bucket=bucket.bucket, Prefix=bucket.prefix)
    there |= {each["Key"] + " (unfinished)" for each in begun.get("Uploads", [])}
    there = {key for key in there if not bucket.is_own(key)}
    return sorted((living - there) | (there - known))
