"""The client against a real server, through a network that cuts; and against servers that say other things."""

import asyncio
import io
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from blake3 import blake3

from blobstore.client import (
    Client,
    Conflict,
    Connector,
    Expired,
    Forbidden,
    NoRoom,
    NotAnAddress,
    NotFound,
    NotUnderstood,
    OtherBytes,
    Record,
    Refused,
    ServerError,
    Stored,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unreachable,
    calls,
    connect,
    deletion,
    line,
)
from tests.conformance.http.own_server import Target, serving
from tests.fakes.tcp_proxy import Fault, Harm, TcpProxy, proxying

NOW = "2026-01-01T00:00:00Z"
MIB = 1 << 20
CONTENT = random.Random(1).randbytes(3 * MIB + 12_345)
BLOB_ID = "blob_b3_" + blake3(CONTENT).hexdigest()
MANIFEST: dict[str, Any] = {
    "connector_id": "https://example.org/connectors/a client/1",
    "version": "1.0.0",
    "streams": [
        {
            "name": "notes/ü",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "cursor_field": "at",
            "schema": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "at": {"type": "string"}, "n": {}, "blob_ref": {}},
                "required": ["id"],
            },
        }
    ],
}
STREAM = "notes/ü"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with serving(tmp_path_factory.mktemp("client")) as target:
        yield target


@pytest.fixture(scope="module")
def proxy(target: Target) -> Iterator[TcpProxy]:
    with proxying(target.base_url) as proxy:
        yield proxy


@pytest.fixture
async def client(target: Target, proxy: TcpProxy) -> AsyncIterator[Client]:
    async with connect(proxy.url, target.token, attempts=3) as client:
        yield client
    assert proxy.faults == []


@pytest.fixture
async def notes(client: Client, request: pytest.FixtureRequest) -> Connector:
    """A connector of the test's own."""
    manifest = MANIFEST | {"connector_id": f"{MANIFEST['connector_id']}/{request.node.name}"}
    connector = client.connector(manifest["connector_id"])
    await connector.register(manifest)
    return connector


def note(number: int, **more: Any) -> bytes:
    return line(f"{number:03}", {"id": f"{number:03}", "at": f"2026-01-01T00:00:{number % 60:02}Z", **more}, NOW)


async def stored(notes: Connector) -> None:
    said = await notes.upload(CONTENT, stream=STREAM, record_key="001", mime_type="image/png")
    assert said.blob_id == BLOB_ID
    assert await notes.ingest(STREAM, [note(1, blob_ref={"blob_id": BLOB_ID, "mime_type": "image/png"})]) == []


async def test_records_come_back_page_by_page_and_changes_since_then(
    client: Client, notes: Connector, request: pytest.FixtureRequest
) -> None:
    own = f"{MANIFEST['connector_id']}/{request.node.name}"
    lines = [note(number) for number in range(250)]
    assert await notes.ingest(STREAM, lines) == []
    found = [record async for record in client.records(STREAM, connector=own, fields=["id"])]
    assert sorted(record.id for record in found) == [f"{number:03}" for number in range(250)]
    assert all(record.data.keys() == {"id"} for record in found)
    changes = client.changes(STREAM, connector=own)
    assert len([record async for record in changes]) == 250
    assert changes.token is not None
    await notes.ingest(STREAM, [note(7, n=1), deletion("008", NOW)])
    later = client.changes(STREAM, changes.token, connector=own)
    assert {record.id: record.deleted async for record in later} == {"007": False, "008": True}
    assert (await client.record(STREAM, "007", connector=own)).data["n"] == 1
    with pytest.raises(NotFound):
        await client.record(STREAM, "008", connector=own)


async def test_rejections_name_the_line_of_the_whole_also_beyond_one_request(
    notes: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blobstore.client.connector._BATCH", 3)
    rejections = await notes.ingest(STREAM, [note(1), b"{", note(2), note(3), b"[]", note(4), b"\xff"])
    assert [(each.index, each.code) for each in rejections] == [
        (1, "malformed_ndjson"),
        (4, "invalid_record"),
        (6, "invalid_utf8"),
    ]


async def test_state_is_kept_to_the_letter(notes: Connector) -> None:
    assert await notes.state() == {}
    await notes.save_state({STREAM: {"at": [1, None, "é"]}})
    assert await notes.state() == {STREAM: {"at": [1, None, "é"]}}


async def test_a_file_is_uploaded_again_when_the_connection_breaks(
    notes: Connector, proxy: TcpProxy, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    proxy.faults += [Fault(b"POST /v1/blobs", Harm.BROKEN, keep=MIB), Fault(b"POST /v1/blobs", Harm.UNHEARD)]
    said = await notes.upload(path, stream=STREAM, record_key="1", mime_type="image/png")
    assert (said.blob_id, said.size_bytes, said.mime_type) == (BLOB_ID, len(CONTENT), "image/png")


async def test_a_download_goes_on_where_the_connection_broke(client: Client, notes: Connector, proxy: TcpProxy) -> None:
    await stored(notes)
    proxy.faults += [Fault(b"GET /v1/blobs", Harm.SHORT, keep=keep) for keep in (MIB, 10, MIB + 50_000)]
    async with client.open(BLOB_ID) as blob:
        assert (blob.size, blob.media_type) == (len(CONTENT), "image/png")
        assert b"".join([piece async for piece in blob]) == CONTENT


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (5, None), (MIB, 3 * MIB), (len(CONTENT) - 1, None), (7, 10**9)])
async def test_a_range_is_what_was_asked_for(client: Client, notes: Connector, start: int, stop: int | None) -> None:
    await stored(notes)
    async with client.open(BLOB_ID, start, stop) as blob:
        assert b"".join([piece async for piece in blob]) == CONTENT[start:stop]
        assert blob.size == len(CONTENT)


