"""slackdump archives: the newest row counts, and nothing is ever written beside the database."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_tools.slack.archives import Database, verdicts
from tests.test_tools.slack.conftest import Open
from tools.slack.source import SlackObject, SourceError
from tools.slack.status import Status

HOSTED = {"id": "F1", "mode": "hosted", "name": "a.txt", "mimetype": "text/plain", "size": 1}
TOMBSTONE = {"id": "F1", "mode": "tombstone"}


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Everything in a directory, with size and time of modification."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in [directory, *directory.rglob("*")]}


def said(number: int, text: str, **more: object) -> SlackObject:
    return {"type": "message", "ts": f"1700000000.{number:06d}", "text": text, **more}


def test_the_row_with_the_highest_chunk_wins(database: Database, opened: Open) -> None:
    for chunk in (3, 9, 1):
        database.user(chunk, {"id": "U1", "name": f"as of {chunk}"})
        database.channel(chunk, {"id": "C1", "name": f"as of {chunk}"})
        database.message(chunk, "C1", said(1, f"as of {chunk}"))
        database.file(chunk, {**HOSTED, "name": f"as of {chunk}"})
    source = opened(database.path)
    assert [user["name"] for user in source.users()] == ["as of 9"]
    assert [channel["name"] for channel in source.channels()] == ["as of 9"]
    assert [message["text"] for _, message in source.messages()] == ["as of 9"]
    assert [entry.slack["name"] for entry in source.files()] == ["as of 9"]


def test_messages_of_two_channels_at_one_time_are_two(database: Database, opened: Open) -> None:
    database.message(1, "C2", said(1, "in two"))
    database.message(2, "C1", said(1, "in one"))
    assert [(c, m["text"]) for c, m in opened(database.path).messages()] == [("C1", "in one"), ("C2", "in two")]


def test_messages_come_by_time_and_the_same_way_each_time(database: Database, opened: Open) -> None:
    for number in (5, 1, 3):
        database.message(number, "C1", said(number, str(number)))
    source = opened(database.path)
    first = [message["text"] for _, message in source.messages()]
    assert first == ["1", "3", "5"]
    assert [message["text"] for _, message in source.messages()] == first


def test_a_file_that_only_a_message_mentions_is_found(database: Database, opened: Open) -> None:
    database.message(1, "C1", said(1, "", files=[{**HOSTED, "id": "F2"}, None, {"mode": "no id"}]))
    database.file(2, HOSTED)
    assert [entry.id for entry in opened(database.path).files()] == ["F1", "F2"]


def test_a_message_that_is_newer_than_the_files_own_row_tells_its_state(database: Database, opened: Open) -> None:
    database.file(1, HOSTED)
    database.message(2, "C1", said(1, "", files=[{**HOSTED, "name": "renamed.txt"}]))
    assert [entry.slack["name"] for entry in opened(database.path).files()] == ["renamed.txt"]


def test_a_deletion_is_final_and_keeps_what_was_known_before(database: Database, opened: Open) -> None:
    database.file(1, HOSTED)
    database.file(2, TOMBSTONE)
    database.file(3, {**HOSTED, "name": "merged in later.txt"})
    database.upload("F1", "merged in later.txt")
    source = opened(database.path)
    (entry,) = source.files()
    assert entry.deleted
    assert entry.slack == TOMBSTONE
    assert entry.described["name"] == "merged in later.txt"
    assert verdicts(source)["F1"].status is Status.TOMBSTONE
    assert verdicts(source, keep_deleted=True)["F1"].status is Status.HYDRATED


def test_a_file_that_is_hidden_by_now_keeps_its_bytes_and_description(database: Database, opened: Open) -> None:
    database.file(1, HOSTED)
    database.file(2, {"id": "F1", "mode": "hidden_by_limit", "name": None})
    database.upload("F1", "a.txt")
    source = opened(database.path)
    assert verdicts(source)["F1"].status is Status.HYDRATED


@pytest.mark.parametrize("name", ["", None, "renamed since.txt"])
def test_a_single_file_in_the_directory_of_an_id_is_that_file(
    database: Database, opened: Open, name: str | None
) -> None:
    database.file(1, {**HOSTED, "name": name})
    database.upload("F1", "unnamed_file")
    database.upload("F1", ".DS_Store")
    database.upload("F1", "._unnamed_file")
    source = opened(database.path)
    assert verdicts(source)["F1"].status is Status.HYDRATED
    assert source.strays.count == 2


def test_of_several_files_the_one_of_the_right_name_is_taken_or_none(database: Database, opened: Open) -> None:
    database.file(1, {**HOSTED, "name": "plan: A?.txt"})
    database.upload("F1", "older name.txt", b"o")
    database.upload("F1", "plan_ A_.txt", b"n")
    database.file(1, {**HOSTED, "id": "F2", "name": ""})
    database.upload("F2", "one")
    database.upload("F2", "two")
    source = opened(database.path)
    by_id = {entry.id: entry.located for entry in source.files()}
    assert by_id["F1"] is not None
    with source.open(by_id["F1"]) as stream:
        assert stream.read() == b"n"
    assert by_id["F2"] is None
    assert sorted(source.strays.examples) == [
        "__uploads/F1/older name.txt",
        "__uploads/F2/one",
        "__uploads/F2/two",
    ]


def test_links_in_the_archive_lead_nowhere(database: Database, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.txt").write_bytes(b"s")
    database.upload("F0", "a.txt")
    uploads = database.path.parent / "__uploads"
    (uploads / "F1").symlink_to(tmp_path / "secret")
    (uploads / "F2").mkdir()
    (uploads / "F2" / "a.txt").symlink_to(tmp_path / "secret" / "a.txt")
    os.mkfifo(uploads / "F2" / "pipe")
    for file_id in ("F1", "F2", "../../secret"):
        database.file(1, {**HOSTED, "id": file_id})
    decided = verdicts(opened(database.path))
    assert {verdict.status for verdict in decided.values()} == {Status.MISSING}


@pytest.mark.parametrize("replace", [os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_bytes_that_became_a_pipe_or_a_link_since_are_an_error_and_no_wait(
    database: Database, opened: Open, replace: Callable[[Path], None]
) -> None:
    database.file(1, HOSTED)
    database.upload("F1", "a.txt")
    source = opened(database.path)
    (entry,) = source.files()
    assert entry.located is not None
    path = database.path.parent / entry.located.where
    path.unlink()
    replace(path)
    with pytest.raises(OSError, match=r"no regular file|symbolic links"):
        source.open(entry.located)


def test_an_archive_at_rest_stays_exactly_as_it_is(database: Database, opened: Open) -> None:
    database.connection.execute("PRAGMA journal_mode = WAL").fetchall()
    database.message(1, "C1", said(1, "hello", files=[HOSTED]))
    database.upload("F1", "a.txt")
    database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.connection.close()
    before = snapshot(database.path.parent)
    source = opened(database.path.parent)
    assert len(list(source.messages())) == 1
    assert len(list(source.files())) == 1
    source.close()
    assert snapshot(database.path.parent) == before


def test_changes_that_only_the_log_holds_are_read_and_left_there(tmp_path: Path, opened: Open) -> None:
    archive = tmp_path / "archive"
    _crash_with_a_log(archive)
    before = snapshot(archive)
    assert (archive / "slackdump.sqlite-wal").stat().st_size > 0
    source = opened(archive)
    assert [message["text"] for _, message in source.messages()] == ["in the log only"]
    source.close()
    assert snapshot(archive) == before


def test_the_private_copy_is_gone_from_the_file_system_at_once(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, private = tmp_path / "archive", tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    _crash_with_a_log(archive)
    source = opened(archive)
    assert list(private.iterdir()) == []
    assert len(list(source.messages())) == 1


def _crash_with_a_log(archive: Path) -> None:
    """A process that dies with one message in the write-ahead log and nowhere else."""
    script = (
        "import os, sys; from pathlib import Path\n"
        "from tests.test_tools.slack.archives import Database\n"
        "database = Database(Path(sys.argv[1]))\n"
        "database.connection.execute('PRAGMA journal_mode = WAL').fetchall()\n"
        "database.message(1, 'C1', {'ts': '1700000000.000001', 'text': 'in the log only'})\n"
        "os._exit(0)\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script, str(archive)], cwd=root, check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_directory_that_cannot_be_written_is_read(database: Database, opened: Open) -> None:
    database.connection.execute("PRAGMA journal_mode = WAL").fetchall()
    database.message(1, "C1", said(1, "hello"))
    database.connection.close()
    database.path.parent.chmod(0o500)
    try:
        assert len(list(opened(database.path).messages())) == 1
    finally:
        database.path.parent.chmod(0o700)


def test_an_archive_that_is_written_to_meanwhile_is_not_taken_for_whole(database: Database, opened: Open) -> None:
    database.message(1, "C1", said(1, "hello"))
    source = opened(database.path)
    database.message(2, "C1", said(2, "too late"))
    os.utime(database.path, ns=(1, 1))
    with pytest.raises(SourceError, match="wait until slackdump has finished"):
        list(source.messages())


def test_a_damaged_row_is_told_and_not_passed_over(database: Database, opened: Open) -> None:
    database.connection.execute("INSERT INTO MESSAGE VALUES (1700000000000001, 1, 'C1', 0, '{cut off')")
    with pytest.raises(SourceError, match="damaged row"):
        list(opened(database.path).messages())


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO CHANNEL VALUES (NULL, 1, '{}')",
        "INSERT INTO CHANNEL VALUES ('C1', 1, NULL)",
        "INSERT INTO MESSAGE VALUES (1, 1, 'C1', 1, 1.5)",
        "INSERT INTO MESSAGE VALUES (1, 1, x'ff', 0, '{}')",
        "INSERT INTO FILE VALUES ('F1', NULL, '{}'), ('F1', 1, '{}')",
        "INSERT INTO FILE VALUES (x'ff', 1, '{}')",
    ],
)
def test_a_column_of_another_type_is_told(database: Database, opened: Open, statement: str) -> None:
    database.message(1, "C1", said(5, "x", files=[{"id": "F1"}]))
    database.connection.execute(statement)
    source = opened(database.path)
    with pytest.raises(SourceError, match="damaged row"):
        print(list(source.channels()), list(source.messages()), list(source.files()))


def test_half_an_emoji_does_not_cost_the_message(database: Database, opened: Open) -> None:
    database.connection.execute(
        "INSERT INTO MESSAGE VALUES (1700000000000001, 1, 'C1', 1, ?)",
        (b'{"ts": "1700000000.000001", "text": "cut \\ud83d", "files": [{"id": "F1", "name": "\\ud83d.txt"}]}',),
    )
    source = opened(database.path)
    assert [message["text"] for _, message in source.messages()] == ["cut \ufffd"]
    assert [entry.slack["name"] for entry in source.files()] == ["\ufffd.txt"]


def test_another_sqlite_database_is_no_archive(database: Database, opened: Open) -> None:
    database.connection.execute("DROP TABLE FILE")
    with pytest.raises(SourceError, match="no table FILE"):
        opened(database.path)
