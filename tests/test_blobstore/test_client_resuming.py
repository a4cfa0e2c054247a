"""Large uploads of the client, through a network that cuts and servers that end: they go on where they were."""

import asyncio
import hashlib
import io
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from blake3 import blake3

from blobstore.client import (
    Client,
    Connector,
    ContentChanged,
    NotUnderstood,
    OtherBytes,
    Refused,
    Unauthorized,
    Unreachable,
    connect,
)
from blobstore.client.answers import Answer
from blobstore.client.body import CountedBody
from blobstore.client.resuming import Resuming
from tests.conformance.http.own_server import Target, serving
from tests.fakes.tcp_proxy import Fault, Harm, TcpProxy, proxying
from tools.http_sink import open_http_sink

MIB = 1 << 20
CONTENT = random.Random(2).randbytes(12 * MIB + 345)
BLOB_ID = "blob_b3_" + blake3(CONTENT).hexdigest()
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}
STREAM = {"name": "files", "semantics": "mutable_state", "primary_key": ["id"], "schema": SCHEMA}
CONNECTOR = "https://example.org/connectors/large"
MANIFEST: dict[str, Any] = {"connector_id": CONNECTOR, "version": "1.0.0", "streams": [STREAM]}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with serving(tmp_path_factory.mktemp("resuming")) as target:
        yield target


@pytest.fixture
def proxy(target: Target) -> Iterator[TcpProxy]:
    with proxying(target.base_url) as proxy:
        yield proxy


@pytest.fixture
async def client(target: Target, proxy: TcpProxy) -> AsyncIterator[Client]:
    async with connect(proxy.url, target.token, attempts=4) as client:
        yield client
    assert proxy.faults == []


@pytest.fixture
async def large(client: Client, monkeypatch: pytest.MonkeyPatch) -> Connector:
    monkeypatch.setattr("blobstore.client.connector.RESUMED", MIB)
    connector = client.connector(CONNECTOR)
    await connector.register(MANIFEST)
    return connector


def opener(content: bytes = CONTENT) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))


async def reserved(client: Client) -> int:
    return int((await client.ask("GET", "/v1/owner/usage"))["reserved_bytes"])


async def uploaded(large: Connector, content: Any = opener, size: int | None = len(CONTENT)) -> str:
    said = await large.upload(content, stream="files", record_key="1", mime_type="video/mp4", size=size)
    assert (said.size_bytes, said.mime_type) == (len(CONTENT), "video/mp4")
    return said.blob_id