async def test_a_download_gives_up_after_its_tries(target: Target, notes: Connector, proxy: TcpProxy) -> None:
    await stored(notes)
    async with connect(proxy.url, target.token, attempts=3) as fresh:
        proxy.faults += [Fault(b"GET /v1/blobs", Harm.REFUSED)] * 20  # aiohttp tries by itself as well
        with pytest.raises(Unreachable, match="127"):
            async with fresh.open(BLOB_ID):
                pass
        assert 3 <= 20 - len(proxy.faults) <= 6
        proxy.faults.clear()


@pytest.mark.parametrize("there", [b"", CONTENT[:100], CONTENT], ids=["nothing", "a part", "all"])
async def test_saving_goes_on_behind_what_is_there(
    client: Client, notes: Connector, there: bytes, tmp_path: Path
) -> None:
    await stored(notes)
    (tmp_path / "copy.part").write_bytes(there)
    assert await client.save(BLOB_ID, tmp_path / "copy") == len(CONTENT)
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize("there", [b"other bytes", b"x" * (len(CONTENT) + 1)], ids=["shorter", "longer"])
async def test_what_was_begun_with_other_bytes_never_becomes_the_file(
    client: Client, notes: Connector, there: bytes, tmp_path: Path
) -> None:
    await stored(notes)
    (tmp_path / "copy.part").write_bytes(there)
    with pytest.raises(OtherBytes):
        await client.save(BLOB_ID, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []
    assert await client.save(BLOB_ID, tmp_path / "copy") == len(CONTENT)


async def test_everything_else_is_asked_as_it_stands_in_the_documents(
    client: Client, target: Target, notes: Connector, request: pytest.FixtureRequest
) -> None:
    own = f"{MANIFEST['connector_id']}/{request.node.name}"
    await notes.ingest(STREAM, [note(1), note(2)])
    asked = {"client_id": "app", "connector_id": own, "streams": [{"name": STREAM}]}
    grant = await client.ask("POST", "/v1/owner/grants", body=asked)
    async with connect(target.base_url, grant["token"]) as reader:
        assert len([record async for record in reader.records(STREAM)]) == 2
        with pytest.raises(Forbidden):
            await reader.connector(own).ingest(STREAM, [note(3)])
    assert [event["body"]["kind"] async for event in client.disclosures(grant=grant["grant_id"])]
    assert [each["name"] for each in await client.streams(connector=own)] == [STREAM]
    assert own in {each["connector_id"] for each in await client.connectors()}
    for key in ("001", "002"):
        scope = {"scope": "record", "connector_id": own, "stream": STREAM, "key": key}
        assert (await client.ask("POST", "/v1/owner/erasures", body=scope))["status"] == "done"
    assert len([each async for each in client.erasures()]) >= 2
    numbers = [event["seq"] async for event in client.events()]
    assert numbers == list(range(1, len(numbers) + 1))


# What no server of ours says, or says at will.

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler, attempts: int = 2, token: str | None = "secret") -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", handler)
    async with TestServer(app) as server, connect(str(server.make_url("/")), token, attempts=attempts) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Expired),
        (413, TooLarge),
        (418, ServerError),
        (503, Unavailable),
        (507, NoRoom),
    ],
)
async def test_an_error_has_a_type_and_the_servers_words(status: int, kind: type[ServerError]) -> None:
    asked = 0

    async def refuse(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        said = {"type": "t", "code": "the_code", "message": "m" * 600, "param": "limit", "request_id": "r1"}
        return web.json_response({"error": said}, status=status, headers={"Retry-After": "0"})

    async with answering(refuse) as client:
        with pytest.raises(ServerError, match=f"{status} the_code: m") as caught:
            await client.ask("GET", "/v1/streams")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.parameter, error.request_id) == (status, "the_code", "limit", "r1")
    assert (len(error.message), error.retry_after) == (500, 0)
    assert asked == (2 if kind is Unavailable else 1)


async def test_what_may_not_happen_twice_is_asked_once() -> None:
    asked = []

    async def cut(request: web.Request) -> web.Response:
        asked.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with answering(cut, attempts=3) as client:
        with pytest.raises(Unreachable) as caught:
            await client.ask("POST", "/v1/owner/grants", body={})
    assert asked == ["POST"]
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b'{"data": 1, "has_more": true}', b""])
async def test_another_answer_than_that_of_a_server_is_said_to_be_one(body: bytes) -> None:
    async def other(request: web.Request) -> web.Response:
        return web.Response(body=body)

    async with answering(other) as client:
        with pytest.raises(NotUnderstood, match="versions"):
            _: list[Record] = [record async for record in client.records("notes")]


