"""A source that is byte for byte what a complete run saw is not read again, and every change to it is seen."""

import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.fakes.resource_server import TOKEN, ResourceServer, error, serving
from tests.test_tools.slack.archives import Database
from tools.http_sink import open_http_sink
from tools.slack import manifest
from tools.slack.hydrate import Options, hydrate
from tools.slack.report import Report
from tools.slack.workspace import Workspace

READING = ("channels", "users", "messages", "files")


async def run(source: Path, server: ResourceServer, **options: Any) -> Report:
    server.seen.clear()
    async with serving(server) as address, open_http_sink(address, TOKEN, manifest.CONNECTOR_ID, attempts=2) as sink:
        return await hydrate(source, sink, Options(**({"download": False} | options)))


def told(report: Report) -> list[dict[str, Any]]:
    """What the report says of the source, whoever brought it."""
    sent = ("records_sent", "blobs_sent", "blob_bytes_sent")
    return [{name: value for name, value in row.items() if name not in sent} for row in report.as_json()]


@pytest.fixture
def archive(tmp_path: Path) -> Database:
    """Two files, one of them without bytes, a stray, and two messages."""
    database = Database(tmp_path / "archive")
    database.channel(1, {"id": "C1", "name": "general"})
    database.user(1, {"id": "U1", "name": "one"})
    database.message(1, "C1", {"ts": "1700000000.000001", "text": "left"})
    database.message(1, "C1", {"ts": "1700000000.000002", "text": "good"})
    database.file(1, {"id": "F1", "name": "a.txt", "mimetype": "text/plain", "size": 5})
    database.file(1, {"id": "F2", "name": "b.txt", "mimetype": "text/plain", "size": 5})
    database.upload("F1", "a.txt", b"bytes")
    database.upload("F9", "stray.txt")
    return database


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read from sources."""
    reads: list[str] = []

    def noting(name: str, read: Any) -> Any:
        def noted(self: Workspace) -> Any:
            reads.append(name)
            return read(self)

        return noted

    for name in READING:
        monkeypatch.setattr(Workspace, name, noting(name, getattr(Workspace, name)))
    return reads


async def test_what_is_unchanged_is_not_read_and_told_as_before(archive: Database, reads: list[str]) -> None:
    server = ResourceServer()
    first = await run(archive.path, server)
    assert set(reads) == set(READING)
    reads.clear()
    state = dict(server.state)
    second = await run(archive.path, server)
    assert (reads, dict(server.seen), server.state) == ([], {}, state)
    assert told(second) == told(first)
    assert (second.strays.count, second.statuses["hydrated"].size, second.files) == (1, 5, 2)
    await run(archive.path, server, full=True)
    assert set(reads) == set(READING)
    assert server.seen["uploads"] == 1


async def test_a_row_that_changed_under_the_same_time_and_size_is_seen(archive: Database) -> None:
    server = ResourceServer()
    await run(archive.path, server)
    before = archive.path.stat()
    archive.connection.execute("UPDATE MESSAGE SET DATA = replace(CAST(DATA AS TEXT), 'left', 'west')")
    assert archive.path.stat().st_size == before.st_size
    os.utime(archive.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    await run(archive.path, server)
    assert sorted(record["text"] for record in server.records["messages"].values()) == ["good", "west"]


async def test_a_row_in_the_write_ahead_log_is_seen(archive: Database) -> None:
    server = ResourceServer()
    archive.connection.execute("PRAGMA journal_mode = WAL").fetchall()
    await run(archive.path, server)
    archive.message(2, "C1", {"ts": "1700000000.000003", "text": "new"})
    await run(archive.path, server)
    assert len(server.records["messages"]) == 3


async def test_attachments_that_came_or_changed_are_seen(archive: Database, reads: list[str]) -> None:
    server = ResourceServer()
    await run(archive.path, server)
    reads.clear()
    archive.upload("F2", "b.txt", b"later")
    await run(archive.path, server)
    assert set(reads) == {"files"}
    archive.upload("F1", "a.txt", b"other")
    os.utime(archive.path.parent / "__uploads" / "F1" / "a.txt", ns=(1, 1))
    await run(archive.path, server)
    assert server.seen["uploads"] == 1
    kept = {file_id: record["blob_ref"]["blob_id"] for file_id, record in server.records["files"].items()}
    assert {file_id: server.blobs[blob] for file_id, blob in kept.items()} == {"F1": b"other", "F2": b"later"}


async def test_a_stream_whose_state_is_gone_is_sent_again(archive: Database, reads: list[str]) -> None:
    server = ResourceServer()
    await run(archive.path, server)
    reads.clear()
    del server.state["messages"]
    await run(archive.path, server)
    assert set(reads) == {"messages"}
    assert server.seen["records:messages"] == 2


async def test_what_another_source_wrote_over_is_written_again(archive: Database, tmp_path: Path) -> None:
    server, other = ResourceServer(), Database(tmp_path / "other")
    await run(archive.path, server)
    other.message(1, "C1", {"ts": "1700000000.000001", "text": "theirs"})
    await run(other.path, server)
    await run(archive.path, server)
    assert sorted(record["text"] for record in server.records["messages"].values()) == ["good", "left"]


async def test_what_was_refused_is_tried_again(archive: Database) -> None:
    server = ResourceServer()

    async def refuse(request: Any) -> Any:
        return error(413, "payload_too_large") if "/blobs" in request.path else None

    server.faults.append(refuse)
    assert (await run(archive.path, server)).exit_code == 1
    server.faults.clear()
    assert (await run(archive.path, server)).exit_code == 0
    assert server.statuses()["F1"] == "hydrated"


async def test_what_was_refused_of_another_stream_is_no_reason_to_look_at_files_again(
    archive: Database, reads: list[str]
) -> None:
    server = ResourceServer()

    async def refuse(request: web.Request) -> web.Response | None:
        if not request.path.endswith("/users"):
            return None
        refusal = {"input_index": 0, "code": "invalid_record", "message": "no"}
        counts = {"records_accepted": 0, "records_attempted": 1, "records_rejected": 1}
        return web.json_response({"stream": "users", **counts, "rejections": [refusal]})

    server.faults.append(refuse)
    assert (await run(archive.path, server)).exit_code == 1
    reads.clear()
    assert (await run(archive.path, server)).exit_code == 1
    assert set(reads) == {"users"}


async def test_other_options_look_at_the_files_again(archive: Database, reads: list[str]) -> None:
    server = ResourceServer()
    archive.file(2, {"id": "F1", "mode": "tombstone"})
    await run(archive.path, server)
    assert server.statuses()["F1"] == "tombstone"
    reads.clear()
    await run(archive.path, server, keep_deleted=True)
    assert set(reads) == {"files"}
    assert server.statuses()["F1"] == "hydrated"
    reads.clear()
    await run(archive.path, server, keep_deleted=True, download=True, slack_token="xoxp-1")
    assert set(reads) == {"files"}
