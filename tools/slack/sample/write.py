"""Writes the made-up workspace, and the truth about it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from tools.slack.sample import archive, export
from tools.slack.sample.bulk import MESSAGES_PER_FILE, bulk
from tools.slack.sample.cast import EVERY_CHANNEL, talk, timestamp
from tools.slack.sample.content import Content
from tools.slack.sample.files import Planned, planned
from tools.slack.source import SlackObject
from tools.slack.status import Status

Form = Literal["archive", "export-mattermost", "export-standard", "export-official"]
FORMS: tuple[Form, ...] = get_args(Form)

_MESSAGES = 240
_LONGEST_NAME = 255
_IN_BYTES = (Status.HYDRATED, Status.TRUNCATED, Status.EMPTY, Status.WRONG_CONTENT)


@dataclass(frozen=True, slots=True)
class Expected:
    """What must become of one file; `sha256` and `size` are those of the bytes to be stored."""

    id: str
    name: str
    status: Status
    sha256: str | None
    size: int | None


def write(
    out: Path,
    *,
    form: Form = "archive",
    video_bytes: int = 3_000_000,
    utf8_flag: bool = True,
    url_base: str = "https://files.slack.com",
    remote: Path | None = None,
    scale: float = 0,
    size_scale: float = 1,
) -> list[Expected]:
    """Write the workspace to `out`, which must not exist: a zip where `out` ends in `.zip`, else a directory.

    Without `utf8_flag` names in a zip are UTF-8 but not marked as such, as in Slack's own. `remote` becomes a directory
    with the bytes that `url_base` would serve, named by file id. Only exports are zipped.

    `scale` adds ordinary files and messages in the numbers and sizes of a real workspace (see `sample.bulk`).
    """
    files = planned(video_bytes, bulk(scale, size_scale) if scale else ())
    messages = _shared(files, _MESSAGES if not scale else MESSAGES_PER_FILE * len(files))
    if form == "archive":
        archive.write(out, files, messages)
    else:
        token = "xoxe-000-111-222-sample" if form == "export-official" else ""
        attachments = {} if form == "export-official" else dict(_saved(files, messages, form))
        last = _forms(messages, url_base, token)
        with export.opened(out, utf8_flag=utf8_flag) as sink:
            export.write(sink, last, attachments)
    if remote is not None:
        _write_remote(remote, files)
    return [_expected(file, form) for file in files]


def write_truth(path: Path, expected: list[Expected]) -> None:
    """`expected` as JSON, for readers that are no Python."""
    path.write_text(json.dumps([asdict(each) for each in expected], ensure_ascii=False, indent=1) + "\n")


def _shared(files: list[Planned], count: int) -> list[archive.Shared]:
    """Every message in order of time, with the files it shares; some files are shared twice."""
    messages = [archive.Shared(channel_id, message, ()) for channel_id, message in talk(count)]
    number, left = count, list(files)
    while left:
        # One file a message mostly, three now and then.
        share = 3 if number % 5 == 0 else 1
        some, left = left[:share], left[share:]
        channel = EVERY_CHANNEL[number % len(EVERY_CHANNEL)]
        messages.append(_upload(number, channel["id"], some))
        number += 1
    for again in files[::6]:
        messages.append(_upload(number, EVERY_CHANNEL[number % len(EVERY_CHANNEL)]["id"], [again]))
        number += 1
    return messages


def _upload(number: int, channel_id: str, files: list[Planned]) -> archive.Shared:
    message = {"type": "message", "ts": timestamp(number), "user": "U001SAMPLE", "text": "", "upload": True}
    return archive.Shared(channel_id, message, tuple(files))


def _forms(messages: list[archive.Shared], url_base: str, token: str) -> Iterator[tuple[str, SlackObject]]:
    for shared in messages:
        files = [file.form(url_base=url_base, token=token) for file in shared.files]
        yield shared.channel_id, {**shared.message, **({"files": files} if files else {})}


def _saved(files: list[Planned], messages: list[archive.Shared], form: Form) -> Iterator[tuple[str, Content]]:
    """The attachments of an export by their paths; what Slack deleted or hid before it was made is not there."""
    first_channel = {file.id: shared.channel_id for shared in reversed(messages) for file in shared.files}
    names = {channel["id"]: channel.get("name") or channel["id"] for channel in EVERY_CHANNEL}
    for file in files:
        if file.held is None or file.mode in ("tombstone", "hidden_by_limit"):
            continue
        saved_as = file.saved_as or file.name
        if form == "export-mattermost":
            yield f"__uploads/{file.id}/{saved_as}", file.held
        elif _fits(file):
            yield f"{names[first_channel[file.id]]}/attachments/{file.id}-{saved_as}", file.held


def _fits(file: Planned) -> bool:
    return len(f"{file.id}-{file.saved_as or file.name}".encode()) <= _LONGEST_NAME


def _expected(file: Planned, form: Form) -> Expected:
    status = _status(file, form)
    stored = file.held if status is Status.HYDRATED else None
    if stored is None:
        return Expected(file.id, file.name, status, None, None)
    return Expected(file.id, file.name, status, stored.sha256, stored.size)


def _status(file: Planned, form: Form) -> Status:
    """As planned, which is for an archive; exports hold one state only, and not every name or any bytes."""
    if form != "archive" and file.mode == "hidden_by_limit":
        return Status.HIDDEN_BY_LIMIT
    bare = form == "export-official" or (form == "export-standard" and not _fits(file))
    return Status.MISSING if bare and file.expected in _IN_BYTES else file.expected


def _write_remote(remote: Path, files: list[Planned]) -> None:
    remote.mkdir(parents=True)
    for file in files:
        if file.truth is not None:
            with (remote / file.id).open("wb") as stream:
                stream.writelines(file.truth.pieces())
