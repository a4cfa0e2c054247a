"""Resumable uploads while connections are cut and servers killed: all arrive, and little is sent twice."""

import asyncio
import random
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from blake3 import blake3
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.storage.filestorage import FileStorage

from blobstore.locked import file_lock
from records.store import RecordStore
from tests.crash.fleet import Fleet
from tests.fakes.cutting_proxy import CuttingProxy, cutting
from tests.test_server.test_connection import MANIFEST

OWNER = "tus"
SERVERS = 2
"""On one directory: what one began the other goes on with."""

AT_ONCE = 8
LATER = {409, 423, 503}
OCTETS = "application/offset+octet-stream"
SENDER = Path(__file__).parents[1] / "fakes" / "tus"


@dataclass
class Service:
    """Servers that are killed and come back, behind a proxy that cuts connections."""

    fleet: Fleet
    proxy: CuttingProxy
    token: str
    session: aiohttp.ClientSession

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Tus-Resumable": "1.0.0"}

    def endpoint(self, key: str) -> str:
        return f"{self.proxy.url}/v1/uploads?connector_id=c&stream=notes&record_key={key}"

    async def ask(self, method: str, url: str, **more: str) -> aiohttp.ClientResponse:
        """Until a server answers."""
        while True:
            with suppress(aiohttp.ClientError):
                async with self.session.request(method, url, headers=self.headers | more) as response:
                    if response.status not in LATER:
                        return response
            await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(tmp_path: Path, forks: Path, rng: random.Random, reach: int, *options: str) -> AsyncIterator[Service]:
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log", options=options)
    _, token = await fleet.command("token", "create", "--owner", OWNER)
    servers = [asyncio.create_task(fleet.serve_for_ever()) for _ in range(SERVERS)]
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    try:
        async with cutting(lambda: fleet.urls, rng, reach) as proxy, aiohttp.ClientSession(timeout=timeout) as session:
            service = Service(fleet, proxy, token.strip(), session)
            while not fleet.urls:
                await asyncio.sleep(0.02)
            headers = {"Authorization": f"Bearer {service.token}"}
            async with session.post(f"{fleet.urls[0]}/v1/connectors", json=MANIFEST, headers=headers) as response:
                assert response.status == 201, await response.text()
            yield service
    finally:
        for each in servers:
            each.cancel()
        await asyncio.wait(servers)


async def send(service: Service, key: str, data: memoryview, chunk: int) -> str:
    """One upload, gone on with until all has arrived; the blob's id."""
    begun = await service.ask("POST", service.endpoint(key), **{"Upload-Length": str(len(data))})
    assert begun.status == 201
    url, offset = f"{service.proxy.url}{begun.headers['Location']}", 0
    while True:
        part = data[offset : offset + chunk]
        headers = {"Upload-Offset": str(offset), "Content-Type": OCTETS, "Content-Length": str(len(part))}
        try:
            async with service.session.patch(url, data=in_pieces(part), headers=service.headers | headers) as response:
                if response.status == 204 and "Blob-Id" in response.headers:
                    return response.headers["Blob-Id"]
                assert response.status in {204, *LATER}, await response.text()
        except aiohttp.ClientError:
            pass
        head = await service.ask("HEAD", url)
        assert head.status == 200, "an upload that was begun is not there any more"
        if "Blob-Id" in head.headers:
            return head.headers["Blob-Id"]
        reached = int(head.headers["Upload-Offset"])
        assert offset <= reached <= offset + len(part), "what was acknowledged is gone"
        offset = reached


async def in_pieces(data: memoryview) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 256 << 10):
        yield bytes(data[start : start + (256 << 10)])


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_all_arrive_through_cut_connections_and_killed_servers(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    count, size, chunk = sized(6, 100), sized(3_000_000, 100_000_000), sized(500_000, 8 << 20)
    common = rng.randbytes(size - 8)
    free = asyncio.Semaphore(AT_ONCE)
    async with serving(tmp_path, forks, rng, sized(1_000_000, 40_000_000)) as service:
        done = 0

        async def one(number: int) -> None:
            nonlocal done
            async with free:
                data = number.to_bytes(8) + common
                assert await send(service, str(number), memoryview(data), chunk) == blob_id(data)
                done += 1

        async def kill() -> None:
            for number in (1, 2):
                while done < number * count // 3:
                    await asyncio.sleep(0.02)
                await asyncio.sleep(rng.uniform(0.0, 0.3))
                service.fleet.kill_one(rng)

        abandoned = await service.ask("POST", service.endpoint("left"), **{"Upload-Length": "1000"})
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(number))
            group.create_task(kill())
        took = time.monotonic() - began
    more = 100 * (service.proxy.passed / (count * size) - 1)
    print(
        f"{count} uploads of {size} bytes in {took:.1f} s, {service.proxy.cuts} connections cut, killed"
        f" {dict(service.fleet.killed)}; {service.proxy.passed} bytes sent, {more:.2f} % more than there are"
    )
    assert abandoned.status == 201
    assert (await service.fleet.command("doctor", "--deep"))[0] == 0
    await only_the_abandoned_is_left_until_it_expires(service.fleet.data)


