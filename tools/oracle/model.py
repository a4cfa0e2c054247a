"""What the oracle remembers of what it wrote: only so much that its next requests mean something."""

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tools.oracle.request import Answer, Request

STREAMS = ("notes", "parts", "shelves", "pairs", "plain")
"""Every connector declares these, so that lists reach over connectors."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that were uploaded, and for which connector."""

    id: str
    sha256: str
    size: int
    connector: str


@dataclass(slots=True)
class Grant:
    """A grant and its client."""

    id: str
    token: str
    connector: str
    streams: list[dict[str, Any]]
    rules: str
    revoked: bool = False


@dataclass(slots=True)
class Connector:
    """A connector, its named instances (None: the default one), and the records that were sent to it."""

    id: str
    instances: list[str | None]
    registered: bool = False
    version: int = 1
    records: dict[tuple[str | None, str], dict[str, dict[str, Any]]] = field(default_factory=dict)

    def of(self, instance: str | None, stream: str) -> dict[str, dict[str, Any]]:
        """The data sent to one stream of one instance, by key."""
        return self.records.setdefault((instance, stream), {})

    def keys(self, stream: str) -> list[str]:
        """The keys that were sent to a stream, of all instances."""
        return [key for (_, name), known in self.records.items() if name == stream for key in known]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a list goes on: the list's own parameters, its caller, and the cursor or token."""

    stream: str
    query: tuple[tuple[str, str], ...]
    caller: str
    token: str
    value: str


class World:
    """The state that requests are made from; every choice comes from one seed."""

    def __init__(self, random: Random, seed: int, token: str, others: list[str]) -> None:
        self.random = random
        self.seed = seed
        self.token = token
        self.others = others
        self.connectors = [_connector(seed, number) for number in range(7)]
        self.blobs: list[Blob] = []
        self.grants: list[Grant] = []
        self.cursors: list[Cursor] = []
        self.changes: list[Cursor] = []
        self.erasures: list[str] = []
        self.ids: list[str] = []
        """Ids of instances that servers made."""

    def chance(self, share: float) -> bool:
        """True in this share of all calls."""
        return self.random.random() < share

    def connector(self) -> Connector:
        """A connector; almost always one that is registered."""
        known = [each for each in self.connectors if each.registered]
        return self.random.choice(known if known and not self.chance(0.02) else self.connectors)

    def grant(self) -> Grant | None:
        """A grant, mostly one that is in force."""
        living = [each for each in self.grants if not each.revoked][-12:]
        return self.random.choice(self.grants if self.grants and self.chance(0.05) else living) if living else None

    def ask(self, method: str, route: str, **members: Any) -> Request:
        """A request of the owner."""
        path = members.pop("path", route)
        return Request(method, path, route, members.pop("caller", "owner"), members.pop("token", self.token), **members)

    def send(self, method: str, route: str, value: Any, **members: Any) -> Request:
        """A request of the owner with a body of JSON."""
        members.setdefault("headers", (("Content-Type", "application/json"),))
        return self.ask(method, route, body=json.dumps(value).encode(), **members)

    def learn_cursors(self, stream: str, query: tuple[tuple[str, str], ...], caller: str, token: str) -> Any:
        """What a list's answer teaches: where it goes on."""
        rest = tuple(pair for pair in query if pair[0] not in ("cursor", "changes_since"))

        def learn(answer: Answer) -> None:
            said = answer.json
            if answer.status != 200 or not isinstance(said, dict):
                return
            for name, known in (("next_cursor", self.cursors), ("next_changes_since", self.changes)):
                if name in said:
                    known.append(Cursor(stream, rest, caller, token, said[name]))
            del self.changes[:-40], self.cursors[:-40]
            for each in said["data"]:
                if each["connector_instance_id"].startswith("cin_") and each["connector_instance_id"] not in self.ids:
                    self.ids.append(each["connector_instance_id"])

        return learn


def _connector(seed: int, number: int) -> Connector:
    home, work = f"home-{seed}-{number}", f"work-{seed}-{number}"
    instances: list[list[str | None]] = [[None], [home], [None, work], [home, work], [None, home, work], [home], [None]]
    names = [
        f"https://oracle.example/{seed}/{number}",
        f"short{seed}x{number}",
        f"https://registry.pdpp.dev/connectors/oracle{seed}x{number}",
        f"https://oracle.example/{seed}/größe {number}?a=b#c",
    ]
    return Connector(names[number % 4], instances[number])
