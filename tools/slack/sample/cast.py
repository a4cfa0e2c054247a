"""Who and what is in the made-up workspace, apart from its files."""

from tools.slack.source import SlackObject

TEAM = "T000SAMPLE"
START = 1_700_000_000
"""Seconds; everything happens after it."""

USERS: tuple[SlackObject, ...] = tuple(
    {
        "id": f"U{number:03d}SAMPLE",
        "team_id": TEAM,
        "name": name.lower(),
        "real_name": f"{name} Example",
        "deleted": name == "Dora",
        "is_bot": name == "Robo",
        "is_admin": name == "Ada",
        "tz": "Europe/Lisbon",
        "tz_offset": 0,
        "updated": START + number,
        "profile": {
            "display_name": name,
            "email": f"{name.lower()}@example.com",
            "title": "Sampler",
            "image_192": f"https://avatars.slack-edge.com/{name.lower()}_192.png?t=xoxe-1-sample",
        },
    }
    for number, name in enumerate(("Ada", "Bo", "Chiara", "Dora", "Robo"), start=1)
)


def _channel(number: int, prefix: str, name: str, **more: object) -> SlackObject:
    members = [user["id"] for user in USERS[: 2 + number % 3]]
    return {
        "id": f"{prefix}{number:03d}SAMPLE",
        "name": name,
        "created": START + number,
        "creator": USERS[0]["id"],
        "members": members,
        **more,
    }


CHANNELS: dict[str, tuple[SlackObject, ...]] = {
    "channels.json": (
        _channel(1, "C", "general", is_channel=True, is_general=True, topic={"value": "Everything", "last_set": START}),
        _channel(2, "C", "videos", is_channel=True, purpose={"value": "Moving pictures", "creator": "U001SAMPLE"}),
        _channel(3, "C", "企画", is_channel=True),
    ),
    "groups.json": (_channel(4, "C", "secret-plans", is_channel=True, is_private=True),),
    "mpims.json": (_channel(5, "G", "mpdm-ada--bo--chiara-1", is_mpim=True, is_private=True),),
    "dms.json": ({"id": "D006SAMPLE", "created": START + 6, "members": ["U001SAMPLE", "U002SAMPLE"], "is_im": True},),
}
"""By the list of an export in which they stand."""

EVERY_CHANNEL: tuple[SlackObject, ...] = tuple(channel for listed in CHANNELS.values() for channel in listed)

_TALK = (
    "Good morning!",
    "Has anybody seen the <https://example.com/plan?t=90|plan>?",
    "Deployed; the dashboards look right.",
    "My address leaked: <https://files.slack.com/files-pri/T1-F1/a.png?t=xoxe-111-222-333-sample|a.png>",
    "しばらくお待ちください 🙏",
    "Whoever finds xoxb-123456789012-sampletoken in a script, please rotate it.",
)


def talk(count: int) -> list[tuple[str, SlackObject]]:
    """`count` messages without files, as (channel id, message): threads, edits, reactions, joins and a bot."""
    said: list[tuple[str, SlackObject]] = []
    for number in range(count):
        channel = EVERY_CHANNEL[number % len(EVERY_CHANNEL)]
        message = _message(number, _TALK[number % len(_TALK)])
        if number % 7 == 3:
            _answer(said, channel["id"], message)
        if number % 11 == 5:
            message["edited"] = {"user": message["user"], "ts": f"{START + 60 * number + 9}.000000"}
        if number % 13 == 6:
            message["reactions"] = [{"name": "tada", "users": [USERS[1]["id"]], "count": 1}]
        if number % 17 == 8:
            message |= {"subtype": "channel_join", "text": f"<@{message['user']}> has joined the channel"}
        said.append((channel["id"], message))
    return said


def _message(number: int, text: str) -> SlackObject:
    return {
        "type": "message",
        "ts": timestamp(number),
        "user": USERS[number % len(USERS)]["id"],
        "team": TEAM,
        "client_msg_id": f"00000000-0000-4000-8000-{number:012d}",
        "text": text,
    }


def timestamp(number: int) -> str:
    """The time of the message of that number; one a minute."""
    return f"{START + 60 * number}.{number:06d}"


def _answer(said: list[tuple[str, SlackObject]], channel_id: str, reply: SlackObject) -> None:
    """Makes `reply` one to the last message of its channel that is no reply itself."""
    for where, parent in reversed(said):
        if where == channel_id and parent.get("thread_ts") in (None, parent["ts"]):
            reply |= {"thread_ts": parent["ts"], "parent_user_id": parent["user"]}
            parent["thread_ts"] = parent["ts"]
            parent["latest_reply"] = reply["ts"]
            parent["reply_count"] = parent.get("reply_count", 0) + 1
            parent["reply_users"] = sorted({*parent.get("reply_users", ()), reply["user"]})
            return
