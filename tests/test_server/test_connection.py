"""The connection itself: what the parser refuses, smuggling, expectations, bodies that are not read."""

import asyncio
import json
import re
from contextlib import AsyncExitStack

import pytest

from server import connection
from tests.test_server.conftest import Running, Start

MANIFEST = {
    "connector_id": "c",
    "streams": [
        {
            "name": "notes",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "schema": {"type": "object", "properties": {"id": {}, "text": {}}},
        }
    ],
}
INGEST = "POST /v1/ingest/notes?connector_id=c"
NDJSON = "Content-Type: application/x-ndjson"


def line(key: str, text: str = "") -> bytes:
    value = {"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": {"id": key, "text": text}}
    return json.dumps(value).encode() + b"\n"


async def register(running: Running) -> None:
    body = json.dumps(MANIFEST).encode()
    with await running.connect() as wire:
        head = running.head("POST /v1/connectors", "Content-Type: application/json", f"Content-Length: {len(body)}")
        await wire.send(head + body)
        assert (await wire.answer())[0] == 201


async def stored(running: Running) -> set[str]:
    with await running.connect() as wire:
        await wire.send(running.head("GET /v1/streams/notes/records?connector_id=c&limit=100"))
        status, _, body = await wire.answer()
    assert status == 200, body
    return {record["id"] for record in json.loads(body)["data"]}


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
        b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nName : value\r\n\r\n",
        b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nLong: " + b"x" * 9_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/streams HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5_000 + b"\r\n",
        b"POST /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n",
    ],
)
async def test_what_the_parser_refuses_gets_the_contracts_error(running: Running, request_bytes: bytes) -> None:
    with await running.connect() as wire:
        await wire.send(request_bytes)
        status, headers, body = await wire.answer()
        assert await wire.rest() == b""
    assert status == 400
    assert headers["content-type"].startswith("application/json")
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["request_id"] == headers["request-id"]
    assert headers["pdpp-version"] == "2026-04-06"
    assert "aiohttp" not in str(headers)


def statuses(answers: bytes) -> list[int]:
    """The status of each answer in what came over a connection."""
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]


SECOND = b"GET /v1/streams/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Content-Length: 5"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: identity", "Transfer-Encoding: chunked, x"),
        ("Transfer-Encoding : chunked",),
        ("Content-Length: +4",),
        ("Content-Length: 0x4",),
        ("Content-Length: 4 4",),
    ],
)
async def test_a_request_whose_length_has_two_meanings_smuggles_nothing(
    running: Running, headers: tuple[str, ...]
) -> None:
    await register(running)
    with await running.connect() as wire:
        await wire.send(running.head(INGEST, NDJSON, *headers) + b"0\r\n\r\n" + SECOND)
        answers = await wire.rest()
    # One answer, a refusal, and the end: what came behind was never taken for a request.
    assert statuses(answers) == [400]
    assert await stored(running) == set()


@pytest.mark.parametrize(
    "chunk", [b"zz\r\nabc\r\n", b"-1\r\n\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"3;\x00\r\nabc\r\n", b"3\nabc\n"]
)
@pytest.mark.parametrize("pause", [0, 0.2])
async def test_a_badly_framed_chunk_is_400_and_nothing_of_its_line_is_stored(
    running: Running, chunk: bytes, pause: float
) -> None:
    await register(running)
    good = line("a")[:-1]
    with await running.connect() as wire:
        head = running.head(INGEST, NDJSON, "Transfer-Encoding: chunked")
        await wire.send(head + f"{len(good):x}\r\n".encode() + good + b"\r\n")
        await asyncio.sleep(pause)
        await wire.send(chunk + b"\r\n" * 3)
        answers = await asyncio.wait_for(wire.rest(), 5)
    assert statuses(answers) == [400]
    assert b'"invalid_request"' in answers
    assert await stored(running) == set()


async def test_a_body_shorter_than_its_length_is_not_taken(running: Running) -> None:
    await register(running)
    whole = line("a")
    wire = await running.connect()
    await wire.send(running.head(INGEST, NDJSON, f"Content-Length: {len(whole) + 10}") + whole[:-1])
    wire.writer.close()
    await asyncio.sleep(0.3)
    assert await stored(running) == set()


async def test_a_refusal_does_not_wait_for_the_body(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.2)
    async with start() as running:
        for token, status in (("nobody-has-this", 401), (None, 404)):
            with await running.connect() as wire:
                await wire.send(running.head(INGEST, NDJSON, "Content-Length: 1000000000", token=token))
                answer, headers, _ = await wire.answer()
                assert (answer, headers["connection"]) == (status, "close")
                assert await wire.rest() == b""


async def test_the_body_of_who_hung_up_is_not_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 600.0)
    async with asyncio.timeout(30), start(drain=600.0) as running:
        with await running.connect() as wire:
            await wire.send(running.head(INGEST, NDJSON, "Content-Length: 1000000000"))
            assert (await wire.answer())[0] == 404
    # And the server has ended, which waits for every connection.


