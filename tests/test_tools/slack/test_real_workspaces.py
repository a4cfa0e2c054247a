"""Real exports and archives, and generated ones of the same shape, where they are at hand."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.test_tools.slack.archives import verdicts
from tests.test_tools.slack.conftest import Open
from tools.slack import manifest, records
from tools.slack.records import Hydration
from tools.slack.source import Source
from tools.slack.status import Status

EXPECTED = {
    "ok": Status.HYDRATED,
    "ok_html": Status.HYDRATED,
    "ok_html_size_differs": Status.HYDRATED,
    "size_differs": Status.HYDRATED,
    "edited": Status.HYDRATED,
    "zero_size": Status.HYDRATED,
    "truncated": Status.TRUNCATED,
    "empty_on_disk": Status.EMPTY,
    "html_login": Status.WRONG_CONTENT,
    "missing": Status.MISSING,
    "name_too_long": Status.MISSING,
    "no_name": Status.MISSING,
    "tombstone": Status.TOMBSTONE,
    "tombstoned_later": Status.TOMBSTONE,
    "hidden_by_limit": Status.HIDDEN_BY_LIMIT,
    "external": Status.EXTERNAL,
    "file_access": Status.FILE_ACCESS,
}
BYTES = {Status.HYDRATED, Status.TRUNCATED, Status.EMPTY, Status.WRONG_CONTENT}

Generate = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.fixture
def generate(shared: Path, tmp_path: Path) -> Generate:
    """Makes a workspace; gives its path and the truth about it."""
    script = shared / "bin" / "make-slack-workspace"
    if not script.is_file():
        pytest.skip("shared data not present")

    def run(*options: str, name: str = "workspace", size_scale: str = "0.01") -> tuple[Path, dict[str, Any]]:
        out = tmp_path / name
        command = [sys.executable, str(script), str(out), "--size-scale", size_scale, *options]
        subprocess.run(command, check=True, capture_output=True)
        return out, json.loads(Path(f"{out}.truth.json").read_bytes())

    return run


FORMATS = {
    "archive": ("--format", "archive"),
    "mattermost": ("--format", "export-mattermost"),
    "standard": ("--format", "export-standard"),
    "official": ("--format", "export-official"),
    "mattermost zip": ("--format", "export-mattermost", "--zip"),
    "standard zip, names not marked": ("--format", "export-standard", "--zip", "--zip-no-utf8-flag"),
    "official zip, new tokens": ("--format", "export-official", "--zip", "--zip-no-utf8-flag", "--new-token-param"),
}


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("scale", ["0.002", "0.02"])
def test_every_file_of_a_generated_workspace_gets_its_status(
    generate: Generate, opened: Open, options: tuple[str, ...], scale: str
) -> None:
    name = "workspace.zip" if "--zip" in options else "workspace"
    path, truth = generate("--scale", scale, *options, name=name)
    source = opened(path)
    decided = verdicts(source)
    assert {file_id: verdict.status for file_id, verdict in decided.items()} == _expected(truth, options)
    counts = truth["summary"]
    assert sum(1 for _ in source.messages()) == counts["messages"]
    assert sum(1 for _ in source.channels()) == counts["channels"]
    assert sum(1 for _ in source.users()) == counts["users"]
    assert source.strays.count == len(counts["stray_files"])
    assert source.unusable.count == 0
    _check_records(source, decided)


def _expected(truth: dict[str, Any], options: tuple[str, ...]) -> dict[str, Status]:
    expected = {file["id"]: EXPECTED[file["cls"]] for file in truth["files"]}
    if "export-official" in options:
        return {i: Status.MISSING if status in BYTES else status for i, status in expected.items()}
    return expected


@pytest.mark.parametrize("format_", ["archive", "export-mattermost"])
def test_every_located_file_is_the_one_that_was_saved(generate: Generate, opened: Open, format_: str) -> None:
    path, truth = generate("--scale", "0.004", "--format", format_)
    saved = {file["id"]: (file["path"], file["disk_size"]) for file in truth["files"] if "path" in file}
    located = {e.id: (e.located.where, e.located.size) for e in opened(path).files() if e.located}
    assert located == saved


def test_a_workspace_made_of_a_real_export_gives_every_file_its_status(
    generate: Generate, opened: Open, shared: Path
) -> None:
    export = shared / "data" / "slack" / "houstondatavis-export"
    path, truth = generate("--from-export", str(export), size_scale="0.02")
    assert {i: v.status for i, v in verdicts(opened(path)).items()} == {
        file["id"]: EXPECTED[file["cls"]] for file in truth["files"]
    }


def test_a_real_export_is_read_whole(shared: Path, opened: Open) -> None:
    source = opened(shared / "data" / "slack" / "houstondatavis-export")
    assert sum(1 for _ in source.messages()) == 1_382
    assert sum(1 for _ in source.channels()) == 16
    assert sum(1 for _ in source.users()) == 71
    decided = verdicts(source)
    assert Counter(v.status for v in decided.values()) == {Status.MISSING: 54, Status.EXTERNAL: 7}
    mentions = [json.loads(records.message(c, m))["data"]["file_count"] or 0 for c, m in source.messages()]
    assert sum(mentions) == 67
    _check_records(source, decided)


@pytest.mark.parametrize(
    ("name", "messages", "files"),
    [
        ("slackdump-fixtures/chunks.jsonl.gz", 909, 73),
        ("slackdump-fixtures/source_archive", 16, 2),
        ("slackdump-fixtures/source_archive_no_wsp", 16, 2),
        ("slackdump-fixtures/source_database", 0, 0),
        ("slackdump-fixtures/source_database.db", 0, 0),
        ("slackdump-fixtures/source_dump_dir", 16, 2),
        ("slackdump-fixtures/source_dump.zip", 16, 2),
        ("slackdump-fixtures/CHY5HUESG.json", 16, 2),
        ("slackdump-fixtures/source_export_dir", 16, 2),
        ("slackdump-fixtures/source_export.zip", 16, 2),
        ("slackdump-fixtures/export", 0, 0),
        ("langchain-community/slack_export.zip", 5, 0),
    ],
)
def test_what_others_test_with_is_read(shared: Path, opened: Open, name: str, messages: int, files: int) -> None:
    source = opened(shared / "data" / "slack" / name)
    decided = verdicts(source)
    assert (sum(1 for _ in source.messages()), len(decided)) == (messages, files)
    assert source.unusable.count == 0
    _check_records(source, decided)


def test_a_message_with_a_canvas_and_tokens_loses_only_the_tokens(shared: Path, tmp_path: Path, opened: Open) -> None:
    day = shared / "data" / "slack" / "zulip-slack-fixture" / "2026-03-04.json"
    (tmp_path / "general").mkdir()
    (tmp_path / "general" / day.name).write_bytes(day.read_bytes())
    (tmp_path / "channels.json").write_text('[{"id": "C1", "name": "general"}]')
    source = opened(tmp_path)
    lines = _check_records(source, verdicts(source))
    assert len([line for stream, line in lines if stream == "files"]) == 2
    assert b'"url_private":"https://files.slack.com/files-pri/T06NRA6HM3P-F07A32DC2GG/canvas"' in b"".join(
        line for _, line in lines
    )


def test_stubs_of_files_are_told_apart(shared: Path, tmp_path: Path, opened: Open) -> None:
    stubs = json.loads((shared / "data" / "slack" / "file-object-stubs.json").read_bytes())
    (tmp_path / "general").mkdir()
    (tmp_path / "channels.json").write_text('[{"id": "C1", "name": "general"}]')
    (tmp_path / "general" / "2026-03-04.json").write_text(json.dumps([{"ts": "1.0", "files": stubs}]))
    decided = verdicts(opened(tmp_path))
    assert [decided[stub["id"]].status for stub in stubs] == [
        Status.FILE_ACCESS,
        Status.TOMBSTONE,
        Status.FILE_ACCESS,
        Status.FILE_ACCESS,
        Status.EXTERNAL,
    ]


def test_records_have_the_fields_of_published_ones(shared: Path) -> None:
    published = shared / "data" / "slack" / "pdpp-slack-fixtures" / "scrubbed" / "pilot-real-shape" / "records"
    fields = {stream["name"]: list(stream["schema"]["properties"]) for stream in manifest.load()["streams"]}
    for stream, ours in fields.items():
        for line in (published / f"{stream}.jsonl").read_text().splitlines():
            theirs = list(json.loads(line))
            assert ours[: len(theirs)] == theirs


def _check_records(source: Source, decided: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Every line of every stream: valid, keyed once, without a credential, and the same a second time."""
    schemas = {s["name"]: s["schema"] for s in manifest.load()["streams"]}
    validators = {
        name: jsonschema_rs.Draft202012Validator(schema, validate_formats=True) for name, schema in schemas.items()
    }
    lines = _lines(source, decided)
    keys = Counter((stream, json.loads(line)["key"]) for stream, line in lines)
    assert set(keys.values()) <= {1}
    for stream, line in lines:
        validators[stream].validate(json.loads(line)["data"])
        assert b"xoxe-" not in line
    assert _lines(source, decided) == lines
    return lines


def _lines(source: Source, decided: dict[str, Any]) -> list[tuple[str, bytes]]:
    return [
        *(("channels", records.channel(channel)) for channel in source.channels()),
        *(("users", records.user(user)) for user in source.users()),
        *(("messages", records.message(channel_id, message)) for channel_id, message in source.messages()),
        *(("files", records.file(entry, Hydration(decided[entry.id]))) for entry in source.files()),
    ]
