"""Erasures of every scope, their previews, receipts and lists."""

from typing import Any

from tools.oracle import declared
from tools.oracle.model import STREAMS, Connector, World
from tools.oracle.recipes.paths import part
from tools.oracle.request import Answer, Request

_ERASURES = "/v1/owner/erasures"


def record(world: World) -> Request:
    """One record, or one that is not there."""
    random, connector = world.random, world.connector()
    stream = random.choice(STREAMS)
    known = connector.keys(stream)
    key = (
        random.choice(sorted(known))
        if known and world.chance(0.8)
        else declared.canonical(declared.key(random, stream))
    )
    query = [("connector_id", connector.id)]
    instance = random.choice(connector.instances)
    if instance is not None and world.chance(0.7):
        query.append(("connection_id", instance))
    route = "/v1/streams/{stream}/records/{key}"
    return world.ask("DELETE", route, path=f"/v1/streams/{stream}/records/{part(key)}", query=tuple(query))


def stream(world: World) -> Request:
    """All records of a stream."""
    connector = world.connector()
    name = world.random.choice((*STREAMS, "nosuch"))
    query = [("connector_id", connector.id)]
    instance = world.random.choice(connector.instances)
    if instance is not None:
        query.append(("connector_instance_id", instance))
    route = "/v1/streams/{stream}/records"
    return world.ask("DELETE", route, path=f"/v1/streams/{name}/records", query=tuple(query))


def connector(world: World) -> Request:
    """All that a connector brought; it is registered again later."""
    chosen = world.connector()

    def learn(answer: Answer) -> None:
        _erased(world, chosen, answer)

    route = "/v1/owner/connectors/{connector_id}"
    return world.ask("DELETE", route, path=f"/v1/owner/connectors/{part(chosen.id)}", learn=learn)


def _erased(world: World, chosen: Connector, answer: Answer) -> None:
    if answer.status in (200, 202):
        chosen.registered, chosen.version, chosen.records = False, 1, {}
        # An instance that was erased takes no writes any more: the next ones have other names.
        chosen.instances = [each if each is None else _next(each) for each in chosen.instances]


def _next(name: str) -> str:
    begin, _, number = name.rpartition(".")
    return f"{begin or name}.{int(number) + 1 if begin else 1}"


def instance(world: World) -> Request:
    """All that one account brought."""
    chosen = world.connector()
    named = [each for each in chosen.instances if each is not None]
    name = world.random.choice([*named, *world.ids[-3:], "nosuch"])

    def learn(answer: Answer) -> None:
        if answer.status == 200 and name in chosen.instances:
            chosen.instances[chosen.instances.index(name)] = _next(name)
            chosen.records = {place: known for place, known in chosen.records.items() if place[0] != name}

    route = "/v1/owner/connections/{connection_id}"
    return world.ask("DELETE", route, path=f"/v1/owner/connections/{part(name)}", learn=learn)


def asked(world: World) -> Request:
    """Any scope by the route that takes all: mostly to be shown what would go."""
    chosen = world.connector()
    scope = world.random.choice(("record", "stream", "instance", "connector", "owner"))
    preview = scope in ("connector", "owner") or world.chance(0.8)
    body: dict[str, Any] = {"scope": scope, "preview": preview}
    if scope in ("record", "stream", "connector"):
        body["connector_id"] = chosen.id
    name = world.random.choice(chosen.instances)
    if scope == "instance":
        body["connection_id"] = name or "nosuch"
    elif name is not None and scope in ("record", "stream"):
        body["connection_id"] = name
    if scope in ("record", "stream"):
        body["stream"] = world.random.choice(STREAMS)
    if scope == "record":
        body["key"] = declared.canonical(declared.key(world.random, body["stream"]))

    def learn(answer: Answer) -> None:
        if answer.status == 200 and "erasure_id" in answer.json:
            world.erasures.append(answer.json["erasure_id"])
            if scope == "instance" and name in chosen.instances:
                chosen.instances[chosen.instances.index(name)] = _next(name or "")

    note = f"{scope}, {'preview' if preview else 'done'}"
    return world.send("POST", _ERASURES, body, note=note, learn=learn)


def unwaited(world: World) -> Request:
    """A stream's records, without waiting for the end."""
    chosen = world.connector()
    name = world.random.choice(chosen.instances)
    query = [("connector_id", chosen.id), *([] if name is None else [("connection_id", name)])]

    def learn(answer: Answer) -> None:
        if answer.status == 202:
            world.erasures.append(answer.json["erasure_id"])

    return world.ask(
        "DELETE",
        "/v1/streams/{stream}/records",
        path="/v1/streams/plain/records",
        query=tuple(query),
        headers=(("Prefer", "respond-async"),),
        how="running",
        note="respond-async",
        learn=learn,
    )


def bad(world: World) -> Request:
    """What nobody can erase."""
    note, body = world.random.choice(_BAD)
    return world.send("POST", _ERASURES, {**body, "preview": True}, note=note)


_BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("no scope", {}),
    ("unknown scope", {"scope": "everything"}),
    ("too little", {"scope": "record", "connector_id": "x"}),
    ("too much", {"scope": "owner", "connector_id": "x"}),
    ("unknown connector", {"scope": "connector", "connector_id": "nosuch"}),
    ("unknown instance", {"scope": "instance", "connection_id": "nosuch"}),
    ("unknown member", {"scope": "owner", "really": True}),
)


def told(world: World) -> Request:
    """Erasures that were: one of them, or a list."""
    if world.erasures and world.chance(0.5):
        name = world.random.choice([*world.erasures[-10:], "era_nosuch"])
        return world.ask("GET", _ERASURES + "/{erasure_id}", path=f"{_ERASURES}/{name}")
    query = [("limit", str(world.random.choice((1, 3, 25))))] if world.chance(0.7) else []
    if world.erasures and world.chance(0.4):
        query.append(("after", world.random.choice(world.erasures[-10:])))

    def learn(answer: Answer) -> None:
        if answer.status == 200:
            world.erasures += [each["erasure_id"] for each in answer.json["data"][:3]]
            del world.erasures[:-30]

    return world.ask("GET", _ERASURES, query=tuple(query), learn=learn)


def owner(world: World) -> Request:
    """Another owner as a whole: afterwards its token is good for nothing."""
    if not world.others:
        return asked(world)
    token = world.others.pop(0)
    return world.send("POST", _ERASURES, {"scope": "owner"}, token=token, caller="another owner", note="owner, done")
