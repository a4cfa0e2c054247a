"""`blobstore import-reference`: all that the file has, nothing that it has no right to, on after any interruption."""

import asyncio
import hashlib
import io
import json
import os
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from blobstore.client.answers import Rejection
from records.consent.scope import Selector
from records.store import RecordStore
from server.app import make_app
from server.config import Config
from server.run import listening
from tests.fakes.data_directory import in_store
from tests.fakes.reference_file import ACCOUNT, MANIFEST, Account, ReferenceDatabase
from tests.fakes.warm import launch
from tools.cli import main
from tools.local_sink import LocalSink
from tools.pdpp.file import NotTheReferenceError, ReferenceFile, Row
from tools.pdpp.report import Report, Stream
from tools.sink import SinkError

pytestmark = pytest.mark.usefixtures("at_rest")

LARGE = random.Random(7).randbytes((3 << 20) + 17)


@pytest.fixture
def reference(tmp_path: Path) -> ReferenceDatabase:
    """Some of everything."""
    made = ReferenceDatabase(tmp_path / "pdpp.sqlite")
    made.register()
    made.record("messages", "m1", '{"id":"m1","subject":"a \\u0000 b","n":1e2}')
    made.record("messages", '["m2"]', {"id": "m2"})  # one key, as the reference may write it
    made.record("messages", "m3", {"id": "m3", "subject": "secret"}, deleted=True)
    made.record("drafts", "d1", {"id": "d1"})
    made.attach(1, LARGE)
    made.attach(2, b"")
    made.blob(b"nothing names these", key="gone")
    made.state("messages", '{"history_id": 12345678901234567890}')
    made.state("drafts", "{}")
    return made


def run(reference: ReferenceDatabase, data: Path, *arguments: str) -> Result:
    command = ["import-reference", str(reference.path), "--data", str(data), "--owner", "ann", "--json", *arguments]
    return CliRunner().invoke(main, command, catch_exceptions=False)


def rows(result: Result, kind: str) -> list[dict[str, Any]]:
    return [row for row in json.loads(result.stdout) if row["kind"] == kind]


async def reading(store: RecordStore, stream: str) -> dict[str, Any]:
    """Records by key, as a server gives them to their owner, with the bytes that they name."""
    app = make_app(store, Config(port=0))
    async with aiohttp.ClientSession() as session, listening(app, Config(port=0)) as url:
        bearer = {"Authorization": f"Bearer {await store.access.create_owner_token('ann', None)}"}
        async with session.get(f"{url}/v1/streams/{stream}/records?limit=100", headers=bearer) as answer:
            assert answer.status == 200, await answer.text()
            found = {record["id"]: record for record in (await answer.json())["data"]}
        for record in found.values():
            if ref := record["data"].get("blob_ref"):
                async with session.get(url + ref["fetch_url"], headers=bearer) as answer:
                    assert answer.status == 200
                    assert hashlib.sha256(await answer.read()).hexdigest() == ref["sha256"]
    return found


def read(data: Path, stream: str) -> dict[str, Any]:
    return in_store(data, lambda store: reading(store, stream))


def state(data: Path, instance: str | None = ACCOUNT.instance) -> dict[str, bytes]:
    async def work(store: RecordStore) -> dict[str, bytes]:
        owner = await store.access.owner("ann")
        return dict((await store.states.get(owner, Selector("gmail", instance))).state)

    return in_store(data, work)


