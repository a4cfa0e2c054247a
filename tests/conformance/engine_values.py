"""Values for the tests of record engines."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from blobstore.digest import Digest
from records.engine import Engine
from records.history import Recorder
from records.model import Batch, Delete, Link, Outcome, Partition, Put, StoredRecord
from records.order import sort_key

SLACK = "https://registry.pdpp.dev/connectors/slack"
GMAIL = "gmail"
MESSAGES = Partition(SLACK, "one", "messages")
USERS = Partition(SLACK, "one", "users")
OTHERS = Partition(SLACK, "two", "messages")
MAILS = Partition(GMAIL, "three", "messages")
RECORDER = Recorder(bytes(32), "text")
T1 = "2026-11-01T10:00:00Z"
T2 = "2026-11-02T10:00:00Z"
T3 = "2026-11-03T10:00:00Z"


@dataclass
class Clock:
    """UTC seconds that do not go by themselves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def digest_of(number: int) -> Digest:
    return Digest(f"{number:064x}")


def link_of(number: int, pointer: str = "/file", filename: str | None = None) -> Link:
    return Link(digest_of(number), pointer, "image/png", filename, 7 * number + 1)


def put(
    key: str,
    text: str = "",
    *links: Link,
    at: object = None,
    emitted_at: str = T1,
) -> Put:
    """A record whose content is told apart by `text`; `at` is the value of its cursor field."""
    data = json.dumps({"id": key, "text": text}).encode()
    return Put(key, sort_key(at), data, emitted_at, links)


def delete(key: str, deleted_at: str = T2) -> Delete:
    return Delete(key, deleted_at, deleted_at)


def batch_of(partition: Partition, *mutations: Put | Delete) -> Batch:
    return Batch(partition, mutations, 0, None, append_only=False, event=None, recorder=RECORDER)


async def apply(engine: Engine, partition: Partition, *mutations: Put | Delete) -> list[Outcome]:
    """Commit at the present epochs."""
    epoch = await engine.epoch(partition)
    return await engine.apply(replace(batch_of(partition, *mutations), epoch=epoch))


async def record_of(engine: Engine, partition: Partition, key: str) -> StoredRecord | None:
    found = await engine.get([partition], [key])
    return found[0] if found else None


async def version_of(engine: Engine, partition: Partition) -> int:
    stats = await engine.stats()
    return stats[partition].version if partition in stats else 0


def keys_of(records: Sequence[StoredRecord]) -> list[str]:
    return [record.key for record in records]
