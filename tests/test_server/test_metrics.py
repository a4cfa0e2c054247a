"""What `/metrics` says, to whom, and that it says it whatever does not answer."""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from prometheus_client.parser import text_string_to_metric_families

from blobstore.errors import StorageUnavailable
from server.metrics import page, shared, standing
from server.middleware import envelope
from tests.test_server.conftest import Running, Start
from tests.test_server.test_connection import MANIFEST

BLOB = {"connector_id": "c", "stream": "notes", "record_key": "a"}
NDJSON = {"Content-Type": "application/x-ndjson"}
Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def numbers(text: str) -> Numbers:
    """Every sample, by name and labels."""
    families = text_string_to_metric_families(text)
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


async def read(running: Running) -> Numbers:
    async with aiohttp.ClientSession() as session, session.get(f"{running.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        return numbers(await answer.text())


def more(after: Numbers, before: Numbers, name: str, **labels: str) -> float:
    key = (f"blobstore_{name}", tuple(sorted(labels.items())))
    return after[key] - before.get(key, 0.0)


async def test_what_was_done_is_counted_and_how_the_store_stands_is_told(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "GOOD_FOR", 0.05)
    bearer = {"Authorization": f"Bearer {running.token}"}
    large = b"x" * (9 << 20)
    async with aiohttp.ClientSession(running.url, headers=bearer) as session:
        await session.post("/v1/connectors", json=MANIFEST)
        before = await read(running)
        for body in (b"hello", b"hello", large):
            async with session.post("/v1/blobs", params=BLOB, data=body) as answer:
                assert answer.status == 200
                blob = (await answer.json())["blob_id"]
        lines = b"\n".join(
            json.dumps({"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": data}).encode()
            for key, data in (("a", {"id": "a"}), ("b", {"id": "b"}), ("c", {}))
        )
        async with session.post("/v1/ingest/notes", params={"connector_id": "c"}, data=lines, headers=NDJSON) as answer:
            assert answer.status == 200
        async with session.get(f"/v1/blobs/{blob}") as answer:
            assert len(await answer.read()) == len(large)
        await session.get("/v1/streams/notes/records/nobody")
        await session.get("/nowhere")
        await asyncio.sleep(0.05)
        after = await read(running)
    route = {"route": "/v1/blobs"}
    assert more(after, before, "http_requests_total", method="POST", status="200", **route) == 3
    assert more(after, before, "http_received_bytes_total", **route) == 10 + len(large)
    assert more(after, before, "http_sent_bytes_total", route="/v1/blobs/{blob_id}") > len(large)
    assert more(after, before, "http_request_seconds_count", method="POST", **route) == 3
    pattern = "/v1/streams/{stream}/records/{key}"
    assert more(after, before, "http_requests_total", method="GET", status="404", route=pattern) == 1
    assert more(after, before, "http_requests_total", method="GET", status="404", route="(unknown)") == 1
    assert more(after, before, "uploaded_blobs_total", outcome="stored") == 2
    assert more(after, before, "uploaded_blob_bytes_total", outcome="stored") == 5 + len(large)
    assert more(after, before, "uploaded_blobs_total", outcome="duplicate") == 1
    assert more(after, before, "ingest_lines_total", outcome="accepted") == 2
    assert more(after, before, "ingest_lines_total", outcome="rejected") == 1
    assert more(after, before, "stored_bytes") == 5 + len(large)
    assert after["blobstore_uploads_under_way", ()] == 0
    assert after["blobstore_oldest_verification_timestamp_seconds", ()] > 1.7e9
    assert after["blobstore_ready", (("part", "blobs"),)] == 1
    assert after["blobstore_work_done_timestamp_seconds", (("work", "drain"),)] > 1.7e9
    told = {
        name.removesuffix("_total").removesuffix("_count").removesuffix("_sum").removesuffix("_bucket")
        for name, _ in after
    }
    assert told <= {name.removesuffix("_total") for name, *_ in page.described()}


async def test_an_answer_that_breaks_off_or_never_begins_is_counted_too(running: Running) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        raise StorageUnavailable("away")

    async def leaves(request: web.Request) -> web.StreamResponse:
        raise ConnectionResetError

    before = await read(running)
    for handler in (breaks, leaves):
        request = make_mocked_request("GET", "/healthz", app=running.app)
        request.writer.output_size = 5
        with pytest.raises(ConnectionError):
            await envelope(request, handler)
    after = await read(running)
    assert more(after, before, "http_requests_total", method="GET", route="(unknown)", status="0") == 2
    assert after["blobstore_http_requests_running", ()] == before["blobstore_http_requests_running", ()]


async def test_what_the_parser_refuses_is_counted_and_leaves_no_error(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(log_requests=True) as running:
        before = await read(running)
        for head in (b"GET / HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n", b"\x00\x01\r\n\r\n"):
            with await running.connect() as wire:
                await wire.send(head)
                assert (await wire.answer())[0] == 400
                await wire.rest()
        after = await read(running)
    refused = {"route": "(malformed)", "status": "400"}
    counted = {key: value for key, value in after.items() if refused.items() <= dict(key[1]).items()}
    assert sum(counted.values()) - sum(before.get(key, 0.0) for key in counted) == 2
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []


async def test_metrics_name_nobody_and_no_record(running: Running) -> None:
    bearer = {"Authorization": f"Bearer {running.token}"}
    async with aiohttp.ClientSession(running.url, headers=bearer) as session:
        await session.get("/v1/streams/secretstream/records/secretkey", params={"connector_id": "secretconnector"})
        await session.request("SECRETVERB", "/secretpath")
        async with session.get("/metrics") as answer:
            text = await answer.text()
    assert "secret" not in text.lower()
    assert "ada" not in text.split()


@pytest.mark.parametrize(
    ("options", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, {"Host": "localhost:8080"}, 200),
        ({}, {"Host": "[::1]:8080"}, 200),
        ({}, {"Host": "files.example"}, 401),  # a page in a browser here that was told our address for its own name
        ({}, {"X-Forwarded-For": "203.0.113.9"}, 401),
        ({}, {"Forwarded": "for=203.0.113.9"}, 401),
        ({"public_url": "https://files.example"}, {}, 401),
        ({"metrics_token": ""}, {"X-Forwarded-For": "203.0.113.9"}, 401),
        ({"metrics_token": "t0ken"}, {}, 401),
        ({"metrics_token": "t0ken"}, {"Authorization": "Bearer other"}, 401),
        ({"metrics_token": "t0ken"}, {"Authorization": "Bearer t0ken", "X-Forwarded-For": "203.0.113.9"}, 200),
    ],
    ids=str,
)
async def test_who_may_read_metrics(
    start: Start, options: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    async with (
        start(**options) as running,
        aiohttp.ClientSession() as session,
        session.get(f"{running.url}/metrics", headers=headers) as answer,
    ):
        assert answer.status == status
        if status == 401:
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="metrics"'
            assert "BLOBSTORE_METRICS_TOKEN" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_metrics_are_told_where_the_store_does_not_answer(
    running: Running, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def away(*_: Any) -> None:
        if how == "hangs":
            await asyncio.sleep(60)
        raise StorageUnavailable("away")

    monkeypatch.setattr(standing, "WITHIN", 0.1)
    monkeypatch.setattr(running.store.blobs.catalogue, "forecast", away)
    found = await read(running)
    assert ("blobstore_stored_bytes", ()) not in found
    assert found["blobstore_disk_free_bytes", ()] > 0
    assert found["blobstore_processes", ()] == 1


async def test_however_many_read_the_store_is_asked_once(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    numbering = running.store.blobs.catalogue.numbering

    async def counting() -> Any:
        nonlocal asked
        asked += 1
        return await numbering()

    monkeypatch.setattr(running.store.blobs.catalogue, "numbering", counting)
    await asyncio.gather(*(read(running) for _ in range(8)))
    await read(running)
    assert asked == 1


WORKER = """
import sys
from server.metrics import meters
meters.LINES.labels("accepted").inc(int(sys.argv[1]))
meters.PROCESSES.set(1)
meters.WORK_DONE_AT.labels("drain").set(int(sys.argv[1]))
if sys.argv[2:]:
    from prometheus_client import CollectorRegistry, generate_latest
    from server.metrics import shared
    registry = CollectorRegistry()
    shared.gather(registry)
    print(generate_latest(registry).decode())
"""


def test_workers_count_together_and_nothing_that_a_dead_one_counted_is_lost() -> None:
    together = shared.Shared(tempfile.TemporaryDirectory())

    def work(number: int, *arguments: str) -> str:
        environment = {"PATH": "", **together.environment(number)}
        command = [sys.executable, "-c", WORKER, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    first, second = together.number(), together.number()
    assert (first, second) == (0, 1)
    work(first, "1")
    work(second, "20")
    together.ended(first)
    assert together.number() == first
    found = numbers(work(first, "300", "told"))
    assert found["blobstore_ingest_lines_total", (("outcome", "accepted"),)] == 321
    assert found["blobstore_processes", ()] == 2
    assert found["blobstore_work_done_timestamp_seconds", (("work", "drain"),)] == 300
    files = Path(together.environment(0)["PROMETHEUS_MULTIPROC_DIR"])
    assert {path.stem.rpartition("_")[2] for path in files.glob("*.db")} == {"0", "1"}
    together.remove()
    assert not files.exists()


def test_what_a_killed_supervisor_left_goes_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_MEMORY", tmp_path)
    made = "from server.metrics import shared; import sys, os, pathlib; shared._MEMORY = pathlib.Path(sys.argv[1])"
    told = "kept = shared.Shared.make(); print(kept.environment(0)[shared._FOLDER], flush=True)"
    killed = f"{made}; {told}; os.kill(os.getpid(), 9)"
    left = subprocess.run([sys.executable, "-c", killed, str(tmp_path)], capture_output=True, text=True, check=False)
    assert Path(left.stdout.strip()).is_dir()
    (tmp_path / "blobstore-metrics-being-made").mkdir()
    living = shared.Shared.make()
    assert not Path(left.stdout.strip()).exists()
    other = shared.Shared.make()
    assert len(list(tmp_path.iterdir())) == 3
    living.remove()
    other.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["blobstore-metrics-being-made"]
