"""The end of a server whose stores hang: when it had its time, whatever is under way."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from records.layout import Topology
from records.store import RecordStore
from tests.fakes.postgres import Cluster
from tests.fakes.s3 import S3Server
from tests.fakes.tcp_proxy import Fault, Harm, TcpProxy
from tests.test_server.child import Child, serving

PROGRAM = """
import asyncio, sys
from pathlib import Path
from blobstore.backends.where import Where
from records.layout import Topology
from server import stopping
from server.config import Config
from server.run import serve

stopping.ENDING = float(sys.argv[1])
config = Config(
    port=0, drain=1.0, drain_delay=0.5, topology=Topology.POSTGRES, database_url=sys.argv[3], where=Where(*sys.argv[4:])
)
asyncio.run(serve(Path(sys.argv[2]), config, lambda url: print(url, flush=True)))
"""

BOUND = 20.0
"""Seconds that are long for a slow machine to notice that 2.5 are over, and short for who waits for a time-out."""


@pytest.fixture
async def server(
    request: pytest.FixtureRequest, tmp_path: Path, database_url: str, s3: S3Server, proxy: TcpProxy
) -> AsyncIterator[Child]:
    """On PostgreSQL, and on S3 behind a proxy. The parameter: seconds to close its store in, where they matter."""
    where = replace(s3.where(), endpoint=proxy.url)
    store = await RecordStore.open(tmp_path, topology=Topology.POSTGRES, database_url=database_url, where=where)
    token = await store.access.create_owner_token("ada", None)
    await store.close()
    told = [
        getattr(request, "param", "1"),
        str(tmp_path),
        database_url,
        where.location,
        str(where.endpoint),
        str(where.region),
    ]
    async with serving(token, PROGRAM, *told) as server:
        yield server


@contextmanager
def hung(postgres: Cluster) -> Iterator[None]:
    postgres.pause()
    try:
        yield
    finally:
        postgres.go_on()


async def uploading(server: Child) -> None:
    path = "/v1/blobs?connector_id=c&stream=notes&record_key=k"
    with suppress(aiohttp.ClientError):
        async with server.session.post(path, data=os.urandom(100_000)) as answer:
            await answer.read()


@pytest.mark.parametrize("server", ["30"], indirect=True)
async def test_a_client_that_never_reads_holds_nobody_up(server: Child) -> None:
    async with server.session.post(
        "/v1/blobs?connector_id=c&stream=notes&record_key=k", data=bytes(20 << 20)
    ) as answer:
        blob = (await answer.json())["blob_id"]
    async with server.session.get(f"/v1/blobs/{blob}") as answer:
        assert answer.status == 200
        server.process.terminate()
        assert await server.ended(within=BOUND) == 0


async def test_an_upload_into_a_store_of_s3_that_hangs_holds_nobody_up(server: Child, proxy: TcpProxy) -> None:
    proxy.faults += [Fault(b"PUT /", Harm.HELD)] * 9
    upload = asyncio.create_task(uploading(server))
    await asyncio.to_thread(proxy.held.acquire)
    server.process.terminate()
    await server.ended(within=BOUND)
    await upload


async def test_a_database_that_hangs_holds_nobody_up(server: Child, postgres: Cluster) -> None:
    with hung(postgres):
        upload = asyncio.create_task(uploading(server))
        await asyncio.sleep(0.3)
        server.process.terminate()
        await server.ended(within=BOUND)
        await upload