@pytest.mark.parametrize("blob_id", [BLOB_ID, "blob_sha256_" + "0" * 64])
async def test_other_bytes_than_those_of_the_id_are_never_taken(blob_id: str, tmp_path: Path) -> None:
    async def lie(request: web.Request) -> web.Response:
        return web.Response(body=CONTENT[:-1] + b"!")

    async with answering(lie) as client:
        async with client.open(blob_id) as blob:
            with pytest.raises(OtherBytes):
                _ = [piece async for piece in blob]
        with pytest.raises(OtherBytes):
            await client.save(blob_id, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


async def test_bytes_that_are_elsewhere_are_fetched_without_the_token() -> None:
    """Also again, after a cut, by a new address: the old one is no longer good."""
    seen: list[tuple[str, str | None, str | None]] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.headers.get("Authorization"), request.headers.get("Range")))
        response = web.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
        if request.headers.get("Range"):
            start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            response = web.StreamResponse(status=206)
            response.headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
            response.content_length = len(CONTENT) - start
            await response.prepare(request)
            await response.write(CONTENT[start:])
            return response
        await response.prepare(request)
        await response.write(CONTENT[:100_000])
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/bucket/{number}", elsewhere)
    async with TestServer(app) as bucket:
        asked: list[str | None] = []

        async def lead(request: web.Request) -> web.Response:
            asked.append(request.headers.get("Authorization"))
            return web.Response(status=302, headers={"Location": f"{bucket.make_url('/bucket')}/{len(asked)}?sig=%2F"})

        async with answering(lead, attempts=3) as client, client.open(BLOB_ID) as blob:
            assert b"".join([piece async for piece in blob]) == CONTENT
    assert asked == ["Bearer secret"] * 2
    assert [(path, token) for path, token, _ in seen] == [("/bucket/1", None), ("/bucket/2", None)]
    assert seen[0][2] is None
    assert seen[1][2] is not None


@pytest.mark.parametrize("location", ["", "ftp://x/y", "file:///etc/passwd"])
async def test_where_no_bytes_can_be_nobody_looks(location: str) -> None:
    async def lead(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    async with answering(lead) as client:
        with pytest.raises(NotUnderstood, match="may not be asked"):
            async with client.open(BLOB_ID):
                pass


async def test_whoever_knows_no_ranges_is_read_over() -> None:
    async def whole(request: web.Request) -> web.Response:
        return web.Response(body=CONTENT)

    async with answering(whole) as client, client.open(BLOB_ID, 2 * MIB, 2 * MIB + 10) as blob:
        assert b"".join([piece async for piece in blob]) == CONTENT[2 * MIB : 2 * MIB + 10]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ftp://x", "http://", "http://u:p@x", "http://[::1", "http://x/?a"])
async def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(NotAnAddress):
        async with connect(address, "t"):
            pass


async def test_a_range_without_a_byte_is_a_mistake_of_the_caller() -> None:
    async with connect("http://127.0.0.1:9", None) as client:
        for start, stop in ((-1, None), (5, 5)):
            with pytest.raises(ValueError, match="one byte"):
                client.open(BLOB_ID, start, stop)


async def test_what_another_connector_brought_is_claimed_without_a_byte(
    client: Client, notes: Connector, proxy: TcpProxy, tmp_path: Path
) -> None:
    content = b"brought once" + CONTENT
    path = tmp_path / "file"
    path.write_bytes(content)
    first = await notes.upload(path, stream=STREAM, record_key="1", mime_type="image/png", offer=True)
    other = client.connector(MANIFEST["connector_id"] + "/other")
    await other.register(MANIFEST | {"connector_id": MANIFEST["connector_id"] + "/other"})
    assert await other.have([first.blob_id]) == set()

    class OneWay(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    proxy.faults.append(Fault(b"POST /v1/blobs?", Harm.REFUSED))  # of which there is to be none
    whats: list[Any] = [path, content, lambda: io.BufferedReader(OneWay(content))]
    for number, what in enumerate(whats):
        said = await other.upload(what, stream=STREAM, record_key=f"{number}", mime_type="a/b", offer=True)
        assert said == Stored(first.blob_id, first.sha256, len(content), "a/b")
    assert len(proxy.faults) == 1
    proxy.faults.clear()
    absent = "blob_b3_" + "0" * 64
    assert await other.have([first.blob_id, absent] * 600) == {first.blob_id}
    assert await other.ingest(STREAM, [note(1, blob_ref={"blob_id": first.blob_id})]) == []


async def test_who_waits_for_a_server_is_told_what_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(calls, "BRIEF", 0.2)
    async with connect("http://127.0.0.1:1", None, attempts=3) as client:
        with pytest.raises(Unreachable):
            await client.streams()
    (told,) = caplog.messages
    assert "127.0.0.1:1" in told
    assert told.endswith("; trying again")
