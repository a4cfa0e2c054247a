"""Hydration from an export with bytes into a server: what is written, what is written twice (nothing), what is kept."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from blobstore.client.content import PIECE
from tests.fakes.resource_server import TOKEN, ResourceServer, error, serving
from tests.fakes.slack_export import CREDENTIAL, SlackExport
from tools.http_sink import open_http_sink
from tools.sink import SinkError
from tools.slack import manifest
from tools.slack.hydrate import Options, hydrate
from tools.slack.report import NOT_RECORDED, Report
from tools.slack.source import SourceError
from tools.slack.workspace import Workspace

SIGN_IN = b"<!DOCTYPE html><html><head><title>Sign in | Slack</title></head><body></body></html>"
LOCAL = {"download": False}


async def run(source: Path, server: ResourceServer, **options: Any) -> Report:
    async with serving(server) as address, open_http_sink(address, TOKEN, manifest.CONNECTOR_ID, attempts=2) as sink:
        return await hydrate(source, sink, Options(**(LOCAL | options)))


@pytest.fixture
def export(tmp_path: Path) -> SlackExport:
    """Three good files, two of them alike, and 1,200 messages."""
    export = SlackExport(tmp_path / "export")
    export.add("FONE", b"one" * 1000, name="one.zip")
    export.add("FTWIN", b"one" * 1000, name="twin.zip")
    export.add("FBIG", bytes(range(256)) * 4096 * 3, name="big.bin")
    export.say(1200)
    return export


def everything(server: ResourceServer) -> str:
    """All that was ever sent, and all addresses it was sent to."""
    return b"\n".join(server.bodies).decode() + "\n".join(server.requests) + json.dumps(server.manifest)


async def test_everything_arrives_and_the_report_counts_it(export: SlackExport) -> None:
    server = ResourceServer()
    report = await run(export.write(), server)
    assert server.statuses() == dict.fromkeys(("FONE", "FTWIN", "FBIG"), "hydrated")
    for file_id, content in export.held.items():
        record = server.records["files"][file_id]
        assert server.blobs[record["blob_ref"]["blob_id"]] == content
        assert record["content_sha256"] == hashlib.sha256(content).hexdigest()
        assert record["blob_ref"]["size_bytes"] == len(content)
    assert len(server.records["messages"]) == 1203
    named = [file_id for message in server.records["messages"].values() for file_id in message["file_ids"] or ()]
    assert sorted(named) == ["FBIG", "FONE", "FTWIN"]
    assert list(server.records["channels"]) == ["C1"]
    assert list(server.records["users"]) == ["U1"]
    assert server.manifest is not None
    assert server.manifest["connector_id"] == manifest.CONNECTOR_ID
    assert report.exit_code == 0
    assert report.statuses["hydrated"].files == 3
    assert (report.blobs_sent, report.blob_bytes_sent) == (3, sum(map(len, export.held.values())))
    assert report.streams["messages"].sent == 1203


async def test_messages_do_not_wait_for_files(export: SlackExport) -> None:
    server = ResourceServer()

    async def hold(request: web.Request) -> None:
        if request.path == "/v1/blobs":
            async with asyncio.timeout(10):
                while len(server.records["messages"]) < 1203:
                    await asyncio.sleep(0.01)

    server.faults.append(hold)
    report = await run(export.write(), server)
    assert report.exit_code == 0
    assert report.blobs_sent == 3
    assert list(report.streams) == ["channels", "users", "files", "messages"]


async def test_a_second_run_sends_no_byte_and_writes_no_record(export: SlackExport) -> None:
    server = ResourceServer()
    first = await run(export.write(), server)
    server.seen.clear()
    server.requests.clear()
    second = await run(export.root, server)
    assert not server.seen
    assert [request.split("?")[0].split("/v1/")[1].split("/")[0] for request in server.requests] == [
        "connectors",
        "state",
    ]
    assert (second.blobs_sent, second.streams["messages"].sent) == (0, 0)
    assert {s: (t.files, t.size) for s, t in second.statuses.items()} == {
        s: (t.files, t.size) for s, t in first.statuses.items()
    }
    assert second.streams["messages"].records == 1203
    assert second.exit_code == 0


async def test_without_its_state_everything_is_sent_again(export: SlackExport) -> None:
    server = ResourceServer()
    await run(export.write(), server)
    server.state.clear()
    server.seen.clear()
    report = await run(export.root, server)
    assert report.blobs_sent == 3
    assert server.records_written == 1203 + 3 + 2


async def test_full_sends_everything_again(export: SlackExport) -> None:
    server = ResourceServer()
    await run(export.write(), server)
    server.seen.clear()
    await run(export.root, server, full=True)
    assert server.seen["uploads"] == 3
    assert server.records_written == 1203 + 3 + 2


async def test_only_what_is_new_is_sent(export: SlackExport) -> None:
    server = ResourceServer()
    await run(export.write(), server)
    server.seen.clear()
    export.add("FNEW", b"new", name="new.bin")
    export.say(1)
    await run(export.write(), server)
    assert server.seen["uploads"] == 1
    assert server.seen["records:files"] == 1
    assert 2 <= server.seen["records:messages"] <= 1000
    assert len(server.records["messages"]) == 1205


async def test_changed_bytes_are_sent_again(export: SlackExport) -> None:
    server = ResourceServer()
    await run(export.write(), server)
    server.seen.clear()
    export.held["FONE"] = b"two" * 1000 + b"!"
    export.write()
    await run(export.root, server)
    assert server.seen["uploads"] == 1
    assert server.blobs[server.records["files"]["FONE"]["blob_ref"]["blob_id"]] == export.held["FONE"]


async def test_every_file_ends_in_one_status_and_bad_bytes_are_not_stored(tmp_path: Path) -> None:
    export, server = SlackExport(tmp_path / "export"), ResourceServer()
    export.add("FOK", b"ok")
    export.add("FEMPTY", b"", size=10)
    export.add("FZERO", b"")
    export.add("FSHORT", b"short", size=10)
    export.add("FPAGE", SIGN_IN, name="a.png", mimetype="image/png", filetype="png", size=10)
    export.add("FGONE", None, size=10)
    export.files.append({"id": "FDEAD", "mode": "tombstone"})
    export.files.append({"id": "FHIDDEN", "mode": "hidden_by_limit"})
    report = await run(export.write(), server)
    assert server.statuses() == {
        "FOK": "hydrated",
        "FEMPTY": "empty",
        "FZERO": "hydrated",
        "FSHORT": "truncated",
        "FPAGE": "wrong_content",
        "FGONE": "missing",
        "FDEAD": "tombstone",
        "FHIDDEN": "hidden_by_limit",
    }
    assert sorted(server.claims) == ["FOK", "FZERO"]
    assert sum(tally.files for tally in report.statuses.values()) == 8
    assert report.exit_code == 0


async def test_a_file_that_is_cured_in_the_source_is_hydrated_later(tmp_path: Path) -> None:
    export, server = SlackExport(tmp_path / "export"), ResourceServer()
    export.add("FSHORT", b"short", size=10)
    export.add("FLATE", None, size=4)
    await run(export.write(), server)
    export.held |= {"FSHORT": b"0123456789", "FLATE": b"late"}
    await run(export.write(), server)
    assert server.statuses() == {"FSHORT": "hydrated", "FLATE": "hydrated"}


async def test_bytes_that_the_source_lost_stay_in_the_store(export: SlackExport) -> None:
    server = ResourceServer()
    await run(export.write(), server)
    stored = server.records["files"]["FONE"]
    for file_id, name in (("FONE", "one.zip"), ("FTWIN", "twin.zip")):
        (export.root / "__uploads" / file_id / name).unlink()
    export.held["FBIG"] = export.held["FBIG"][:1000]
    export.write()
    (export.root / "__uploads" / "FONE" / "one.zip").unlink()
    server.seen.clear()
    for options in ({}, {"full": True}, {}):
        report = await run(export.root, server, **options)
        assert report.statuses["hydrated"].files == 3
        assert report.exit_code == 0
    assert server.records["files"]["FONE"] == stored
    assert server.statuses() == dict.fromkeys(("FONE", "FTWIN", "FBIG"), "hydrated")


async def test_a_deletion_in_slack_takes_the_bytes_away_unless_they_are_to_be_kept(export: SlackExport) -> None:
    server = ResourceServer()
    await run(export.write(), server)
    export.files[0] = {"id": "FONE", "mode": "tombstone"}
    await run(export.write(), server)
    assert server.records["files"]["FONE"]["blob_ref"] is None
    assert server.statuses()["FONE"] == "tombstone"
    await run(export.root, server, keep_deleted=True)
    kept = server.records["files"]["FONE"]
    assert server.blobs[kept["blob_ref"]["blob_id"]] == b"one" * 1000


async def test_an_upload_that_is_refused_fails_alone_and_is_tried_again(export: SlackExport) -> None:
    server = ResourceServer()

    async def refuse(request: web.Request) -> web.Response | None:
        if request.query.get("record_key") == "FBIG":
            return error(413, "payload_too_large", "at most 1 MB")
        return None

    server.faults.append(refuse)
    # A server that answers before the body's end may close while it is sent: both are refusals of this file alone.
    export.held["FBIG"] = export.held["FBIG"][:1000]
    export.files[2]["size"] = 1000
    report = await run(export.write(), server)
    assert report.exit_code == 1
    assert server.statuses() == {"FONE": "hydrated", "FTWIN": "hydrated", "FBIG": "missing"}
    assert "at most 1 MB" in server.records["files"]["FBIG"]["hydration_error"]
    server.faults.clear()
    report = await run(export.root, server)
    assert report.exit_code == 0
    assert server.statuses()["FBIG"] == "hydrated"


async def test_a_record_that_is_refused_is_reported_and_sent_again(export: SlackExport) -> None:
    server = ResourceServer()

    async def forget(request: web.Request) -> None:
        if request.path == "/v1/ingest/files":
            server.claims.pop("FTWIN", None)

    server.faults.append(forget)
    report = await run(export.write(), server)
    assert report.exit_code == 1
    assert report.statuses[NOT_RECORDED].examples == ["FTWIN"]
    assert report.streams["files"].rejected == 1
    server.faults.clear()
    report = await run(export.root, server)
    assert report.exit_code == 0
    assert report.blobs_sent == 1
    assert server.statuses()["FTWIN"] == "hydrated"


async def test_a_copy_that_cannot_be_read_is_missing_and_told(
    export: SlackExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, server = Workspace.open, ResourceServer()

    def broken(self: Workspace, located: Any) -> Any:
        if "FONE" in located.where:
            raise PermissionError(13, "Permission denied", "/secret/place")
        return good(self, located)

    monkeypatch.setattr(Workspace, "open", broken)
    report = await run(export.write(), server)
    assert report.exit_code == 1
    assert server.statuses()["FONE"] == "missing"
    assert "Permission denied" in server.records["files"]["FONE"]["hydration_error"]
    assert "/secret/place" not in everything(server)


async def test_a_server_that_fails_ends_the_run_with_one_plain_error(export: SlackExport) -> None:
    server = ResourceServer()

    async def full(request: web.Request) -> web.Response | None:
        return error(507, "insufficient_storage") if request.path == "/v1/blobs" else None

    server.faults.append(full)
    with pytest.raises(SinkError, match="full"):
        await run(export.write(), server)
    assert "files" not in server.state
    server.faults.clear()
    assert (await run(export.root, server)).exit_code == 0


async def test_what_is_no_workspace_is_a_source_error_and_nothing_is_sent(tmp_path: Path) -> None:
    server = ResourceServer()
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(SourceError):
        await run(tmp_path, server)
    assert not server.requests


async def test_a_cancelled_run_records_what_it_has_uploaded(export: SlackExport) -> None:
    server = ResourceServer()
    stuck = asyncio.Event()

    async def stall(request: web.Request) -> None:
        if request.query.get("record_key") == "FTWIN":
            stuck.set()
            await asyncio.sleep(60)

    server.faults.append(stall)
    async with serving(server) as address, open_http_sink(address, TOKEN, manifest.CONNECTOR_ID) as sink:
        running = asyncio.create_task(hydrate(export.write(), sink, Options(download=False, uploads=3)))
        await stuck.wait()
        while len(server.claims) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert server.statuses() == {"FONE": "hydrated", "FBIG": "hydrated"}
    assert set(server.state["files"]["files"]) == {"FONE", "FBIG"}
    server.faults.clear()
    report = await run(export.root, server)
    assert report.blobs_sent == 1


async def test_large_and_small_files_are_under_way_at_once(tmp_path: Path) -> None:
    export, server = SlackExport(tmp_path / "export"), ResourceServer(keep_bytes=False)
    for n in range(3):
        export.add(f"FA{n}", b"x" * (8 * PIECE))
    for n in range(40):
        export.add(f"FB{n}", b"y%d" % n)
    busy, most = 0, 0

    async def count(request: web.Request) -> None:
        nonlocal busy, most
        if request.path == "/v1/blobs":
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.02)
            busy -= 1

    server.faults.append(count)
    await run(export.write(), server, uploads=3)
    assert most == 3
    assert len(server.statuses()) == 43


async def test_no_credential_of_the_export_is_ever_sent(export: SlackExport) -> None:
    server = ResourceServer()
    export.messages.append(
        {"type": "message", "ts": "1899999999.000100", "user": "U1", "text": f"see {export.files[0]['url_private']}"}
    )
    await run(export.write(), server)
    assert "files-pri/T1-FONE" in everything(server)
    assert CREDENTIAL not in everything(server)
    assert "xoxe" not in everything(server)