async def only_the_abandoned_is_left_until_it_expires(data: Path) -> None:
    store = await RecordStore.open(data)
    await store.collect(0.0)
    leases = await store.blobs.catalogue.leases()
    assert leases  # one at least: where the answer to a beginning was lost, there is another
    for lease in leases:
        await store.blobs.catalogue.renew(lease.process, time.time() - 1)
    store.blobs.staging.forget(time.time() + 1)
    await store.collect(0.0)
    assert await store.blobs.catalogue.leases() == []
    assert [each.name for each in (data / "staging").iterdir()] == [store.blobs.staging.process]
    await store.close()


async def test_tuspy_goes_on_after_it_and_the_server_were_killed(
    tmp_path: Path, forks: Path, rng: random.Random
) -> None:
    data = rng.randbytes(2_000_000)
    (tmp_path / "file").write_bytes(data)

    def upload(service: Service, stop_at: int | None) -> None:
        client = TusClient(service.endpoint("1"), headers={"Authorization": f"Bearer {service.token}"})
        uploader = client.uploader(
            str(tmp_path / "file"),
            chunk_size=300_000,
            retries=100,
            retry_delay=0.1,
            store_url=True,
            url_storage=FileStorage(str(tmp_path / "urls")),  # type: ignore[no-untyped-call]  # of a library without
            metadata={"filename": "clip.bin"},
            upload_checksum=True,
        )
        uploader.upload(stop_at)

    async with serving(tmp_path, forks, rng, 1_000_000) as service:
        for stop_at in (900_000, None):
            while True:
                with suppress(TusCommunicationError):  # it asks once where to go on, and a server may be gone
                    await asyncio.to_thread(upload, service, stop_at)
                    break
                await asyncio.sleep(0.1)
            service.fleet.kill_one(rng)
        assert await stored(service, data) == data


@pytest.mark.parametrize("parallel", [1, 3])
async def test_tus_js_client_goes_on_after_it_and_the_server_were_killed(
    tmp_path: Path, forks: Path, rng: random.Random, tus_js_client: Path, parallel: int
) -> None:
    data = rng.randbytes(2_000_000)
    (tmp_path / "file").write_bytes(data)

    async def upload(service: Service, *more: str) -> tuple[int, str]:
        arguments = [service.endpoint("1"), service.token, str(tmp_path / "file"), str(tmp_path / "urls"), "300000"]
        process = await asyncio.create_subprocess_exec(
            *("node", str(tus_js_client / "send.mjs"), *arguments, str(parallel), *more),
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        return await process.wait(), printed.decode().strip()

    async with serving(tmp_path, forks, rng, 1_000_000) as service:
        while (await upload(service, "500000"))[0] != -9:
            pass  # it gives up where its first request is cut off
        service.fleet.kill_one(rng)
        while (ended := await upload(service))[0] != 0:
            pass  # or its last
        assert ended[1] == blob_id(data)
        assert await stored(service, data) == data


@pytest.fixture(scope="session")
def tus_js_client() -> Path:
    """The client for browsers and node, from npm; what it takes is fetched once."""
    folder = Path(sys.prefix) / "tus"
    folder.mkdir(exist_ok=True)
    with file_lock(folder / "lock"):
        locked = (SENDER / "package-lock.json").read_bytes()
        if not (folder / "done").exists() or (folder / "done").read_bytes() != locked:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SENDER / name, folder)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=folder, check=True)
            (folder / "done").write_bytes(locked)
        shutil.copy(SENDER / "send.mjs", folder)
    return folder


async def stored(service: Service, data: bytes) -> bytes:
    service.proxy.quiet()
    while True:
        with suppress(aiohttp.ClientError):
            url = f"{service.proxy.url}/v1/blobs/{blob_id(data)}"
            async with service.session.get(url, headers=service.headers) as response:
                return await response.read()
        await asyncio.sleep(0.05)


def blob_id(data: bytes) -> str:
    return "blob_b3_" + blake3(data).hexdigest()