def test_all_comes_and_what_the_reference_only_hides_does_not(reference: ReferenceDatabase, tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = run(reference, data)
    assert result.exit_code == 0, result.output
    messages = read(data, "messages")
    assert set(messages) == {"m1", "m2"}
    assert messages["m1"]["data"]["subject"] == "a \x00 b"
    assert messages["m1"]["connector_instance_id"] == ACCOUNT.instance
    attachments = read(data, "attachments")
    assert set(attachments) == {'["m1","1"]', '["m1","2"]'}
    assert state(data) == {"messages": b'{"history_id": 12345678901234567890}', "attachments": b"null"}
    assert rows(result, "total") == [
        {"kind": "total", "records_sent": 4, "states": 1, "blobs": 2, "blob_bytes": len(LARGE)}
    ]
    assert {row["why"]: row["count"] for row in rows(result, "left_out")} == {
        "records of streams that no manifest declares": 1,
        "states of streams that no manifest declares": 1,
        "blobs that no record names, or that are refused (19 bytes)": 1,
    }
    deleted = {row["stream"]: row["records_deleted"] for row in rows(result, "stream")}
    assert deleted == {"messages": 1, "attachments": 0}
    assert b"secret" not in b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    checked = CliRunner().invoke(main, ["doctor", "--data", str(data), "--deep"])
    assert checked.exit_code == 0, checked.output
    assert run(reference, data).exit_code == 0  # again: nothing is newer here than there
    assert len(read(data, "messages")) == 2


def test_damaged_bytes_and_those_of_others_are_refused(reference: ReferenceDatabase, tmp_path: Path) -> None:
    other = Account("gmail", "cin_ffffffffffffffffffffffff")
    stolen = reference.blob(b"another account's", other)
    described = {"message": "m1", "part": 4, "blob_ref": stolen}
    reference.record("attachments", '["m1",4]', described)
    reference.attach(3, b"damaged in the file" * 100_000, damaged=True)
    data = tmp_path / "data"
    result = run(reference, data)
    assert result.exit_code == 1
    problems = [(row["what"].rpartition(" ")[2], row["why"].partition(":")[0]) for row in rows(result, "problem")]
    assert sorted(why for _, why in problems) == [
        "blob_not_stored",
        "blob_not_stored",
        "the bytes are not what their SHA-256 says",
    ]
    assert set(read(data, "attachments")) == {'["m1","1"]', '["m1","2"]'}

    async def usage(store: RecordStore) -> int:
        owner = await store.access.owner("ann")
        return (await store.blobs.catalogue.totals(owner.id)).blobs

    assert in_store(data, usage) == 2


@pytest.mark.parametrize("at", range(1, 7))
def test_an_import_that_was_cut_off_goes_on_where_it_was(
    reference: ReferenceDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr("tools.pdpp.file.PAGE", 2)
    for number in range(10, 18):
        reference.record("messages", f"m{number}", {"id": f"m{number}"})
    sent: list[int] = []
    ingest = LocalSink.ingest

    async def counted(sink: LocalSink, stream: str, lines: Sequence[bytes]) -> list[Rejection]:
        if len(sent) == at:
            raise SinkError("cut off")
        sent.append(len(lines))
        return await ingest(sink, stream, lines)

    data = tmp_path / "data"
    with monkeypatch.context() as patch:
        patch.setattr(LocalSink, "ingest", counted)
        cut = run(reference, data)
    assert (cut.exit_code, "cut off" in cut.output) == ((1, True) if at < 6 else (0, False))
    result = run(reference, data)
    assert result.exit_code == 0, result.output
    whole = {row["stream"]: row for row in rows(result, "stream")}
    if at < 6:
        assert sum(row["records_before"] for row in whole.values()) == sum(sent)
        assert sum(row["records_sent"] for row in whole.values()) == 12 - sum(sent)
    assert len(read(data, "messages")) == 10
    assert len(read(data, "attachments")) == 2
    assert state(data) == {"messages": b'{"history_id": 12345678901234567890}', "attachments": b"null"}


def test_newer_data_are_not_put_under_older_ones(reference: ReferenceDatabase, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run(reference, data).exit_code == 0

    async def newer(store: RecordStore) -> None:
        owner = await store.access.owner("ann")
        await store.states.merge(owner, Selector("gmail", ACCOUNT.instance), {"messages": b'{"history_id": 99}'})

    in_store(data, newer)
    refused = run(reference, data)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.output
    assert state(data)["messages"] == b'{"history_id": 99}'
    assert run(reference, data, "--overwrite").exit_code == 0
    assert state(data)["messages"] == b'{"history_id": 12345678901234567890}'


PROGRAM = """
import sys
import tools.pdpp.file
tools.pdpp.file.PAGE = 7
from tools.cli import main

main(["import-reference", *sys.argv[1:]])
"""


@pytest.mark.long
def test_killed_at_any_moment_it_goes_on_and_all_is_there_once(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    reference = ReferenceDatabase(tmp_path / "pdpp.sqlite")
    reference.register()
    for number in range(sized(60, 400)):
        reference.record("messages", f"m{number:03}", {"id": f"m{number:03}"})
        reference.attach(number, rng.randbytes(rng.choice((10, 1000, 200_000))))
    data = tmp_path / "data"
    arguments = (reference.path, "--data", data, "--owner", "ann", "--json")
    for _ in range(sized(3, 40)):
        process = launch(forks, "-c", PROGRAM, *arguments)
        time.sleep(rng.uniform(0.0, 0.8))
        process.killed()
    whole = json.loads(launch(forks, "-c", PROGRAM, *arguments).end())
    for stream in (row for row in whole if row["kind"] == "stream"):
        assert stream["records_before"] + stream["records_sent"] == stream["records"] == sized(60, 400)
    assert state(data) == {"messages": b"null", "attachments": b"null"}

    async def kept(store: RecordStore) -> tuple[int, int]:
        totals = await store.blobs.catalogue.totals((await store.access.owner("ann")).id)
        return totals.blobs, totals.orphan_blobs

    assert in_store(data, kept) == (sized(60, 400), 0)
    checked = CliRunner().invoke(main, ["doctor", "--data", str(data), "--deep", "--repair"])
    assert checked.exit_code == 0, checked.output


async def test_it_goes_to_a_running_server_too(reference: ReferenceDatabase, tmp_path: Path) -> None:
    store = await RecordStore.open(tmp_path / "served")
    try:
        token = await store.access.create_owner_token("ann", None)
        async with listening(make_app(store, Config(port=0)), Config(port=0)) as url:
            command = ["import-reference", str(reference.path), "--server", url, "--token", token, "--json"]
            result = await asyncio.to_thread(CliRunner().invoke, main, command)
            assert result.exit_code == 0, result.output
            assert rows(result, "total")[0]["blob_bytes"] == len(LARGE)
        assert set(await reading(store, "attachments")) == {'["m1","1"]', '["m1","2"]'}
    finally:
        await store.close()


def test_a_file_from_before_accounts(tmp_path: Path) -> None:
    reference = ReferenceDatabase(tmp_path / "old.sqlite", instances=False)
    reference.register()
    reference.record("messages", "m1", {"id": "m1"})
    reference.attach(1, b"bytes")
    reference.state("messages", "{}")
    assert run(reference, tmp_path / "data").exit_code == 0
    assert set(read(tmp_path / "data", "attachments")) == {'["m1","1"]'}


def test_one_moment_is_read_while_the_reference_goes_on(reference: ReferenceDatabase, tmp_path: Path) -> None:
    with reference.opened() as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE records SET emitted_at = '2026-11-24T00:00:00Z'")  # stands in the log alone
        assert run(reference, tmp_path / "data").exit_code == 0
    assert {each["emitted_at"] for each in read(tmp_path / "data", "messages").values()} == {"2026-11-24T00:00:00Z"}


def test_records_of_many_bytes_are_read_one_by_one(
    reference: ReferenceDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.pdpp.file.PAGE_BYTES", 1000)
    for number in range(5):
        reference.record("messages", f"long{number}", {"id": f"long{number}", "subject": "x" * 2000})
    read_at_once: list[int] = []
    records = ReferenceFile.records

    def counted(file: ReferenceFile, *given: Any) -> list[Row]:
        found = records(file, *given)
        read_at_once.append(sum(len(row.data) for row in found))
        return found

    monkeypatch.setattr(ReferenceFile, "records", counted)
    assert run(reference, tmp_path / "data").exit_code == 0
    assert max(read_at_once) < 4000
    assert len(read(tmp_path / "data", "messages")) == 7


def test_a_damaged_page_ends_it_with_a_line(reference: ReferenceDatabase, tmp_path: Path) -> None:
    for number in range(300):
        reference.record("messages", f"x{number:03}", {"id": f"x{number:03}", "subject": "y" * 400})
    pages = bytearray(reference.path.read_bytes())
    pages[len(pages) // 2 :] = b"\xff" * (len(pages) - len(pages) // 2)
    reference.path.write_bytes(pages)
    result = run(reference, tmp_path / "data")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert any(words in result.output for words in ("is damaged", "cannot be read"))


@pytest.mark.parametrize(
    "change",
    [
        "connectors SET connector_id = x'ff'",
        "connector_instances SET owner_subject_id = 1",
        "records SET connector_instance_id = 1",
        "records SET stream = x'ff'",
        "records SET deleted = NULL",
        "records SET record_json = NULL",
        "records SET emitted_at = 1",
        "blobs SET size_bytes = 'many'",
    ],
)
def test_a_column_of_another_type_ends_it_with_a_line(
    reference: ReferenceDatabase, tmp_path: Path, change: str
) -> None:
    with reference.opened() as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(replace(sql, 'NOT NULL', ''), 'TEXT', '')")
    with reference.opened() as db:
        db.execute(f"UPDATE OR IGNORE {change}")
    result = run(reference, tmp_path / "data")
    assert result.exit_code == 1, result.output
    assert "is damaged (a column holds what is of another type)" in result.output


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotTheReferenceError, match="no regular file"):
        ReferenceFile.open(tmp_path / "pipe")


def test_a_schema_whose_complaint_is_no_text_is_told(reference: ReferenceDatabase, tmp_path: Path) -> None:
    broken = reference.path.read_bytes().replace(b"tableconnectors", b"table\xff\xffnnectors")
    reference.path.write_bytes(broken.replace(b"CREATE TABLE connectors", b"CREATE NOTHING ectors!!"))
    result = run(reference, tmp_path / "data")
    assert "cannot be read" in result.output


@pytest.mark.parametrize("text", ["{cut off", '"\\ud83d"', "", "[" * 2000])
def test_a_state_that_is_no_json_is_told_and_costs_nothing_else(
    reference: ReferenceDatabase, tmp_path: Path, text: str
) -> None:
    reference.state("attachments", text)
    for _ in range(2):
        result = run(reference, tmp_path / "data")
        assert [each["why"] for each in rows(result, "problem")] == ["its state is no JSON that a store takes"]
    assert state(tmp_path / "data")["messages"] == b'{"history_id": 12345678901234567890}'
    assert len(read(tmp_path / "data", "messages")) == 2


def test_what_is_wrong_with_the_file_is_said(reference: ReferenceDatabase, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with reference.opened() as db:
        before = db.total_changes
    other = Account("slack", "cin_ffffffffffffffffffffffff", "somebody_else")
    reference.record("messages", "x", {"id": "x"}, other)
    reference._insert(
        "connector_instances",
        connector_instance_id=other.instance,
        owner_subject_id=other.owner,
        connector_id=other.connector,
    )
    several = run(reference, data)
    assert several.exit_code == 1
    assert "owner_local, somebody_else: name one with --subject" in several.output
    lacking = run(reference, data, "--subject", "somebody_else")
    assert lacking.exit_code == 1
    assert "no manifest is registered in the file: 1 records" in lacking.output
    assert "there is: gmail, slack" in run(reference, data, "--subject", "nobody").output
    assert run(reference, data, "--subject", "owner_local", "--connector", "gmail").exit_code == 0
    with sqlite3.connect(tmp_path / "else.sqlite") as db:
        db.execute("CREATE TABLE t (x)")
    reference.path = tmp_path / "else.sqlite"
    assert "no database of the PDPP reference" in run(reference, data).output
    reference.path = tmp_path / "text"
    reference.path.write_text("no database at all, but long enough to be read as one")
    assert "cannot be read" in run(reference, data).output
    assert before == 0


def test_the_manifest_of_the_fake_is_one_that_is_taken() -> None:
    assert [stream["name"] for stream in MANIFEST["streams"]] == ["messages", "attachments"]


def test_the_report_for_people_names_streams_and_accounts_whole_in_a_narrow_terminal() -> None:
    told = io.StringIO()
    Report([Stream("gmail", "cin_0123456789abcdef01234567", "attachments")]).print(Console(width=80, file=told))
    assert "…" not in told.getvalue()
