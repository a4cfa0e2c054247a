"""The sink that speaks HTTP: what it sends, what it believes, when it tries again and when it gives up."""

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from blobstore.client import calls
from blobstore.client.answers import Stored
from blobstore.client.connector import MAX_LINE
from blobstore.client.content import PIECE, Content, Opener
from tests.fakes.resource_server import TOKEN, ResourceServer, error, serving
from tools.http_sink import open_http_sink
from tools.sink import Refused, Sink, SinkError

CONNECTOR = "https://registry.example/connectors/a b"


@asynccontextmanager
async def sink_to(server: ResourceServer, *, token: str = TOKEN, attempts: int = 4) -> AsyncIterator[Sink]:
    async with serving(server) as address, open_http_sink(address, token, CONNECTOR, "work", attempts=attempts) as sink:
        yield sink


def opener(*pieces: bytes) -> Opener:
    return lambda: io.BufferedReader(io.BytesIO(b"".join(pieces)))


class Reading(io.RawIOBase):
    """A file of which each reading brings so many bytes, by their number from 0; no more when that is 0."""

    def __init__(self, lengths: Callable[[int], int]) -> None:
        self._lengths = lengths
        self._number = 0
        self.closing = threading.Event()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any buffer may be given, and a memoryview is
        length = min(self._lengths(self._number), len(buffer))
        self._number += 1
        buffer[:length] = b"x" * length
        return length

    def close(self) -> None:
        self.closing.set()
        super().close()


async def upload(sink: Sink, content: Content, size: int | None = None) -> Stored:
    return await sink.upload(content, size=size, stream="files", record_key="F/1?ü", mime_type="image/png")


