"""What leaves a server about its requests, in lines and spans: enough to find them, and nothing that was in them."""

import asyncio
import builtins
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from server import logs
from server.middleware import envelope
from server.telemetry import NoTelemetryError, Traces
from tests.test_server.conftest import Running, Start
from tests.test_server.test_connection import MANIFEST

BLOB = {"connector_id": "c", "stream": "notes", "record_key": "secretkey"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


def lines(caplog: pytest.LogCaptureFixture, logger: str) -> list[dict[str, Any]]:
    formatter = logs.JsonFormatter()
    return [json.loads(formatter.format(each)) for each in caplog.records if each.name == logger]


async def use(running: Running) -> None:
    """An upload, and a record that is not there."""
    bearer = {"Authorization": f"Bearer {running.token}", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    async with aiohttp.ClientSession(running.url, headers=bearer) as session:
        await session.post("/v1/connectors", json=MANIFEST)
        async with session.post("/v1/blobs", params=BLOB, data=b"secretbody", headers={"Request-Id": "r1"}) as answer:
            assert answer.status == 200
        await session.get("/v1/streams/secretstream/records/secretkey", headers={"Request-Id": "r2"})


async def test_a_line_for_each_request_where_that_is_wanted(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "blobstore.requests"):
        async with start() as running:
            await use(running)
        assert lines(caplog, "blobstore.requests") == []
        async with start(log_requests=True) as running:
            await use(running)
    _, upload, missing = lines(caplog, "blobstore.requests")
    assert upload.pop("seconds") > 0
    assert upload.pop("time")
    assert upload.pop("sent_bytes") > 100
    assert upload == {
        "level": "info",
        "logger": "blobstore.requests",
        "message": "request",
        "request_id": "r1",
        "method": "POST",
        "route": "/v1/blobs",
        "status": 200,
        "received_bytes": 10,
    }
    assert (missing["request_id"], missing["status"]) == ("r2", 404)
    assert "secret" not in json.dumps([upload, missing])


async def test_what_a_request_caused_carries_its_id(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str | None] = []

    class Remembering(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(json.loads(logs.JsonFormatter().format(record)).get("request_id"))

    async def deep(_: web.Request) -> web.Response:
        log = logging.getLogger("records.deep")
        await asyncio.create_task(asyncio.sleep(0))
        log.warning("below")
        await asyncio.to_thread(log.warning, "in a thread")
        return web.Response()

    remembering = Remembering()
    logging.getLogger("records.deep").addHandler(remembering)
    try:
        request = make_mocked_request("GET", "/healthz", headers={"Request-Id": "r9"}, app=running.app)
        await asyncio.create_task(envelope(request, deep))
        logging.getLogger("records.deep").warning("nobody's")
    finally:
        logging.getLogger("records.deep").removeHandler(remembering)
    assert told == ["r9", "r9", None]


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, list[Any]]]:
    """What listens for traces, and the spans that came."""
    spans: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            for scope in resource.scope_spans:
                spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", spans
    await runner.cleanup()


async def test_a_collector_gets_a_span_for_each_request_and_its_steps(start: Start) -> None:
    async with collector() as (url, spans), start(otlp_endpoint=url) as running:
        await use(running)
    uploads = [span for span in spans if span.name == "POST /v1/blobs"]
    assert [span.trace_id.hex() for span in uploads] == [TRACE]
    facts = {each.key: each.value for each in uploads[0].attributes}
    assert facts["http.response.status_code"].int_value == 200
    assert facts["request.id"].string_value == "r1"
    steps = {span.name for span in spans if span.parent_span_id == uploads[0].span_id}
    assert {"sqlite read", "publish"} <= steps
    assert {span.name for span in spans if span.status.code == 2} == set()
    assert not any("secret" in str(span) for span in spans)


def test_without_the_libraries_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return there(name, *rest)

    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(NoTelemetryError, match=r"pip install 'blobstore-server\[otel\]'"):
        Traces.to("http://127.0.0.1:1")
