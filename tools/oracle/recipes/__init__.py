"""Kinds of requests, each a function from what is known to one request, and how often each is made."""

from collections.abc import Callable, Mapping

from tools.oracle.model import World
from tools.oracle.recipes import bad, blobs, consent, erasing, keeping, reading, writing
from tools.oracle.request import Request

Recipe = Callable[[World], Request]

WEIGHTS: Mapping[Recipe, float] = {
    writing.register: 10,
    writing.ingest: 170,
    writing.misdirected: 15,
    writing.huge: 0.5,
    writing.state: 25,
    reading.page: 130,
    reading.next_page: 160,
    reading.changes: 70,
    reading.client_page: 150,
    reading.bad_page: 30,
    reading.misused: 25,
    reading.one: 70,
    reading.streams: 30,
    consent.grant: 24,
    consent.bad_grant: 15,
    consent.grants: 4,
    consent.revoke: 8,
    consent.introspect: 8,
    consent.forbidden: 12,
    blobs.upload: 50,
    blobs.bad_upload: 12,
    blobs.download: 70,
    blobs.explain: 10,
    erasing.record: 6,
    erasing.stream: 1.5,
    erasing.connector: 0.7,
    erasing.instance: 1.2,
    erasing.asked: 8,
    erasing.unwaited: 0.5,
    erasing.bad: 5,
    erasing.told: 8,
    erasing.owner: 0.1,
    keeping.usage: 8,
    keeping.collect: 5,
    keeping.export: 3,
    keeping.spine: 6,
    keeping.disclosures: 6,
    keeping.checkpoint: 2,
    keeping.bad_events: 3,
    keeping.connections: 5,
    keeping.manifest: 8,
    keeping.public: 6,
    bad.unknown: 12,
    bad.unauthorized: 10,
    bad.versions: 8,
    bad.bodies: 12,
    bad.stranger: 8,
}
"""Shares of all requests, against each other. Erasures are few because each searches every file of the server."""


def next_request(world: World) -> Request:
    """The next request. The first register every connector, for most others mean nothing before."""
    if not all(each.registered for each in world.connectors) and world.chance(0.2):
        return writing.register(world)
    (recipe,) = world.random.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return recipe(world)