async def test_it_goes_on_where_the_connection_broke(
    large: Connector, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets: list[int] = []
    append = Resuming._append

    async def seen(upload: Resuming, body: CountedBody) -> Answer:
        offsets.append(upload._offset)
        return await append(upload, body)

    monkeypatch.setattr(Resuming, "_append", seen)
    proxy.faults += [Fault(b"PATCH ", Harm.BROKEN, keep=5 * MIB), Fault(b"PATCH ", Harm.BROKEN, keep=4 * MIB)]
    assert await uploaded(large) == BLOB_ID
    assert offsets[0] == 0 < offsets[-1] < len(CONTENT)
    assert offsets == sorted(offsets)


@pytest.mark.parametrize("word", [b"POST /v1/uploads", b"PATCH ", b"HEAD "])
async def test_an_answer_that_never_came_is_found_out(
    large: Connector, client: Client, proxy: TcpProxy, word: bytes
) -> None:
    if word == b"HEAD ":
        proxy.faults.append(Fault(b"PATCH ", Harm.BROKEN, keep=MIB))
    proxy.faults.append(Fault(word, Harm.UNHEARD))
    assert await uploaded(large) == BLOB_ID


async def test_what_was_given_up_keeps_no_room(large: Connector, client: Client, proxy: TcpProxy) -> None:
    before = await reserved(client)
    with pytest.raises(ContentChanged):
        await uploaded(large, lambda: opener(CONTENT[: 5 * MIB]))
    assert await reserved(client) == before

    def fails() -> io.BufferedReader:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        await uploaded(large, fails)
    assert await reserved(client) == before


async def test_whoever_is_cancelled_leaves_nothing(large: Connector, client: Client) -> None:
    before = await reserved(client)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Stalling(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() > 4 * MIB:
                loop.call_soon_threadsafe(asked.set)
            return super().readinto(buffer)

    task = asyncio.create_task(uploaded(large, lambda: io.BufferedReader(Stalling(CONTENT))))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await reserved(client) == before


async def test_an_upload_that_the_server_no_longer_knows_begins_anew(
    large: Connector, client: Client, proxy: TcpProxy
) -> None:
    """As after its time was over: the first HEAD finds nothing."""
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    proxy.faults += [Fault(b"PATCH ", Harm.BROKEN, keep=MIB), Fault(b"HEAD ", gone)]
    assert await uploaded(large) == BLOB_ID


async def test_it_goes_on_after_a_restart_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blobstore.client.connector.RESUMED", MIB)
    with ExitStack() as stack, ExitStack() as later:
        first = stack.enter_context(serving(tmp_path))
        proxy = later.enter_context(proxying(first.base_url))
        async with connect(proxy.url, first.token) as client:
            large = client.connector(CONNECTOR)
            await large.register(MANIFEST)
            proxy.faults += [Fault(b"PATCH ", Harm.BROKEN, keep=5 * MIB), Fault(b"HEAD ", Harm.HELD)]
            task = asyncio.create_task(uploaded(large))
            await asyncio.to_thread(proxy.held.acquire)
            await asyncio.to_thread(stack.close)
            second = later.enter_context(serving(tmp_path))
            proxy.lead_to(second.base_url)
            proxy.go.set()
            assert await task == BLOB_ID


async def test_hydration_sends_large_files_so(large: Connector, target: Target, proxy: TcpProxy) -> None:
    proxy.faults.append(Fault(b"PATCH ", Harm.BROKEN, keep=MIB))
    async with open_http_sink(proxy.url, target.token, CONNECTOR) as sink:
        said = await sink.upload(opener, size=len(CONTENT), stream="files", record_key="2", mime_type="video/mp4")
    assert said.blob_id == BLOB_ID


# What no server of ours says.


async def against(app: web.Application, monkeypatch: pytest.MonkeyPatch, size: int = 3 * MIB) -> str:
    monkeypatch.setattr("blobstore.client.connector.RESUMED", MIB)
    async with TestServer(app) as server, connect(str(server.make_url("/")), "t", attempts=2) as client:
        content = CONTENT[:size]
        said = await client.connector("c").upload(lambda: opener(content), stream="s", record_key="k", size=size)
        return said.blob_id


async def test_a_server_without_resuming_gets_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def whole(request: web.Request) -> web.Response:
        content = await request.read()
        said = {"blob_id": "b", "sha256": hashlib.sha256(content).hexdigest(), "mime_type": request.query["mime_type"]}
        return web.json_response(said | {"size_bytes": len(content)})

    app = web.Application(client_max_size=99 * MIB)
    app.router.add_post("/v1/blobs", whole)
    assert await against(app, monkeypatch) == "b"


@pytest.mark.parametrize(
    ("created", "appended", "kind"),
    [
        ({}, {}, NotUnderstood),
        ({"Location": "http://elsewhere.example/v1/uploads/1"}, {}, NotUnderstood),
        ({"Location": "/v1/uploads/1"}, {"Blob-Id": "b", "Repr-Digest": "sha-256=:AAAA:"}, OtherBytes),
    ],
)
async def test_what_is_not_said_is_not_believed(
    created: dict[str, str], appended: dict[str, str], kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create(request: web.Request) -> web.Response:
        return web.Response(status=201, headers=created)

    async def append(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204, headers=appended)

    async def end(request: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application(client_max_size=99 * MIB)
    app.router.add_post("/v1/uploads", create)
    app.router.add_patch("/v1/uploads/1", append)
    app.router.add_delete("/v1/uploads/1", end)
    with pytest.raises(kind):
        await against(app, monkeypatch)


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (400, Refused)])
async def test_what_is_refused_at_the_start_sends_nothing(
    status: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def refuse(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", refuse)
    with pytest.raises(kind):
        await against(app, monkeypatch)
    assert asked == ["POST"]


async def test_it_gives_up_where_nothing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def create(request: web.Request) -> web.Response:
        return web.Response(status=201, headers={"Location": "/v1/uploads/1"})

    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def standing(request: web.Request) -> web.Response:
        return web.Response(headers={"Upload-Offset": "0"})

    app = web.Application()
    app.router.add_post("/v1/uploads", create)
    app.router.add_patch("/v1/uploads/1", cut)
    app.router.add_route("HEAD", "/v1/uploads/1", standing)
    with pytest.raises(Unreachable):
        await against(app, monkeypatch)
