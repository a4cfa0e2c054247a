"""The one table: every exception that the layers raise has its row, and nothing else is ever told."""

import asyncio
import gc
import json
import logging
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from blobstore.errors import BlobError, ContentMismatch, OutOfSpace, StorageUnavailable, WrongStore
from records.central import Owner
from records.consent.access import GrantEnded
from records.consent.scope import Scope
from records.errors import Ambiguous, Forbidden, Invalid, Partly, RecordError
from records.writing.lines import Rejected, TooLong
from server import logs, middleware
from server.errors import TABLE, UNEXPECTED, ServerError, answer, shape
from server.keys import STOPPING
from server.logs import JsonFormatter
from server.stopping import Stopping

SECRET = "the-content-of-a-letter"


def family(base: type[Exception]) -> Iterator[type[Exception]]:
    for each in base.__subclasses__():
        yield each
        yield from family(each)


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, GrantEnded):
        return kind("said", "grant_revoked", Scope.of_owner(Owner("o1", "ada")))
    if issubclass(kind, Forbidden):
        return kind("said", "insufficient_scope")
    if kind is Partly:
        return kind({}, ["a"])
    return Ambiguous("several", ["a"]) if kind is Ambiguous else kind("said")


NEVER_ANSWERED = {WrongStore, Rejected, TooLong}
"""The server does not start with the first; the others are entries of an ingest's answer."""


@pytest.mark.parametrize(
    "kind", sorted({*family(BlobError), *family(RecordError), *family(ServerError)} - NEVER_ANSWERED, key=str)
)
def test_every_error_of_the_layers_has_its_answer(kind: type[Exception]) -> None:
    assert shape(made(kind), "GET") is not UNEXPECTED


def test_damage_is_not_the_readers_fault() -> None:
    damage = ContentMismatch("the stored bytes end too early")
    assert (shape(damage, "GET").status, shape(damage, "HEAD").status, shape(damage, "POST").status) == (503, 503, 400)


def test_the_message_of_what_may_hold_content_or_places_is_not_shown() -> None:
    for error in (StorageUnavailable(SECRET), OutOfSpace(SECRET), RuntimeError(SECRET)):
        assert SECRET not in str(answer(error, method="GET", request_id="r").text)


def test_codes_and_statuses_are_those_of_the_contract() -> None:
    rows = {(row.code, row.status, row.type) for row in TABLE.values()}
    assert {
        ("invalid_request", 400, "invalid_request_error"),
        ("authentication_error", 401, "authentication_error"),
        ("insufficient_scope", 403, "permission_error"),
        ("cursor_expired", 410, "gone_error"),
        ("not_found", 404, "not_found_error"),
        ("blob_not_found", 404, "not_found_error"),
    } <= rows
    assert {(code, status) for code, status, _ in rows} >= {
        ("digest_mismatch", 400),
        ("conflict", 409),
        ("ambiguous_connection", 409),
        ("precondition_failed", 412),
        ("payload_too_large", 413),
        ("unsupported_media_type", 415),
        ("range_not_satisfiable", 416),
        ("temporarily_unavailable", 503),
        ("insufficient_storage", 507),
    }
    assert (UNEXPECTED.status, UNEXPECTED.type, UNEXPECTED.code) == (500, "api_error", "api_error")


@pytest.mark.parametrize("code", ["grant_revoked", "grant_expired", "grant_invalid", "field_not_granted"])
def test_what_a_grant_does_not_allow_is_403_with_its_own_code(code: str) -> None:
    told = answer(Forbidden("no", code, param="fields"), method="GET", request_id="r")
    error = json.loads(str(told.text))["error"]
    assert (told.status, error["type"], error["code"], error["param"]) == (403, "permission_error", code, "fields")


def test_storage_that_does_not_answer_says_when_to_come_back() -> None:
    assert int(answer(StorageUnavailable("x"), method="PUT", request_id="r").headers["Retry-After"]) > 0


def test_an_ambiguous_write_and_an_ambiguous_read_differ() -> None:
    error = Ambiguous("several", ["a", "b"])
    assert answer(error, method="POST", request_id="r").status == 400
    read = answer(error, method="HEAD", request_id="r")
    assert read.status == 409
    told = json.loads(str(read.text))["error"]
    assert told["available_connections"] == [{"connection_id": "a"}, {"connection_id": "b"}]
    assert told["retry_with"] == "connection_id"


def test_an_invalid_request_keeps_its_own_code_and_parameter() -> None:
    told = json.loads(str(answer(Invalid("no", "unknown_field", "fields"), method="GET", request_id="r").text))
    assert told == {
        "error": {
            "type": "invalid_request_error",
            "code": "unknown_field",
            "message": "no",
            "param": "fields",
            "request_id": "r",
        }
    }


async def failing(request: web.Request) -> web.StreamResponse:
    if request.path == "/late":
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"begun")
    raise RuntimeError(SECRET) from ValueError(SECRET)


@pytest.fixture
def faulty() -> web.Application:
    """An application in our envelope, every handler of which has a mistake in it."""
    app = web.Application(middlewares=[middleware.envelope])
    app[STOPPING] = Stopping()
    app.on_response_prepare.append(middleware.on_prepare)
    app.router.add_get("/{anything:.*}", failing)
    return app


async def test_a_mistake_of_ours_is_a_500_with_an_id_that_the_log_knows(
    faulty: web.Application, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(TestServer(faulty)) as client:
        response = await client.get("/now", headers={"Request-Id": "find-me"})
        body = await response.text()
    assert response.status == 500
    assert json.loads(body)["error"]["request_id"] == response.headers["Request-Id"] == "find-me"
    assert SECRET not in body
    (logged,) = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert logged["request_id"] == "find-me"
    assert [link["type"] for link in logged["error"]] == ["builtins.RuntimeError", "builtins.ValueError"]
    assert any("failing" in place for place in logged["error"][0]["at"])


async def test_an_answer_that_fails_half_way_ends_in_an_error_not_in_silence(
    faulty: web.Application, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(TestServer(faulty)) as client:
        response = await client.get("/late")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_task_that_nobody_asks_about_is_logged_without_content(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError(SECRET)

    asyncio.get_running_loop().set_exception_handler(logs.unhandled)
    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert len(lines) == 1
    assert "RuntimeError" in lines[0]
    assert SECRET not in lines[0]


def test_of_libraries_only_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    loggers = [logging.getLogger(), *map(logging.getLogger, logs.OURS)]
    before = [each.level for each in loggers], loggers[0].handlers[:]
    logs.configure()
    try:
        for name in ("botocore.credentials", "records.upkeep"):
            logging.getLogger(name).info("news")
            logging.getLogger(name).warning("warning")
    finally:
        for each, level in zip(loggers, before[0], strict=True):
            each.setLevel(level)
        loggers[0].handlers[:] = before[1]
    told = [(row["logger"], row["message"]) for row in map(json.loads, capsys.readouterr().err.splitlines())]
    assert told == [("botocore.credentials", "warning"), ("records.upkeep", "news"), ("records.upkeep", "warning")]


def test_no_log_line_repeats_what_an_exception_quotes() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it failed", (), (KeyError, error, error.__traceback__))
    line = JsonFormatter().format(record)
    assert SECRET not in line
    assert json.loads(line)["message"] == "it failed"
