"""Slack exports, as directory or zip: lists of channels and users, and one file a channel and day.

Slack's own hold no attachments, only addresses; slackdump makes the same form with the bytes in it.
"""

import re
from collections.abc import Iterator
from typing import Any

from tools.slack import jsonstream
from tools.slack.attachments import Attachments, in_export
from tools.slack.scratch import Pour
from tools.slack.source import SlackObject, SourceError
from tools.slack.tree import Tree
from tools.slack.workspace import Workspace

_CHANNELS = {
    "channels.json": {"is_channel": True, "is_private": False},
    "groups.json": {"is_channel": True, "is_private": True},
    "mpims.json": {"is_mpim": True, "is_private": True},
    "dms.json": {"is_im": True, "is_private": True},
}
"""The lists of conversations, and what standing in each says of one where its object does not."""

LISTS = frozenset({*_CHANNELS, "users.json"})
"""Files by which an export is recognised."""

_DAY = re.compile(r"([^/]+)/(\d{4}-\d\d-\d\d)\.json")


def open_export(tree: Tree) -> Workspace:
    """The export in `tree`, which is closed with it. Raises `SourceError`."""
    members = list(tree.members())
    names = {member.where for member in members}
    pour = Pour()
    for user in _items(tree, "users.json", names):
        pour.user(0, user)
    folders = _pour_channels(pour, tree, names)
    days = sorted((found[2], found[1]) for name in names if (found := _DAY.fullmatch(name)))
    for chunk, (day, folder) in enumerate(days, start=1):
        if folder not in folders:
            # Its channel was renamed or is not listed; the messages are kept under the only name there is.
            folders[folder] = folder
            pour.channel(0, {"id": folder, "name": folder})
        for message in _items(tree, f"{folder}/{day}.json", names):
            pour.message(chunk, folders[folder], message)
    return Workspace(pour.done(), tree, Attachments.of(members, in_export), unusable=pour.unusable)


def _pour_channels(pour: Pour, tree: Tree, names: set[str]) -> dict[str, str]:
    """Pours the channels; gives the channel id for each folder: folders are called by name, or by id without one."""
    folders: dict[str, str] = {}
    for name, implied in _CHANNELS.items():
        for channel in _items(tree, name, names):
            pour.channel(0, {**implied, **channel} if isinstance(channel, dict) else channel)
            folders.update(_folders(channel, folders))
    return folders


def _folders(channel: Any, taken: dict[str, str]) -> dict[str, str]:
    slack: SlackObject = channel if isinstance(channel, dict) else {}
    channel_id = slack.get("id")
    if not isinstance(channel_id, str):
        return {}
    return {
        folder: channel_id
        for folder in (slack.get("name"), channel_id)
        if isinstance(folder, str) and folder and folder not in taken
    }


def _items(tree: Tree, where: str, names: set[str]) -> Iterator[Any]:
    """The objects of one list in the export; none where it is absent."""
    if where not in names:
        return
    try:
        with tree.open(where) as stream:
            yield from jsonstream.items(stream)
    except (OSError, ValueError) as error:
        raise SourceError(f"{where} cannot be read ({error}); make or download the export again") from error
