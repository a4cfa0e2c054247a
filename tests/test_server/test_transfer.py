"""Stored bytes on their way out, over real sockets: whole, in parts, cut off, stalled, withdrawn."""

import asyncio
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from blobstore.catalogue import Stored
from blobstore.store import BlobStore, OpenBlob, Slot
from server import middleware
from server.config import Config
from server.connection import Runner
from server.keys import CONFIG, STOPPING
from server.ranges import ByteRange
from server.representation import Representation, answer
from server.stopping import Stopping
from server.transfer import SLICE, Delivery, End
from tests.fakes.descriptors import descriptors

SIZE = 20 * (1 << 20) + 12345
BYTES = random.Random(7).randbytes(SIZE)
FEW = BYTES[:5000]
FILLER = b"f" * (8 << 20)
PATIENCE = 0.6


class Unfiled(OpenBlob):
    """A blob that lies in no file."""

    def fileno(self) -> int | None:
        return None


@dataclass
class Service:
    """A server of one blob, `/file` with a descriptor, `/bytes` without, and of a small one, `/few`."""

    port: int
    path: Path
    deliveries: list["Watched"] = field(default_factory=list)
    allowed: Callable[[], Awaitable[bool]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ended(self) -> Delivery:
        """The last delivery, once it is over."""
        async with asyncio.timeout(10):
            while not self.deliveries or not self.deliveries[-1].over:
                await asyncio.sleep(0.01)
        return self.deliveries[-1]


class Watched(Delivery):
    """Says when it is over."""

    over = False

    async def send(self, request: web.Request) -> web.StreamResponse:
        try:
            return await super().send(request)
        finally:
            self.over = True


@asynccontextmanager
async def serving(directory: Path, tls: ssl.SSLContext | None = None) -> AsyncIterator[Service]:
    store = await BlobStore.open(directory)

    async def put(data: bytes) -> Stored:
        async def chunks() -> AsyncIterator[bytes]:
            yield data

        return await store.put("owner", Slot("holder", "scope", "slot", "image/png"), chunks())

    large = await put(BYTES)
    (path,) = (each for each in (directory / "blobs").rglob("*") if each.is_file())
    small = await put(FEW)

    async def handler(request: web.Request) -> web.StreamResponse:
        stored = small if request.path == "/few" else large
        async with await store.open_stored(stored) as blob:
            if request.path == "/bytes":
                blob = Unfiled(store._threads, stored, blob._reader)
            what = Representation("tag", stored.sha256, stored.size, "image/png", None)
            delivery = Watched(blob, answer(request.method, request.headers, what), served.allowed)
            served.deliveries.append(delivery)
            return await delivery.send(request)

    async def filler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.set_write_buffer_limits(high=2 * len(FILLER))  # aiohttp goes on while this is being sent
        return web.Response(body=FILLER)

    config = Config(patience=PATIENCE, drain=0.2)
    app = web.Application(middlewares=[middleware.envelope])
    app.on_response_prepare.append(middleware.on_prepare)
    app[CONFIG] = config
    app[STOPPING] = Stopping()
    app.router.add_get("/filler", filler)
    app.router.add_get("/{how:file|bytes|few}", handler)
    runner = Runner(app, config)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    served = Service(runner.addresses[0][1], path)
    try:
        yield served
    finally:
        await runner.cleanup()
        await store.close()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path) as running:
        yield running