@pytest.mark.parametrize(
    ("target", "headers", "token", "status"),
    [
        (INGEST, (NDJSON,), "nobody-has-this", 401),
        (INGEST, ("Content-Type: text/plain",), None, 415),
        (INGEST, (NDJSON, "Content-Encoding: gzip"), None, 415),
        (INGEST + "&surprise=1", (NDJSON,), None, 400),
        ("POST /v1/ingest/notes", (NDJSON,), None, 400),
        ("POST /v1/ingest/nothing?connector_id=c", (NDJSON,), None, 404),
        ("POST /v1/blobs?connector_id=c&stream=nothing&record_key=k", (), None, 404),
        ("POST /nowhere", (), None, 404),
        ("POST /v1/streams", (), None, 405),
        ("PUT /v1/state/c", ("Content-Type: application/json", "PDPP-Version: 1999-01-01"), None, 400),
    ],
)
async def test_continue_is_not_said_before_everything_else_is_good(
    running: Running, target: str, headers: tuple[str, ...], token: str | None, status: int
) -> None:
    await register(running)
    with await running.connect() as wire:
        head = running.head(target, *headers, "Content-Length: 9", "Expect: 100-continue", token=token)
        await wire.send(head)
        answer, said, _ = await wire.answer()
        # The client will not send its body: nothing that follows may be taken for it.
        assert (answer, said["connection"]) == (status, "close")


async def test_continue_is_said_when_the_body_is_wanted(running: Running) -> None:
    await register(running)
    body = line("a")
    with await running.connect() as wire:
        await wire.send(running.head(INGEST, NDJSON, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert (await wire.answer())[0] == 100
        await wire.send(body)
        status, headers, _ = await wire.answer()
    assert status == 200
    assert headers.get("connection") != "close"
    assert await stored(running) == {"a"}


async def test_a_client_that_does_not_wait_for_continue_is_served(running: Running) -> None:
    await register(running)
    body = line("a")
    with await running.connect() as wire:
        await wire.send(running.head(INGEST, NDJSON, f"Content-Length: {len(body)}", "Expect: 100-continue") + body)
        status = 0
        while status in (0, 100):
            status, _, _ = await wire.answer()
    assert status == 200


async def test_requests_on_one_connection_are_answered_in_order(running: Running) -> None:
    await register(running)
    body = line("a")
    with await running.connect() as wire:
        ingest = running.head(INGEST, NDJSON, f"Content-Length: {len(body)}") + body
        await wire.send(ingest + running.head("GET /v1/streams/notes/records/a") + running.head("GET /nowhere"))
        assert [(await wire.answer())[0] for _ in range(3)] == [200, 200, 404]


async def test_http_1_0_is_served_and_closed(running: Running) -> None:
    with await running.connect() as wire:
        await wire.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        status, headers, _ = await wire.answer()
        assert await wire.rest() == b""
    assert status == 200
    assert headers["request-id"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("GET http://elsewhere.example/healthz", 200),
        ("OPTIONS *", 404),
        ("CONNECT example.com:443", 404),
        ("TRACE /healthz", 405),
    ],
)
async def test_unusual_targets_are_answered_in_the_contracts_form(running: Running, target: str, status: int) -> None:
    with await running.connect() as wire:
        await wire.send(running.head(target))
        answer, headers, body = await wire.answer()
    assert answer == status, body
    assert headers["request-id"]
    assert b"elsewhere" not in body


@pytest.mark.parametrize(
    "path", ["/v1/streams/notes/records/..", "/v1/streams/notes/records/%2e%2E", "/v1/../v1/streams"]
)
async def test_dots_in_a_path_mean_nothing(running: Running, path: str) -> None:
    await register(running)
    with await running.connect() as wire:
        await wire.send(running.head(f"GET {path}"))
        status, _, body = await wire.answer()
    assert status == 404
    assert json.loads(body)["error"]["code"] == "not_found"


async def test_who_connected_before_the_end_is_answered(start: Start) -> None:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(start(drain=30.0))
        fresh, kept = await running.connect(), await running.connect()
        await kept.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await kept.answer())[0] == 200
        ending = asyncio.create_task(stack.aclose())
        assert await kept.rest() == b""
        await fresh.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, _ = await fresh.answer()
        assert (status, headers["connection"]) == (200, "close")
        await ending