@pytest.mark.parametrize("length", [0, 1, 70_000, PIECE - 1])
async def test_few_bytes_are_sent_as_they_are(length: int) -> None:
    server = ResourceServer()
    content = bytes(range(256)) * (length // 256 + 1)
    async with sink_to(server) as sink:
        uploaded = await upload(sink, content[:length], length)
    assert server.blobs[uploaded.blob_id] == content[:length]
    assert (uploaded.sha256, uploaded.size_bytes) == (hashlib.sha256(content[:length]).hexdigest(), length)


@pytest.mark.parametrize("announced", [True, False])
async def test_an_upload_is_streamed_and_its_digest_comes_back(announced: bool) -> None:
    server = ResourceServer()
    pieces = [b"a" * (1 << 20), b"b" * 70_000, b"c"]
    content = b"".join(pieces)
    lengths = []

    async def look(request: web.Request) -> None:
        lengths.append(request.headers.get("Content-Length"))

    server.faults.append(look)
    async with sink_to(server) as sink:
        uploaded = await upload(sink, opener(*pieces), len(content) if announced else None)
    assert uploaded.sha256 == hashlib.sha256(content).hexdigest()
    assert uploaded.size_bytes == len(content)
    assert server.blobs[uploaded.blob_id] == content
    assert list(server.claims) == ["F/1?ü"]
    assert lengths == [str(len(content)) if announced else None]


async def test_an_empty_file_is_uploaded() -> None:
    server = ResourceServer()
    async with sink_to(server) as sink:
        uploaded = await upload(sink, opener(), 0)
    assert server.blobs[uploaded.blob_id] == b""


async def test_identifiers_are_percent_encoded() -> None:
    server = ResourceServer()
    async with sink_to(server) as sink:
        await sink.load_state()
        await upload(sink, opener(b"x"))
    encoded = "https%3A%2F%2Fregistry.example%2Fconnectors%2Fa%20b"
    assert server.requests[0].startswith(f"GET /v1/state/{encoded}?connector_instance_id=work")
    assert f"connector_id={encoded}" in server.requests[1]
    assert "record_key=F%2F1%3F%C3%BC" in server.requests[1]


async def test_an_upload_is_sent_again_from_its_start_when_the_connection_breaks() -> None:
    server = ResourceServer()
    content = b"z" * (3 << 20)
    cuts = iter([True, False])

    async def cut(request: web.Request) -> None:
        if next(cuts):
            await request.content.readany()
            assert request.transport is not None
            request.transport.abort()

    server.faults.append(cut)
    async with sink_to(server) as sink:
        uploaded = await upload(sink, opener(content[: 1 << 20], content[1 << 20 :]), len(content))
    assert server.blobs[uploaded.blob_id] == content
    assert len(server.requests) == 2


async def test_a_busy_server_is_asked_again_no_sooner_than_it_says() -> None:
    server = ResourceServer()
    clock = asyncio.get_running_loop().time
    times: list[float] = []

    async def busy(request: web.Request) -> web.Response | None:
        times.append(clock())
        return error(503, "temporarily_unavailable", Retry_After="1") if len(times) == 1 else None

    server.faults.append(busy)
    async with sink_to(server) as sink:
        assert await sink.ingest("users", [b'{"key":"U1","data":{}}']) == []
    assert times[1] - times[0] >= 1
    assert list(server.records["users"]) == ["U1"]


async def test_it_gives_up_after_its_attempts() -> None:
    server = ResourceServer()

    async def down(request: web.Request) -> web.Response:
        return error(503, "temporarily_unavailable", "engine stopped")

    server.faults.append(down)
    async with sink_to(server, attempts=3) as sink:
        with pytest.raises(SinkError, match="503 temporarily_unavailable: engine stopped"):
            await sink.ingest("users", [b"{}"])
    assert len(server.requests) == 3


async def test_a_server_that_is_not_there_is_named_in_the_error() -> None:
    async with open_http_sink("http://127.0.0.1:9", TOKEN, CONNECTOR, attempts=2) as sink:
        with pytest.raises(SinkError, match=r"no answer from 127\.0\.0\.1:9 .*the address is right"):
            await sink.load_state()


async def test_an_upload_that_the_store_refuses_fails_alone() -> None:
    server = ResourceServer()

    async def refuse(request: web.Request) -> web.Response | None:
        return error(413, "payload_too_large", "at most 1 byte") if request.path == "/v1/blobs" else None

    server.faults.append(refuse)
    async with sink_to(server) as sink:
        with pytest.raises(Refused, match="at most 1 byte"):
            await upload(sink, opener(b"12"))
        assert await sink.load_state() == {}
    assert len(server.requests) == 2


@pytest.mark.parametrize(("status", "advice"), [(401, "token create"), (404, "--server"), (507, "full")])
async def test_what_ends_a_run_says_what_to_do(status: int, advice: str) -> None:
    server = ResourceServer()

    async def answer(request: web.Request) -> web.Response:
        return error(status, "code")

    server.faults.append(answer)
    async with sink_to(server) as sink:
        with pytest.raises(SinkError, match=advice) as caught:
            await sink.register({"connector_id": CONNECTOR})
    assert not isinstance(caught.value, Refused)
    assert len(server.requests) == 1


async def test_another_digest_than_was_sent_is_never_believed() -> None:
    server = ResourceServer()

    async def lie(request: web.Request) -> web.Response:
        await request.read()
        said = {"blob_id": "b", "sha256": "0" * 64, "size_bytes": 1, "mime_type": "image/png"}
        return web.json_response(said)

    server.faults.append(lie)
    async with sink_to(server) as sink:
        with pytest.raises(SinkError, match="other bytes than were sent"):
            await upload(sink, opener(b"x"), 1)


@pytest.mark.parametrize("pieces", [(b"12",), (b"12", b"34567")])
async def test_content_of_another_length_than_announced_is_not_stored(pieces: tuple[bytes, ...]) -> None:
    server = ResourceServer()
    async with sink_to(server) as sink:
        with pytest.raises(Refused, match="changed while it was read"):
            await upload(sink, opener(*pieces), 5)
    assert not server.claims


async def test_an_error_of_the_content_comes_out_as_it_is_and_nothing_is_stored() -> None:
    server = ResourceServer()

    def fails(number: int) -> int:
        if number:
            raise OSError(5, "Input/output error")
        return PIECE

    reading = Reading(fails)
    async with sink_to(server) as sink:
        with pytest.raises(OSError, match="Input/output error"):
            await upload(sink, lambda: io.BufferedReader(reading))
    assert reading.closing.is_set()
    assert not server.claims
    assert len(server.requests) == 1


async def test_the_digest_is_right_however_soon_the_answer_comes() -> None:
    server = ResourceServer(keep_bytes=False)
    piece = b"p" * (1 << 20)
    async with sink_to(server) as sink:
        for _ in range(100):
            uploaded = await upload(sink, opener(piece), len(piece))
            assert uploaded.size_bytes == len(piece)


async def test_content_is_closed_also_when_the_answer_comes_early() -> None:
    server = ResourceServer()

    async def early(request: web.Request) -> web.Response:
        return error(413, "payload_too_large")

    endless = Reading(lambda _: PIECE)
    server.faults.append(early)
    async with sink_to(server, attempts=1) as sink:
        with pytest.raises(SinkError):
            await upload(sink, lambda: io.BufferedReader(endless))
        assert await asyncio.to_thread(endless.closing.wait, 5)


async def test_a_stalled_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ResourceServer()
    monkeypatch.setattr(calls, "IDLE", 0.2)

    async def stall(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return error(500, "api_error")

    server.faults.append(stall)
    async with sink_to(server, attempts=2) as sink:
        with pytest.raises(SinkError, match="TimeoutError"):
            await upload(sink, opener(b"x"))


async def test_rejections_carry_the_index_in_the_whole_batch() -> None:
    server = ResourceServer()
    long = b'{"key":"L","data":{"x":"' + b"x" * MAX_LINE + b'"}}'
    dangling = b'{"key":"F1","data":{"blob_ref":{"blob_id":"b"}}}'
    async with sink_to(server) as sink:
        rejections = await sink.ingest("files", [b'{"key":"A","data":{}}', long, dangling, b'{"key":"B","data":{}}'])
    assert [(r.index, r.code) for r in rejections] == [(1, "payload_too_large"), (2, "blob_not_stored")]
    assert sorted(server.records["files"]) == ["A", "B"]


async def test_state_comes_back_to_the_letter() -> None:
    server = ResourceServer()
    state = {"files": {"v": 1, "files": {"F1": "h0é"}}, "messages": [1, None, "x"]}
    async with sink_to(server) as sink:
        assert await sink.load_state() == {}
        await sink.save_state({"files": state["files"]})
        await sink.save_state({"messages": state["messages"]})
        assert await sink.load_state() == state


async def test_a_redirect_is_not_followed_and_the_token_stays() -> None:
    elsewhere, server = ResourceServer(), ResourceServer()
    async with serving(elsewhere) as other:

        async def away(request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": f"{other}/v1/connectors"})

        server.faults.append(away)
        async with sink_to(server) as sink:
            with pytest.raises(SinkError, match="307"):
                await sink.register({})
    assert not elsewhere.requests


async def test_no_error_shows_the_token() -> None:
    server = ResourceServer()
    async with sink_to(server, token="wrong-secret-token") as sink:
        with pytest.raises(SinkError) as caught:
            await sink.load_state()
    assert "wrong-secret-token" not in f"{caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ftp://x", "http://", "http://u:p@x", "http://[::1", "http://x/?a=b"]
)
async def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(SinkError, match="--server"):
        async with open_http_sink(address, TOKEN, CONNECTOR):
            pass