class Client:
    """A client on one connection that reads only when it is told to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()

    async def ask(self, path: str, **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *lines, "", ""])
        await self._loop.sock_sendall(self._socket, head.encode())

    async def read(self, count: int) -> bytes:
        """Up to so many bytes; fewer when the connection ends cleanly."""
        got = bytearray()
        while len(got) < count and (piece := await self._loop.sock_recv(self._socket, count - len(got))):
            got += piece
        return bytes(got)

    async def head(self) -> bytes:
        got = bytearray()
        while not got.endswith(b"\r\n\r\n"):
            got += await self.read(1)
        return bytes(got)

    async def rest(self, *, pause: float = 0.0, step: int = 1 << 20) -> int:
        """Bytes that still come, read step by step, until the connection ends in whatever way."""
        count = 0
        with suppress(ConnectionError):
            while piece := await self._loop.sock_recv(self._socket, step):
                count += len(piece)
                await asyncio.sleep(pause)
        return count

    def close(self) -> None:
        self._socket.close()


HOWS = pytest.mark.parametrize("how", ["/file", "/bytes"])


@HOWS
async def test_every_byte_arrives_and_is_accounted_for(service: Service, how: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(service.url + how) as response:
        assert await response.read() == BYTES

    delivery = await service.ended()
    assert (delivery.end, delivery.sent) == (End.WHOLE, (ByteRange(0, SIZE),))


@pytest.mark.parametrize(
    ("asked", "status", "parts"),
    [
        (None, 200, [(0, 5000)]),
        ("bytes=10-19", 206, [(10, 20)]),
        ("bytes=0-0,4000-4999", 206, [(0, 1), (4000, 5000)]),
        ("bytes=5000-", 416, []),
    ],
)
async def test_a_small_blob_is_answered_as_a_large_one(
    service: Service, asked: str | None, status: int, parts: list[tuple[int, int]]
) -> None:
    headers = {} if asked is None else {"Range": asked}
    async with aiohttp.ClientSession() as session:
        async with session.head(f"{service.url}/few") as response:
            assert (response.status, response.headers["Content-Length"]) == (200, "5000")
        assert (await service.ended()).sent == ()
        async with session.get(f"{service.url}/few", headers=headers) as response:
            assert response.status == status
            body = await response.read()
            assert all(FEW[start:stop] in body for start, stop in parts)
            assert len(parts) != 1 or body == FEW[slice(*parts[0])]
            assert int(response.headers["Content-Length"]) == len(body)
    if status != 416:
        delivery = await service.ended()
        assert (delivery.end, delivery.sent) == (End.WHOLE, tuple(ByteRange(*part) for part in parts))


@HOWS
async def test_parts_are_the_right_bytes_wherever_they_lie(service: Service, how: str, rng: random.Random) -> None:
    edges = [0, 1, SLICE - 1, SLICE, SLICE + 1, SIZE - 1, SIZE, *(rng.randrange(SIZE) for _ in range(10))]
    spans = [(start, rng.choice([start + 1, *(edge for edge in edges if edge > start)])) for start in edges[:-1]]
    async with aiohttp.ClientSession() as session:
        for start, stop in ((start, min(stop, SIZE)) for start, stop in spans if start < SIZE):
            asked = {"Range": f"bytes={start}-{stop - 1}"}
            async with session.get(service.url + how, headers=asked) as response:
                assert response.status == 206
                assert await response.read() == BYTES[start:stop]
            assert (await service.ended()).sent == (ByteRange(start, stop),)


async def test_what_is_not_in_memory_is_sent_all_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch, rng: random.Random
) -> None:
    def absent(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr("server.sendfile.os.preadv", absent)
    async with aiohttp.ClientSession() as session:
        for _ in range(5):
            start = rng.randrange(SIZE - 1000)
            stop = rng.randrange(start + 1, min(SIZE, start + (1 << 20)))
            asked = {"Range": f"bytes={start}-{stop - 1}"}
            async with session.get(f"{service.url}/file", headers=asked) as response:
                assert await response.read() == BYTES[start:stop]
            assert (await service.ended()).sent == (ByteRange(start, stop),)


@HOWS
async def test_one_connection_serves_every_kind_of_answer_in_turn(service: Service, how: str) -> None:
    client = Client(service.port)
    kinds: list[tuple[dict[str, str], int]] = [
        ({}, 200),
        ({"Range": "bytes=5-9"}, 206),
        ({"Range": "bytes=0-0,9000000-9999999,-1"}, 206),
        ({"If_None_Match": '"tag"'}, 304),
        ({"Range": f"bytes={SIZE}-"}, 416),
        ({"Range": "bytes=-3"}, 206),
        ({"If_Match": '"other"'}, 412),
    ]
    for headers, status in [*kinds, *kinds]:
        await client.ask(how, **headers)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 %d " % status)
        if status == 304:
            continue
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await client.read(length)
        if headers == {"Range": "bytes=0-0,9000000-9999999,-1"}:
            assert body.startswith(b"--")
            assert body.endswith(b"--\r\n")
            assert BYTES[9000000:10000000] in body
        elif headers == {"Range": "bytes=-3"}:
            assert body == BYTES[-3:]
    client.close()


async def test_sendfile_does_not_overtake_what_the_transport_still_holds(service: Service) -> None:
    client = Client(service.port)
    await client.ask("/filler")
    await client.ask("/file", Range="bytes=0-9999999")

    for expected in (FILLER, BYTES[:10_000_000]):
        await client.head()
        assert await client.read(len(expected)) == expected
    client.close()


@HOWS
async def test_a_hundred_parts_are_framed_to_the_byte(service: Service, how: str) -> None:
    asked = ",".join(f"{start}-{start + 70}" for start in range(0, 200_000, 2_000))
    async with (
        aiohttp.ClientSession() as session,
        session.get(service.url + how, headers={"Range": f"bytes={asked}"}) as response,
    ):
        reader = aiohttp.MultipartReader.from_response(response)
        for start in range(0, 200_000, 2_000):
            part = await reader.next()
            assert isinstance(part, aiohttp.BodyPartReader)
            assert part.headers["Content-Range"] == f"bytes {start}-{start + 70}/{SIZE}"
            assert await part.read() == BYTES[start : start + 71]
        assert await reader.next() is None
    assert len((await service.ended()).sent) == 100


async def test_tls_carries_the_same_bytes(tmp_path: Path) -> None:
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    async with serving(tmp_path, server_side) as service, aiohttp.ClientSession() as session:
        for headers, expected in (({}, BYTES), ({"Range": "bytes=8388600-8388700"}, BYTES[8388600:8388701])):
            url = f"https://127.0.0.1:{service.port}/file"
            async with session.get(url, ssl=client_side, headers=headers) as response:
                assert await response.read() == expected


@HOWS
async def test_a_right_that_is_withdrawn_stops_the_download_in_flight(service: Service, how: str) -> None:
    asked = 0

    async def until_the_second_question() -> bool:
        nonlocal asked
        asked += 1
        return asked < 2

    service.allowed = until_the_second_question
    async with aiohttp.ClientSession() as session, session.get(service.url + how) as response:
        with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
            await response.read()

    delivery = await service.ended()
    assert delivery.end is End.REVOKED
    (span,) = delivery.sent
    assert span.start == 0
    assert SLICE // 2 <= span.stop <= 2 * SLICE  # it is asked while the last bytes go that may be sent


@HOWS
async def test_a_slow_reader_is_asked_about_too(service: Service, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.transfer.CHECK_SECONDS", 0.1)

    async def never() -> bool:
        return False

    service.allowed = never
    client = Client(service.port)
    await client.ask(how)
    assert await client.rest(pause=0.05, step=100_000) < SIZE
    client.close()

    delivery = await service.ended()
    assert delivery.end is End.REVOKED
    assert 0 < len(delivery.sent[0]) < SLICE


@HOWS
async def test_bytes_that_cannot_be_read_never_look_like_a_short_file(service: Service, how: str) -> None:
    client = Client(service.port)
    await client.ask(how)
    await client.head()
    service.path.chmod(0o600)
    os.truncate(service.path, 12_000_000)
    assert await client.rest() <= 12_000_000
    client.close()

    delivery = await service.ended()
    assert delivery.end is End.FAILED
    assert sum(map(len, delivery.sent)) <= 12_000_000


@HOWS
async def test_a_client_that_hangs_up_is_noticed_and_what_left_is_known(service: Service, how: str) -> None:
    client = Client(service.port)
    await client.ask(how, Range="bytes=1000-")
    await client.head()
    assert await client.read(500_000) == BYTES[1000:501_000]
    client.close()

    delivery = await service.ended()
    assert delivery.end is End.GONE
    (span,) = delivery.sent
    assert span.start == 1000
    assert 500_000 <= len(span) < SIZE - 1000


@HOWS
async def test_a_reader_that_stalls_is_given_up(service: Service, how: str) -> None:
    client = Client(service.port)
    begun = asyncio.get_running_loop().time()
    await client.ask(how)
    await client.head()

    delivery = await service.ended()
    assert delivery.end is End.GONE
    assert asyncio.get_running_loop().time() - begun < 4 * PATIENCE
    assert await client.rest() < SIZE
    client.close()


@HOWS
async def test_a_reader_that_trickles_is_given_up(service: Service, how: str) -> None:
    client = Client(service.port)
    begun = asyncio.get_running_loop().time()
    await client.ask(how)
    trickling = asyncio.create_task(client.rest(pause=0.02, step=50))

    delivery = await service.ended()
    assert delivery.end is End.GONE
    assert asyncio.get_running_loop().time() - begun < 6 * PATIENCE
    trickling.cancel()
    client.close()


@HOWS
async def test_a_slow_but_honest_reader_gets_everything(service: Service, how: str) -> None:
    client = Client(service.port)
    await client.ask(how, Range="bytes=0-7999999")
    await client.head()
    got = bytearray()
    while piece := await client.read(min(100_000, 8_000_000 - len(got))):
        got += piece
        await asyncio.sleep(0.05)
    client.close()

    assert got == BYTES[:8_000_000]
    assert (await service.ended()).end is End.WHOLE


@HOWS
async def test_a_server_that_stops_leaves_no_descriptor_and_no_clean_end(tmp_path: Path, how: str) -> None:
    before = descriptors()
    async with serving(tmp_path) as service:
        client = Client(service.port)
        await client.ask(how)
        await client.head()
        await client.read(100_000)
    assert await client.rest() < SIZE - 100_000
    client.close()

    delivery = service.deliveries[-1]
    assert delivery.end is not End.WHOLE
    assert len(delivery.sent[0]) >= 100_000
    assert not descriptors() - before


async def test_descriptors_go_with_their_deliveries(service: Service) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(service.url + "/file") as response:
            await response.read()
        await service.ended()
        before = descriptors()
        for _ in range(20):
            async with session.get(service.url + "/file", headers={"Range": "bytes=0-0,5-5"}) as response:
                await response.read()
        await service.ended()
        assert not descriptors() - before
