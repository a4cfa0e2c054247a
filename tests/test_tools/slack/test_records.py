"""Slack objects as records: the manifest's fields, the same bytes each time, and no credential."""

import json
from typing import Any

import jsonschema_rs
import pytest

from blobstore.client.answers import Stored
from tools.slack import manifest, records
from tools.slack.records import Hydration
from tools.slack.source import FileEntry, SlackObject
from tools.slack.status import Status, Verdict

SCHEMAS = {stream["name"]: stream["schema"] for stream in manifest.load()["streams"]}
FILE = {
    "id": "F1",
    "name": "a.png",
    "title": "A",
    "mimetype": "image/png",
    "filetype": "png",
    "size": 7,
    "created": 1_700_000_000,
    "user": "U1",
    "mode": "hosted",
    "url_private": "https://files.slack.com/files-pri/T1-F1/a.png?t=xoxe-1-2",
    "external_type": "",
    "is_public": True,
}
MESSAGE = {
    "type": "message",
    "ts": "1714032849.000001",
    "user": "U1",
    "text": "hello",
    "thread_ts": "1714032849.000001",
    "reply_count": 2,
    "reply_users": ["U2", "U3"],
    "latest_reply": "1714032900.000002",
    "edited": {"ts": "1714032999.500000", "user": "U1"},
    "files": [{"id": "F1"}, {"id": "F2"}, {"id": "F1"}],
    "attachments": [{"fallback": "x"}],
    "blocks": [{"type": "rich_text"}],
    "reactions": [{"name": "tada", "count": 2, "users": ["U1"]}, {"name": "eyes", "users": ["U3"]}],
    "pinned_to": ["C1"],
    "metadata": {"event_type": "posted"},
}


def data(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)["data"]
    return found


def file_data(slack: SlackObject, verdict: Verdict, *, blob: Stored | None = None, **more: Any) -> dict[str, Any]:
    return data(records.file(FileEntry("F1", slack, None, **more), Hydration(verdict, blob)))


def test_a_message_is_keyed_by_channel_and_time() -> None:
    record = json.loads(records.message("C1", MESSAGE))
    assert record["key"] == record["data"]["id"] == "C1:1714032849.000001"
    assert record["data"]["sent_at"] == "2024-04-25T08:14:09.000001Z"
    assert record["emitted_at"] == "2024-04-25T08:16:39.500000Z"


def test_a_message_names_its_files_once_each_in_their_order() -> None:
    record = data(records.message("C1", MESSAGE))
    assert record["file_ids"] == ["F1", "F2"]
    assert (record["has_files"], record["file_count"]) == (True, 2)
    assert data(records.message("C1", {"ts": "1.0", "file": {"id": "F7"}}))["file_ids"] == ["F7"]
    assert data(records.message("C1", {"ts": "1.0"}))["file_ids"] is None


def test_a_message_tells_of_its_thread_edits_pins_and_reactions() -> None:
    record = data(records.message("C1", MESSAGE))
    assert record["is_thread_parent"] is True
    assert record["reply_user_ids"] == ["U2", "U3"]
    assert record["edited_by"] == "U1"
    assert record["is_pinned"] is True
    assert record["reaction_count"] == 3
    assert record["metadata_event_type"] == "posted"
    assert record["attachment_count"] == 1
    assert record["is_tombstone"] is False
    assert data(records.message("C1", {**MESSAGE, "subtype": "tombstone"}))["is_tombstone"] is True


def test_a_channel_tells_of_its_topic_purpose_and_canvas() -> None:
    record = data(
        records.channel(
            {
                "id": "C1",
                "created": "1433558319",
                "topic": {"value": "t", "creator": "", "last_set": "0"},
                "purpose": {"value": "p", "creator": "U1", "last_set": 5},
                "properties": {"canvas": {"file_id": "F9"}, "posting_restricted_to": {"type": ["admin"]}},
                "previous_names": [],
            }
        )
    )
    assert (record["created"], record["created_at"]) == (1433558319, "2015-06-06T02:38:39Z")
    assert (record["topic"], record["topic_creator"], record["topic_last_set"]) == ("t", None, 0)
    assert (record["has_canvas"], record["canvas_file_id"]) == (True, "F9")
    assert (record["posting_restricted"], record["threads_restricted"]) == (True, False)
    assert record["previous_names"] is None


