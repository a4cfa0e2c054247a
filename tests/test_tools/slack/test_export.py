"""Exports, dumps and chunk files: all become the same rows."""

import gzip
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_tools.slack.archives import verdicts
from tests.test_tools.slack.conftest import Open
from tools.slack.source import SlackObject, SourceError
from tools.slack.status import Status

FILE = {"id": "F1", "mode": "hosted", "name": "a.txt", "mimetype": "text/plain", "size": 1}
CHANNELS = [{"id": "C1", "name": "general"}]


def said(number: int, text: str = "", **more: object) -> SlackObject:
    return {"type": "message", "ts": f"1700000000.{number:06d}", "text": text, **more}


def lay(root: Path, files: dict[str, Any]) -> Path:
    """Files by path: bytes as they are, anything else as JSON."""
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return root


def zipped(path: Path, files: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return path


def strange_zip() -> bytes:
    """Its list has a name that says that it is UTF-8, and is none."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("ä", b"")
    return file.getvalue().replace("ä".encode(), b"\xff\xff")


def test_messages_come_from_the_days_of_every_conversation(tmp_path: Path, opened: Open) -> None:
    export = lay(
        tmp_path / "export",
        {
            "users.json": [{"id": "U1"}],
            "channels.json": CHANNELS,
            "groups.json": [{"id": "G2", "name": "secret"}],
            "mpims.json": [],
            "dms.json": [{"id": "D3", "members": ["U1"]}],
            "general/2023-11-14.json": [said(1)],
            "general/2023-11-15.json": [said(4)],
            "secret/2023-11-14.json": [said(2)],
            "D3/2023-11-14.json": [said(3)],
            "integration_logs.json": [{"user_id": "U1"}],
            "general/canvas.json": [said(9)],
        },
    )
    source = opened(export)
    assert [(channel_id, message["ts"][-1]) for channel_id, message in source.messages()] == [
        ("C1", "1"),
        ("G2", "2"),
        ("D3", "3"),
        ("C1", "4"),
    ]
    kinds = {channel["id"]: (channel.get("is_im"), channel["is_private"]) for channel in source.channels()}
    assert kinds == {"C1": (None, False), "G2": (None, True), "D3": (True, True)}


def test_a_folder_that_no_list_names_keeps_its_messages(tmp_path: Path, opened: Open) -> None:
    export = lay(tmp_path / "e", {"channels.json": CHANNELS, "renamed/2023-11-14.json": [said(1)]})
    source = opened(export)
    assert [channel_id for channel_id, _ in source.messages()] == ["renamed"]
    assert {channel["id"] for channel in source.channels()} == {"C1", "renamed"}


def test_files_are_found_in_their_old_and_new_place(tmp_path: Path, opened: Open) -> None:
    day = [said(1, file=FILE), said(2, files=[{**FILE, "id": "F2"}, FILE]), said(3, file="not an object")]
    export = lay(tmp_path / "e", {"channels.json": CHANNELS, "general/2023-11-14.json": day})
    assert [entry.id for entry in opened(export).files()] == ["F1", "F2"]


def test_the_later_day_tells_what_became_of_a_file(tmp_path: Path, opened: Open) -> None:
    days = {
        "channels.json": [*CHANNELS, {"id": "C2", "name": "a-first"}],
        "general/2023-11-14.json": [said(1, files=[FILE])],
        "a-first/2023-11-15.json": [said(2, files=[{**FILE, "name": "renamed.txt"}])],
    }
    (entry,) = opened(lay(tmp_path / "e", days)).files()
    assert entry.slack["name"] == "renamed.txt"


def test_a_message_that_stands_twice_is_one_and_the_later_counts(tmp_path: Path, opened: Open) -> None:
    export = lay(
        tmp_path / "e",
        {"channels.json": CHANNELS, "general/2023-11-14.json": [said(1, "old"), said(2), said(1, "new")]},
    )
    assert [message["text"] for _, message in opened(export).messages()] == ["new", ""]


def test_half_an_emoji_and_a_huge_number_do_not_cost_the_message(tmp_path: Path, opened: Open) -> None:
    day = b'[{"ts": "1.000001", "text": "cut \\ud83d", "n": ' + b"9" * 40 + b', "files": [{"id": "F1"}]}]'
    source = opened(lay(tmp_path / "e", {"channels.json": CHANNELS, "general/2023-11-14.json": day}))
    assert [message["text"] for _, message in source.messages()] == ["cut \ufffd"]
    assert [entry.id for entry in source.files()] == ["F1"]


def test_what_has_no_id_or_time_is_counted(tmp_path: Path, opened: Open) -> None:
    export = lay(
        tmp_path / "e",
        {
            "users.json": [{"name": "nobody"}, "text"],
            "channels.json": CHANNELS,
            "general/2023-11-14.json": [{"text": "when?"}, said(1)],
        },
    )
    source = opened(export)
    assert list(source.users()) == []
    assert len(list(source.messages())) == 1
    assert source.unusable.count == 3


@pytest.mark.parametrize(
    "where", ["__uploads/F1/a.txt", "general/attachments/F1-a.txt", "general/attachments/F1-unnamed_file"]
)
@pytest.mark.parametrize("as_zip", [False, True])
def test_attachments_lie_in_either_place(tmp_path: Path, opened: Open, where: str, as_zip: bool) -> None:
    files = {"channels.json": CHANNELS, "general/2023-11-14.json": [said(1, files=[FILE])], where: b"x"}
    source = opened(zipped(tmp_path / "e.zip", files) if as_zip else lay(tmp_path / "e", files))
    assert verdicts(source) == {"F1": verdicts(source)["F1"]}
    assert verdicts(source)["F1"].status is Status.HYDRATED


def test_a_copy_in_another_channel_is_no_stray_but_what_has_no_file_is(tmp_path: Path, opened: Open) -> None:
    files = {
        "channels.json": CHANNELS,
        "general/2023-11-14.json": [said(1, files=[FILE])],
        "general/attachments/F1-a.txt": b"x",
        "other/attachments/F1-a.txt": b"x",
        "other/attachments/F9-a.txt": b"x",
        "other/attachments/no id.txt": b"x",
    }
    source = opened(lay(tmp_path / "e", files))
    list(source.files())
    assert sorted(source.strays.examples) == ["other/attachments/F9-a.txt", "other/attachments/no id.txt"]


def test_names_that_are_no_text_cost_no_message(tmp_path: Path, opened: Open) -> None:
    half, folder = "\ud83d", os.fsdecode(b"caf\xe9")
    days = {f"{folder}/2023-11-14.json": [said(1)], "general/2023-11-14.json": [said(2)]}
    export = lay(
        tmp_path / "e", {"users.json": [{"id": half}], "channels.json": [{"id": half, "name": "general"}], **days}
    )
    source = opened(export)
    assert [user["id"] for user in source.users()] == ["\ufffd"]
    assert [channel for channel, _ in source.messages()] == ["caf\ufffd", "\ufffd"]


def test_a_zip_may_hold_the_export_in_a_folder(tmp_path: Path, opened: Open) -> None:
    files = {
        "__MACOSX/._users.json": b"x",
        "My export/users.json": [{"id": "U1"}],
        "My export/channels.json": CHANNELS,
        "My export/general/2023-11-14.json": [said(1, files=[{**FILE, "name": "users.json"}])],
        "My export/__uploads/F1/users.json": b"x",
    }
    source = opened(zipped(tmp_path / "e.zip", files))
    assert [user["id"] for user in source.users()] == ["U1"]
    assert verdicts(source)["F1"].status is Status.HYDRATED


def test_nothing_in_a_zip_is_written_to_where_its_name_says(tmp_path: Path, opened: Open) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    files = {
        "channels.json": CHANNELS,
        "general/2023-11-14.json": [said(1, files=[{**FILE, "id": "../../../escaped"}])],
        "__uploads/../../../escaped/a.txt": b"x",
        "/absolute.json": b"[]",
        "general/attachments/../../F1-a.txt": b"x",
    }
    path = zipped(inside / "e.zip", files)
    source = opened(path)
    list(source.messages())
    verdicts(source)
    assert list(tmp_path.rglob("*")) == [inside, path]


def test_a_damaged_member_is_an_error_while_it_is_read(tmp_path: Path, opened: Open) -> None:
    content = b"what was saved" * 1000
    files = {
        "channels.json": CHANNELS,
        "general/2023-11-14.json": [said(1, files=[FILE])],
        "__uploads/F1/a.txt": content,
    }
    path = tmp_path / "e.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    path.write_bytes(path.read_bytes().replace(b"what was saved", b"what was SAVED", 1))
    source = opened(path)
    (entry,) = source.files()
    assert entry.located is not None
    with source.open(entry.located) as stream, pytest.raises(OSError, match="damaged"):
        shutil.copyfileobj(stream, io.BytesIO())


def damaged_name(archive: bytes) -> bytes:
    """Before the bytes of the member, not in the list of members: it says that it is UTF-8, and is none."""
    return archive.replace("ä".encode(), b"\xff\xff", 1)


def damaged_lzma(archive: bytes) -> bytes:
    at = archive.index(b"b.txt") + len("b.txt") + 4 + 5  # beyond the name, the version and the properties
    return archive[:at] + b"\xff" * 8 + archive[at + 8 :]


@pytest.mark.parametrize("damaged", [damaged_name, damaged_lzma])
def test_whatever_the_zip_library_raises_for_a_member_is_that_it_cannot_be_read(
    tmp_path: Path, opened: Open, damaged: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "e.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("channels.json", json.dumps(CHANNELS))
        archive.writestr("general/2023-11-14.json", json.dumps([said(1, files=[FILE, FILE | {"id": "F2"}])]))
        archive.writestr("__uploads/F1/ä.txt", b"x")
        archive.writestr("__uploads/F2/b.txt", b"x" * 1000, zipfile.ZIP_LZMA)
    path.write_bytes(damaged(path.read_bytes()))
    source, failed = opened(path), []
    for entry in source.files():
        assert entry.located is not None
        try:
            with source.open(entry.located) as stream:
                stream.read()
        except OSError:
            failed.append(entry.id)
    assert failed == ["F1" if damaged is damaged_name else "F2"]


def test_a_stamp_tells_changed_bytes_from_unchanged_ones(tmp_path: Path, opened: Open) -> None:
    stamps = []
    for content in (b"one", b"one", b"two"):
        files = {
            "channels.json": CHANNELS,
            "general/2023-11-14.json": [said(1, files=[FILE])],
            "__uploads/F1/a.txt": content,
        }
        (entry,) = opened(zipped(tmp_path / "e.zip", files)).files()
        assert entry.located is not None
        stamps.append(entry.located.stamp)
    assert stamps[0] == stamps[1] != stamps[2]


@pytest.mark.parametrize("text", [b"[{", b"[1, 2", b"{}", b"", b'[{"id": "U1"} x]', b"[" * 100_000])
def test_a_damaged_list_is_told_by_its_name(tmp_path: Path, opened: Open, text: bytes) -> None:
    with pytest.raises(SourceError, match=r"users\.json"):
        opened(lay(tmp_path / "e", {"users.json": text}))


def test_a_dump_has_replies_inside_their_parents(tmp_path: Path, opened: Open) -> None:
    conversation = {
        "channel_id": "C1",
        "name": "general",
        "messages": [said(1, slackdump_thread_replies=[said(2, files=[FILE])]), said(3)],
    }
    files = {"C1.json": conversation, "C1/F1-a.txt": b"x", "C1/data.json": {"channel_id": "no dump"}}
    for source in (opened(lay(tmp_path / "d", files)), opened(zipped(tmp_path / "d.zip", files))):
        assert [message["ts"][-1] for _, message in source.messages()] == ["1", "2", "3"]
        assert not any("slackdump_thread_replies" in message for _, message in source.messages())
        assert [channel["name"] for channel in source.channels()] == ["general"]
        assert verdicts(source)["F1"].status is Status.HYDRATED


def test_one_dumped_conversation_is_a_source_too(tmp_path: Path, opened: Open) -> None:
    files = {"C1.json": {"channel_id": "C1", "name": "x", "messages": None}, "C2.json": {"channel_id": "C2"}}
    source = opened(lay(tmp_path, files) / "C1.json")
    assert [channel["id"] for channel in source.channels()] == ["C1"]


def test_of_chunk_files_the_latest_chunk_counts(tmp_path: Path, opened: Open) -> None:
    chunks = [
        {"t": 6, "ts": 1, "w": {"team": "x"}},
        {"t": 5, "ts": 9, "id": "C1", "ci": {"id": "C1", "name": "new"}},
        {"t": 5, "ts": 2, "id": "C1", "ci": {"id": "C1", "name": "old"}},
        {"t": 4, "ts": 2, "ch": [{"id": "C2"}]},
        {"t": 0, "ts": 3, "id": "C1", "m": [said(1, "old"), said(2)]},
        {"t": 1, "ts": 4, "id": "C1:1700000000.000002", "p": said(2), "m": [said(3), said(1, "new")]},
        {"t": 2, "ts": 5, "id": "C1", "p": said(3), "f": [FILE], "ci": {"id": ""}},
        {"t": 3, "ts": 5, "u": [{"id": "U1"}]},
        {"t": 7, "ts": 6, "id": "C1", "cu": ["U1"]},
    ]
    lines = b"\n".join(json.dumps(chunk).encode() for chunk in chunks)
    lay(tmp_path, {"C1.json.gz": gzip.compress(lines), "__uploads/F1/a.txt": b"x", "__uploads/F9/b": b"x"})
    source = opened(tmp_path)
    assert [(channel["id"], channel.get("name")) for channel in source.channels()] == [("C1", "new"), ("C2", None)]
    assert [(c, m["ts"][-1], m["text"]) for c, m in source.messages()] == [
        ("C1", "1", "new"),
        ("C1", "2", ""),
        ("C1", "3", ""),
    ]
    assert verdicts(source)["F1"].status is Status.HYDRATED
    assert source.strays.examples == ["__uploads/F9/b"]


def test_a_chunk_whose_time_is_none_is_told(tmp_path: Path, opened: Open) -> None:
    chunk = {"t": 3, "ts": 2**63, "u": [{"id": "U1"}]}
    path = lay(tmp_path, {"users.json.gz": gzip.compress(json.dumps(chunk).encode())}) / "users.json.gz"
    with pytest.raises(SourceError, match="without type or time"):
        opened(path)


def test_a_chunk_file_that_was_cut_off_is_told(tmp_path: Path, opened: Open) -> None:
    lines = b"\n".join(json.dumps({"t": 3, "ts": n, "u": [{"id": f"U{n}"}]}).encode() for n in range(5000))
    path = lay(tmp_path, {"users.json.gz": gzip.compress(lines)[:-2000]}) / "users.json.gz"
    with pytest.raises(SourceError, match=r"users\.json\.gz cannot be read"):
        opened(path)


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        ({"hello.txt": b"hello"}, "holds no Slack workspace; give a slackdump archive"),
        ({"deeper/users.json": b"[]"}, "Did you mean .*deeper"),
        ({"random.json": [1, 2]}, "holds no Slack workspace"),
        ({}, "holds no Slack workspace"),
    ],
)
def test_what_is_no_workspace_is_refused_with_advice(
    tmp_path: Path, opened: Open, files: dict[str, Any], advice: str
) -> None:
    with pytest.raises(SourceError, match=advice):
        opened(lay(tmp_path, files))


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("notes.txt", b"hello", "is no Slack workspace; give"),
        ("broken.zip", b"PK\x03\x04 and then nothing", "no readable zip"),
        ("strange.zip", strange_zip(), "no readable zip"),
        ("other.json", b'{"a": 1}', "no dumped conversation"),
        ("other.gz", gzip.compress(b"hello", mtime=0), "is no Slack workspace"),
        ("nothing", b"", "is no Slack workspace"),
    ],
)
def test_a_file_that_is_no_workspace_is_refused_with_advice(
    tmp_path: Path, opened: Open, name: str, content: bytes, advice: str
) -> None:
    with pytest.raises(SourceError, match=advice):
        opened(lay(tmp_path, {name: content}) / name)


def test_what_does_not_exist_is_told(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        opened(tmp_path / "nowhere")


def test_a_zipped_archive_is_to_be_unzipped_first(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(SourceError, match="unzip it"):
        opened(zipped(tmp_path / "a.zip", {"a/slackdump.sqlite": b"x"}))


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path, opened: Open) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="no regular file"):
        opened(tmp_path / "pipe")
