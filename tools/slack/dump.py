"""slackdump dumps, as directory or zip: one `<channel>.json` a conversation, replies inside their parents."""

from collections.abc import Iterator

from tools.slack import jsonstream
from tools.slack.attachments import Attachments, in_dump
from tools.slack.scratch import Pour
from tools.slack.source import Located, SlackObject, SourceError
from tools.slack.tree import Tree
from tools.slack.workspace import Workspace

_MESSAGES = "messages"
_REPLIES = "slackdump_thread_replies"


def is_dump(tree: Tree, members: list[Located]) -> bool:
    """A file at the root of `tree` starts like a dumped conversation."""
    return any(_channel_id(tree, located.where) is not None for located in _conversations(members))


def open_dump(tree: Tree, members: list[Located]) -> Workspace:
    """The dump in `tree`, which is closed with it; `members` are its files. Raises `SourceError`."""
    pour = Pour()
    for chunk, located in enumerate(_conversations(members)):
        channel_id = _channel_id(tree, located.where)
        if channel_id is not None:
            _pour(pour, chunk, channel_id, tree, located.where)
    return Workspace(pour.done(), tree, Attachments.of(members, in_dump), unusable=pour.unusable)


def _conversations(members: list[Located]) -> Iterator[Located]:
    """Files at the root: deeper ones are attachments, some of which end in `.json` too."""
    return (m for m in members if "/" not in m.where and m.where.endswith(".json"))


def _channel_id(tree: Tree, where: str) -> str | None:
    try:
        with tree.open(where) as stream:
            before, _ = jsonstream.members_and_items(stream, _MESSAGES)
    except (OSError, ValueError):
        return None
    channel_id = before.get("channel_id")
    return channel_id if isinstance(channel_id, str) and channel_id else None


def _pour(pour: Pour, chunk: int, channel_id: str, tree: Tree, where: str) -> None:
    try:
        with tree.open(where) as stream:
            before, messages = jsonstream.members_and_items(stream, _MESSAGES)
            pour.channel(chunk, {"id": channel_id, "name": before.get("name") or None})
            for message in messages:
                for flat in _flat(message):
                    pour.message(chunk, channel_id, flat)
    except (OSError, ValueError) as error:
        raise SourceError(f"{where} cannot be read ({error}); make the dump again") from error


def _flat(message: SlackObject) -> Iterator[SlackObject]:
    """The message, then its replies; Slack does not nest deeper."""
    replies = message.pop(_REPLIES, None) if isinstance(message, dict) else None
    yield message
    yield from replies if isinstance(replies, list) else ()