def test_a_user_tells_what_the_profile_shows() -> None:
    profile = {"display_name": "ada", "email": "ada@example.com", "image_192": "https://x.slack-edge.com/a?t=xoxe-1"}
    user = {"id": "U1", "name": "ada", "deleted": False, "updated": 1_700_000_000, "profile": profile}
    record = json.loads(records.user({**user, "enterprise_user": {"enterprise_id": "E1"}}))
    assert record["emitted_at"] == "2023-11-14T22:13:20Z"
    assert record["data"]["display_name"] == "ada"
    assert record["data"]["image_192_url"] == "https://x.slack-edge.com/a"
    assert record["data"]["enterprise_id"] == "E1"


def test_a_hydrated_file_refers_to_its_blob() -> None:
    blob = Stored("blob_b3_" + "0" * 64, "a" * 64, 7, "image/png")
    record = file_data(FILE, Verdict(Status.HYDRATED), blob=blob)
    assert record["blob_ref"] == {
        "blob_id": "blob_b3_" + "0" * 64,
        "mime_type": "image/png",
        "size_bytes": 7,
        "sha256": "a" * 64,
    }
    assert record["content_sha256"] == "a" * 64
    assert record["hydration_status"] == "hydrated"
    assert record["hydration_error"] is None
    assert record["url_private"] == "https://files.slack.com/files-pri/T1-F1/a.png"


def test_a_file_without_bytes_says_why() -> None:
    record = file_data(FILE, Verdict(Status.TRUNCATED, "3 bytes, declared 7"))
    assert (record["blob_ref"], record["content_sha256"]) == (None, None)
    assert record["hydration_status"] == "truncated"
    assert record["hydration_error"] == "3 bytes, declared 7"


def test_a_deleted_file_keeps_no_description_unless_it_was_kept() -> None:
    stub: SlackObject = {"id": "F1", "mode": "tombstone"}
    gone = file_data(stub, Verdict(Status.TOMBSTONE), deleted=True, earlier=FILE)
    assert (gone["mode"], gone["name"], gone["uploader_id"], gone["url_private"]) == ("tombstone", None, None, None)
    kept = file_data(stub, Verdict(Status.HYDRATED), deleted=True, earlier=FILE)
    assert kept["name"] == "a.png"


def everything(odd: Any) -> list[tuple[str, bytes]]:
    """A record of each stream in which every field has the value `odd`."""
    fields = {"topic", "purpose", "properties", "profile", "edited", "metadata", "enterprise_user", "thread_ts"}
    fields |= {"created", "updated", "timestamp", "files", "file", "reactions", "attachments", "blocks", "reply_users"}
    names = fields | {name for schema in SCHEMAS.values() for name in schema["properties"]}
    slack = {**dict.fromkeys(names, odd), "id": "X1", "ts": "1.0"}
    return [
        ("channels", records.channel(slack)),
        ("users", records.user(slack)),
        ("messages", records.message("C1", slack)),
        ("files", records.file(FileEntry("X1", slack, None), Hydration(Verdict(Status.MISSING, "x")))),
    ]


@pytest.mark.parametrize(
    "odd",
    [None, "", "text", "12", 7, -1, 2**70, 1e300, 1.0, True, [], [1, None, "a"], {}, {"value": 1}, [[]], "9" * 40],
)
def test_a_value_of_another_type_never_costs_a_record(odd: Any) -> None:
    for stream, line in everything(odd):
        jsonschema_rs.Draft202012Validator(SCHEMAS[stream], validate_formats=True).validate(data(line))
        assert list(data(line)) == list(SCHEMAS[stream]["properties"])


def test_no_credential_leaves_in_any_field_of_any_stream() -> None:
    for odd in (
        "https://files.slack.com/a?t=xoxe-1-2",
        "http://elsewhere.example/a?token=xoxp-3",
        "xoxb-1-abc",
        ["xoxb-1-abc"],
        {"value": "xoxb-1", "creator": "xoxp-1-2", "email": "https://a.slack.com/?t=secret", "file_id": "xoxe-1-2"},
    ):
        for _, line in everything(odd):
            assert not any(token in line for token in (b"xoxe", b"xoxp", b"xoxb", b"?t=", b"token=", b"secret"))


def test_a_link_in_a_message_keeps_its_parameters() -> None:
    text = "<https://example.com/video?t=90>"
    assert data(records.message("C1", {"ts": "1.0", "text": text}))["text"] == text


def test_the_same_object_gives_the_same_line() -> None:
    assert records.message("C1", MESSAGE) == records.message("C1", json.loads(json.dumps(MESSAGE)))
    assert b"\n" not in records.message("C1", {**MESSAGE, "text": "two\nlines\u2028three\x00"})
