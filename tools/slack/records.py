"""Slack objects as PDPP records: one NDJSON line each, the same bytes for the same input.

A field that Slack leaves out, or gives in another type than the manifest's, is null: an odd value must not cost the
record. `emitted_at` is the object's own time, so that a second run says nothing new. No credential leaves this module.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from blobstore.client.answers import Stored
from tools.slack import redact
from tools.slack.objects import file_objects, microseconds
from tools.slack.source import FileEntry, SlackObject
from tools.slack.status import NOT_STORABLE, Verdict

STREAMS = ("channels", "users", "messages", "files")
"""In the order in which they are best ingested."""

_FAR = 2**63
_EPOCH = "1970-01-01T00:00:00Z"
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Hydration:
    """What became of one file: its verdict, and the blob if bytes were stored."""

    verdict: Verdict
    blob: Stored | None = None


def channel(slack: SlackObject) -> bytes:
    """A line of stream `channels`, without its newline."""
    topic, purpose, properties = (_object(slack.get(k)) for k in ("topic", "purpose", "properties"))
    canvas_id = _id(_object(properties.get("canvas")).get("file_id"))
    created = _integer(slack.get("created"))
    data: dict[str, Any] = {
        "id": slack["id"],
        "name": _text(slack.get("name")),
        "name_normalized": _text(slack.get("name_normalized")),
        **{name: _flag(slack.get(name)) for name in _CHANNEL_FLAGS},
        "creator": _id(slack.get("creator")),
        "created": created,
        "created_at": _instant(created),
        "topic": _text(topic.get("value")),
        "topic_creator": _id(topic.get("creator")),
        "topic_last_set": _integer(topic.get("last_set")),
        "purpose": _text(purpose.get("value")),
        "purpose_creator": _id(purpose.get("creator")),
        "purpose_last_set": _integer(purpose.get("last_set")),
        "user": _id(slack.get("user")),
        "shared_team_ids": _texts(slack.get("shared_team_ids")),
        "context_team_id": _id(slack.get("context_team_id")),
        "previous_names": _texts(slack.get("previous_names")),
        "has_canvas": canvas_id is not None,
        "canvas_file_id": canvas_id,
        "posting_restricted": bool(properties.get("posting_restricted_to")),
        "threads_restricted": bool(properties.get("threads_restricted_to")),
    }
    return _line(slack["id"], data, data["created_at"])


_CHANNEL_FLAGS = (
    "is_channel",
    "is_group",
    "is_im",
    "is_mpim",
    "is_private",
    "is_shared",
    "is_ext_shared",
    "is_org_shared",
    "is_archived",
    "is_general",
    "is_member",
    "is_read_only",
)


def user(slack: SlackObject) -> bytes:
    """A line of stream `users`, without its newline."""
    profile = _object(slack.get("profile"))
    updated = _integer(slack.get("updated"))
    data: dict[str, Any] = {
        "id": slack["id"],
        "team_id": _id(slack.get("team_id") or profile.get("team")),
        "name": _text(slack.get("name")),
        "real_name": _text(slack.get("real_name") or profile.get("real_name")),
        **{name: _text(profile.get(name)) for name in _PROFILE_TEXTS},
        "status_expiration": _integer(profile.get("status_expiration")),
        "tz": _text(slack.get("tz")),
        "tz_label": _text(slack.get("tz_label")),
        "tz_offset": _integer(slack.get("tz_offset")),
        "color": _text(slack.get("color")),
        **{name: _flag(slack.get(name)) for name in _USER_FLAGS},
        "two_factor_type": _text(slack.get("two_factor_type")),
        "image_192_url": _text(profile.get("image_192")),
        "enterprise_id": _id(_object(slack.get("enterprise_user")).get("enterprise_id")),
        "updated": updated,
    }
    return _line(slack["id"], data, _instant(updated))


_PROFILE_TEXTS = (
    "real_name_normalized",
    "display_name",
    "display_name_normalized",
    "first_name",
    "last_name",
    "email",
    "phone",
    "title",
    "status_text",
    "status_emoji",
)
_USER_FLAGS = (
    "is_bot",
    "is_admin",
    "is_owner",
    "is_primary_owner",
    "is_restricted",
    "is_ultra_restricted",
    "is_stranger",
    "is_invited_user",
    "is_app_user",
    "deleted",
    "has_2fa",
)


def message(channel_id: str, slack: SlackObject) -> bytes:
    """A line of stream `messages`, without its newline; key `<channel id>:<ts>`."""
    ts, edited = slack["ts"], _object(slack.get("edited"))
    files = _unique(file.get("id") for file in file_objects(slack))
    attachments = _list(slack.get("attachments"))
    pinned_to = _texts(slack.get("pinned_to"))
    sent_at = _ts_instant(ts)
    data = {
        "id": f"{channel_id}:{ts}",
        "channel_id": channel_id,
        "user_id": _id(slack.get("user")),
        "bot_id": _id(slack.get("bot_id")),
        "team_id": _id(slack.get("team")),
        "client_msg_id": _id(slack.get("client_msg_id")),
        "ts": ts,
        "sent_at": sent_at,
        "thread_ts": _id(slack.get("thread_ts")),
        "parent_user_id": _id(slack.get("parent_user_id")),
        "is_thread_parent": slack.get("thread_ts") == ts,
        "reply_count": _integer(slack.get("reply_count")),
        "reply_user_ids": _texts(slack.get("reply_users")),
        "latest_reply": _id(slack.get("latest_reply")),
        "subtype": _id(slack.get("subtype")),
        "is_tombstone": slack.get("subtype") == "tombstone",
        "text": None,  # below: what people wrote follows other rules than Slack's own fields
        "edited_ts": _id(edited.get("ts")),
        "edited_by": _id(edited.get("user")),
        "has_files": bool(files),
        "file_count": len(files) or None,
        "has_attachments": bool(attachments),
        "attachment_count": len(attachments) or None,
        "has_blocks": bool(_list(slack.get("blocks"))),
        "reaction_count": sum(_reactions(reaction) for reaction in _list(slack.get("reactions"))),
        "is_pinned": bool(pinned_to),
        "pinned_to": pinned_to,
        "metadata_event_type": _id(_object(slack.get("metadata")).get("event_type")),
        "file_ids": files or None,
    }
    emitted_at = _ts_instant(data["edited_ts"]) or sent_at
    return _line(data["id"], data, emitted_at, text=_text(slack.get("text")))


def _reactions(reaction: Any) -> int:
    counted = _integer(_object(reaction).get("count"))
    return counted if counted is not None else len(_list(_object(reaction).get("users")))


def file(entry: FileEntry, hydration: Hydration) -> bytes:
    """A line of stream `files`, without its newline, with `blob_ref` where bytes were stored.

    What Slack deleted or hides is told as it tells it now, and only where its bytes were stored as it was before.
    """
    blob = hydration.blob
    slack = entry.slack if hydration.verdict.status in NOT_STORABLE else entry.described
    created = _integer(slack.get("created")) or _integer(slack.get("timestamp")) or None
    data: dict[str, Any] = {
        "id": entry.id,
        **{name: _text(slack.get(name)) for name in ("name", "title", "mimetype", "filetype", "pretty_type")},
        "size": _integer(slack.get("size")),
        "created": created,
        "created_at": _instant(created),
        "uploader_id": _id(slack.get("user")),
        **{name: _flag(slack.get(name)) for name in ("is_public", "is_external", "is_starred")},
        **{name: _id(slack.get(name)) for name in ("external_type", "mode", "permalink", "url_private")},
        **{name: _integer(slack.get(name)) for name in ("original_w", "original_h")},
        "blob_ref": blob and _blob_ref(blob),
        "content_sha256": blob and blob.sha256,
        "hydration_status": str(hydration.verdict.status),
        "hydration_error": hydration.verdict.note,
    }
    return _line(entry.id, data, _instant(_integer(slack.get("updated"))) or data["created_at"])


def _blob_ref(blob: Stored) -> dict[str, str | int]:
    return {
        "blob_id": blob.blob_id,
        "mime_type": blob.mime_type,
        "size_bytes": blob.size_bytes,
        "sha256": blob.sha256,
    }


def _line(key: str, data: dict[str, Any], emitted_at: str | None, *, text: str | None = None) -> bytes:
    kept = {name: _redacted(value) for name, value in data.items()}
    if text is not None:
        kept["text"] = redact.written(text)
    return _encoder.encode({"key": key, "data": kept, "emitted_at": emitted_at or _EPOCH})


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact.field(value)
    return [redact.field(item) for item in value] if isinstance(value, list) else value


def _ts_instant(ts: Any) -> str | None:
    """A message's time to the microsecond, which is what orders messages."""
    time = microseconds(ts)
    whole = _instant(time // 1_000_000) if time is not None else None
    return f"{whole[:-1]}.{time % 1_000_000:06d}Z" if whole and time else None


def _instant(seconds: int | None) -> str | None:
    """RFC 3339 in whole seconds; null for 0, which Slack puts where it does not know."""
    if not seconds:
        return None
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _id(value: Any) -> str | None:
    """Text where empty means none."""
    return value if isinstance(value, str) and value else None


def _integer(value: Any) -> int | None:
    """Old exports give numbers as strings. Null for what does not fit into 64 bits."""
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and -_FAR < value < _FAR else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _texts(value: Any) -> list[str] | None:
    """The strings of a list; null where there are none."""
    return [item for item in _list(value) if isinstance(item, str)] or None


def _unique(ids: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(file_id for file_id in ids if isinstance(file_id, str) and file_id))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
