"""Grants: made, listed, taken back, introspected; and what clients may not do."""

from typing import Any
from urllib.parse import urlencode

from tools.oracle import declared
from tools.oracle.model import STREAMS, Connector, Grant, World
from tools.oracle.recipes.paths import part
from tools.oracle.request import Answer, Request

_GRANTS = "/v1/owner/grants"


def grant(world: World) -> Request:
    """A grant with some of the rules that there are: stream, field, instance, resource, time."""
    connector = world.connector()
    names = world.random.sample(STREAMS, world.random.randrange(1, 4))
    if "notes" not in names and world.chance(0.5):
        names[0] = "notes"  # the only one with a consent-time field
    rules: set[str] = {"stream"}
    streams = [_stream(world, connector, name, rules) for name in names]
    body: dict[str, Any] = {"client_id": f"app-{world.random.randrange(4)}", "connector_id": connector.id}
    body["streams"] = streams
    if world.chance(0.3):
        body["access_mode"] = world.random.choice(("continuous", "single_use"))
    if world.chance(0.2):
        body["expires_at"] = "2099-01-01T00:00:00Z"
    if world.chance(0.2):
        body["purpose_code"] = "urn:example:why"
    named = ", ".join(sorted(rules))

    def learn(answer: Answer) -> None:
        if answer.status == 201:
            said = answer.json
            world.grants.append(Grant(said["grant_id"], said["token"], connector.id, streams, named))
            for stream in said["grant"]["streams"]:
                world.ids += [each for each in stream["instance_ids"] if each not in world.ids]
            del world.ids[:-30]

    return world.send("POST", _GRANTS, body, note=named, learn=learn)


def _stream(world: World, connector: Connector, name: str, rules: set[str]) -> dict[str, Any]:
    random = world.random
    asked: dict[str, Any] = {"name": name}
    if world.chance(0.4):
        asked["fields"] = random.choice(_FIELDS[name])
        rules.add("field")
    named = [each for each in connector.instances if each is not None]
    if named and world.chance(0.5):
        asked["instance_ids"] = [random.choice(named)]
        rules.add("instance")
    if world.chance(0.2):
        known = sorted(connector.keys(name)) or [declared.canonical(declared.key(random, name))]
        asked["resources"] = random.sample(known, min(len(known), random.randrange(1, 9)))
        rules.add("resource")
    if name == "notes" and world.chance(0.5):
        asked["time_constraint"] = random.choice(_WINDOWS)
        rules.add("time")
    return asked


_FIELDS: dict[str, tuple[list[str], ...]] = {
    "notes": (["text"], ["id", "at", "blob_ref"], ["n", "price"], ["at", "text"]),
    "parts": (["note"], ["id", "text"]),
    "shelves": (["room"], ["id", "room", "blob_ref"]),
    "pairs": (["left", "right"], ["text"]),
    "plain": (["n"], ["id", "blob_ref"]),
}
_WINDOWS = (
    {"since": "2024-02-01T00:00:00Z"},
    {"until": "2024-02-15T12:00:00Z"},
    {"field": "at", "since": "2024-01-10T00:00:00Z", "until": "2024-02-20T00:00:00+02:00"},
)


def bad_grant(world: World) -> Request:
    """What cannot be granted."""
    connector = world.connector()
    note, changed = world.random.choice(_BAD)
    body = {"client_id": "app", "connector_id": connector.id, "streams": [{"name": "notes"}], **changed}
    return world.send("POST", _GRANTS, body, note=note)


_BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("no streams", {"streams": []}),
    ("unknown stream", {"streams": [{"name": "nosuch"}]}),
    ("unknown field", {"streams": [{"name": "notes", "fields": ["nosuch"]}]}),
    ("no fields", {"streams": [{"name": "notes", "fields": []}]}),
    ("unknown instance", {"streams": [{"name": "notes", "instance_ids": ["nosuch"]}]}),
    ("stream twice", {"streams": [{"name": "notes"}, {"name": "notes"}]}),
    ("no window", {"streams": [{"name": "notes", "time_constraint": {}}]}),
    ("window of nothing", {"streams": [{"name": "shelves", "time_constraint": {"since": "2024-01-01T00:00:00Z"}}]}),
    ("bad moment", {"streams": [{"name": "notes", "time_constraint": {"since": "soon"}}]}),
    ("no resources", {"streams": [{"name": "notes", "resources": []}]}),
    ("bad resource", {"streams": [{"name": "pairs", "resources": ["left"]}]}),
    ("unknown connector", {"connector_id": "nosuch"}),
    ("in the past", {"expires_at": "2020-01-01T00:00:00Z"}),
    ("unknown member", {"only_on_sundays": True}),
    ("no client", {"client_id": ""}),
    ("bad mode", {"access_mode": "for ever"}),
)


def grants(world: World) -> Request:
    """All grants."""
    return world.ask("GET", _GRANTS)


def revoke(world: World) -> Request:
    """A grant taken back; again, or one that is not there, too."""
    route = "/v1/owner/grants/{grant_id}/revoke"
    living = [each for each in world.grants if not each.revoked]
    if len(living) < 4 or world.chance(0.3):
        name = world.random.choice([each.id for each in world.grants if each.revoked] or ["grant_nosuch"])
        return world.ask("POST", route, path=f"{_GRANTS}/{name}/revoke", note="again or unknown")
    chosen = living[0] if world.chance(0.7) else world.random.choice(living)

    def learn(answer: Answer) -> None:
        chosen.revoked = answer.status == 200

    return world.ask("POST", route, path=f"{_GRANTS}/{chosen.id}/revoke", learn=learn)


def introspect(world: World) -> Request:
    """What a token stands for."""
    known = [("a client's", each.token) for each in world.grants[-8:]]
    note, token = world.random.choice([*known, ("the owner's", world.token), ("unknown", "bst_none")])
    headers = (("Content-Type", "application/x-www-form-urlencoded"),)
    return world.ask("POST", "/introspect", body=urlencode({"token": token}).encode(), headers=headers, note=note)


def forbidden(world: World) -> Request:
    """A client on an owner's routes."""
    found = world.grant()
    if found is None:
        return grants(world)
    method, route, path = world.random.choice(_OWNERS)
    path = path.replace("CONNECTOR", part(found.connector))
    headers = (("Content-Type", "application/json"),) if method in ("POST", "PUT") else ()
    body = b"{}" if method in ("POST", "PUT") else None
    return world.ask(method, route, path=path, token=found.token, caller="client", headers=headers, body=body)


_OWNERS = (
    ("POST", "/v1/connectors", "/v1/connectors"),
    ("POST", "/v1/ingest/{stream}", "/v1/ingest/notes"),
    ("GET", "/v1/state/{connector_id}", "/v1/state/CONNECTOR"),
    ("PUT", "/v1/state/{connector_id}", "/v1/state/CONNECTOR"),
    ("DELETE", "/v1/streams/{stream}/records", "/v1/streams/notes/records"),
    ("DELETE", "/v1/streams/{stream}/records/{key}", "/v1/streams/notes/records/n001"),
    ("DELETE", "/v1/owner/connectors/{connector_id}", "/v1/owner/connectors/CONNECTOR"),
    ("GET", "/v1/owner/grants", "/v1/owner/grants"),
    ("GET", "/v1/owner/spine", "/v1/owner/spine"),
    ("GET", "/v1/owner/export", "/v1/owner/export"),
    ("GET", "/v1/owner/usage", "/v1/owner/usage"),
    ("POST", "/v1/owner/erasures", "/v1/owner/erasures"),
    ("GET", "/v1/owner/connections", "/v1/owner/connections"),
    ("POST", "/v1/owner/collect", "/v1/owner/collect"),
)
