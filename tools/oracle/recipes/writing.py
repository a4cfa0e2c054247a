"""Requests that write: manifests, lines, sync state."""

import json
from typing import Any

from tools.oracle import declared
from tools.oracle.model import STREAMS, Connector, World
from tools.oracle.recipes.paths import part
from tools.oracle.request import Answer, Request

_NDJSON = (("Content-Type", "application/x-ndjson"),)
_INGEST = "/v1/ingest/{stream}"


def register(world: World) -> Request:
    """A manifest: new, again, or of a later version."""
    new = [each for each in world.connectors if not each.registered]
    connector = world.random.choice(new or world.connectors)
    if connector.registered and connector.version < 3 and world.chance(0.3):
        connector.version += 1
    note = "new" if new else "again"

    def learn(answer: Answer) -> None:
        connector.registered = answer.status in (200, 201)

    route = "/connectors" if world.chance(0.1) else "/v1/connectors"
    body = declared.manifest(connector.id, connector.version)
    return world.send("POST", route, body, note=note, learn=learn)


def ingest(world: World) -> Request:
    """A batch of lines for one stream."""
    connector, stream = world.connector(), world.random.choice(STREAMS)
    instance = world.random.choice(connector.instances)
    known = connector.of(instance, stream)
    kind = world.random.choice(_KINDS)
    lines = [_line(world, connector, stream, known, kind) for _ in range(world.random.randrange(1, 25))]
    text = b"\r\n\n  \r\n".join(lines) if kind == "blank lines" else b"\n".join(lines) + b"\n"
    query = _named(world, connector, instance)
    return world.ask(
        "POST",
        _INGEST,
        path=f"/v1/ingest/{stream}",
        query=query,
        headers=_NDJSON,
        body=text,
        chunked=world.chance(0.2),
        note=f"{stream}: {kind}",
    )


_KINDS = (
    *("new",) * 6,
    *("update",) * 4,
    *("unchanged",) * 2,
    *("delete",) * 2,
    *("linked",) * 4,
    *("mixed",) * 3,
    *("invalid", "not stored", "blank lines", "long lines", "delete absent", "identity", "unicode"),
)


def _line(world: World, connector: Connector, stream: str, known: dict[str, dict[str, Any]], kind: str) -> bytes:
    random = world.random
    if kind == "mixed":
        kind = random.choice(("new", "update", "delete", "invalid", "linked", "not stored", "identity"))
    if kind == "invalid":
        return random.choice(_INVALID)
    spelled = declared.key(random, stream)
    if kind in ("update", "unchanged", "delete") and known:
        spelled = random.choice(sorted(known))
        spelled = json.loads(spelled) if stream == "pairs" else spelled
    name = declared.canonical(spelled)
    if kind in ("delete", "delete absent"):
        known.pop(name, None)
        more = {"data": {"deleted_at": declared.moment(random)}} if world.chance(0.3) else {}
        return _written({"key": spelled, "op": "delete", "emitted_at": declared.emitted(random), **more})
    data = declared.data(random, stream, spelled)
    if kind == "unchanged":
        data = known.get(name, data)
    elif kind == "update" and name in known:
        field = random.choice(sorted(data))
        data = {**known[name], field: data[field]}
    _vary(world, connector, data, kind)
    if kind not in ("identity", "not stored"):
        known[name] = data
    return _written({"key": spelled, "data": data, "emitted_at": declared.emitted(random)})


def _vary(world: World, connector: Connector, data: dict[str, Any], kind: str) -> None:
    """What makes a line one of its kind."""
    random = world.random
    if kind == "identity":
        data[next(iter(data))] = "another"
    elif kind == "linked":
        mine = [each for each in world.blobs if each.connector == connector.id]
        for field in ("blob_ref", "more"):
            if mine and world.chance(0.7):
                data[field] = {"blob_id": random.choice(mine[-20:]).id, "mime_type": "image/png", "filename": "ü.png"}
    elif kind == "not stored":
        others = [each.id for each in world.blobs if each.connector != connector.id]
        wrong = random.choice([*others[-3:], "blob_b3_" + "0" * 64, "blob_b3_xyz", 7])
        data["blob_ref"] = {"blob_id": wrong}
    elif kind == "long lines":
        data["text"] = "long " * random.randrange(1000, 20000)
    elif kind == "unicode":
        data["text"] = "".join(random.choice(declared.TEXTS) for _ in range(9))


def _written(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=True).encode()


_INVALID = (
    b"{",
    b"[]",
    b"nothing",
    b'{"key": "a"}',
    b'{"key": "a", "data": {"id": "a"}, "emitted_at": "yesterday"}',
    b'{"key": "a", "data": {"id": "a"}, "emitted_at": "2025-01-01T00:00:00Z", "op": "merge"}',
    b'{"key": "", "data": {"id": ""}, "emitted_at": "2025-01-01T00:00:00Z"}',
    b'{"key": {"a": 1}, "data": {"id": "a"}, "emitted_at": "2025-01-01T00:00:00Z"}',
    b'{"key": "a", "data": [], "emitted_at": "2025-01-01T00:00:00Z"}',
    b'{"key": "a", "data": {"id": "a", "n": 1e999}, "emitted_at": "2025-01-01T00:00:00Z"}',
    b'{"key": "a", "data": {"id": "a", "id": "a"}, "emitted_at": "2025-01-01T00:00:00Z"}',
    b'{"key": "\xff", "data": {"id": "a"}, "emitted_at": "2025-01-01T00:00:00Z"}',
    b'{"key": "a", "data": {"id": "a", "n": ' + b"[" * 300 + b"]" * 300 + b'}, "emitted_at": "2025-01-01T00:00:00Z"}',
    b'{"key": "' + b"k" * 1100 + b'", "data": {"id": "a"}, "emitted_at": "2025-01-01T00:00:00Z"}',
)


def huge(world: World) -> Request:
    """A line that is longer than any may be, after one that is good."""
    connector = world.connector()
    good = _line(world, connector, "shelves", {}, "new")
    body = good + b"\n" + b'{"key": "' + b"x" * (17 << 20)
    return world.ask(
        "POST",
        _INGEST,
        path="/v1/ingest/shelves",
        query=_named(world, connector, connector.instances[0]),
        headers=_NDJSON,
        body=body,
        note="a line over the limit",
    )


def misdirected(world: World) -> Request:
    """Lines for a place that is not there, or sent in a way that is none."""
    connector, random = world.connector(), world.random
    line = _line(world, connector, "shelves", {}, "new")
    stream, query, note = "shelves", [("connector_id", connector.id)], ""
    headers: tuple[tuple[str, str], ...] = _NDJSON
    match random.randrange(7):
        case 0:
            stream, note = "nowhere", "undeclared stream"
        case 1:
            query, note = [("connector_id", "unknown-connector")], "unknown connector"
        case 2:
            query, note = [], "no connector"
        case 3:
            headers, note = (("Content-Type", "application/json"),), "another type"
        case 4:
            query, note = [*query, ("connection_id", "a"), ("connector_instance_id", "b")], "two instances"
        case 5:
            headers, note = (*_NDJSON, ("Content-Encoding", "gzip")), "encoded"
        case _:
            note = "no instance named"
    path = f"/v1/ingest/{part(stream)}"
    return world.ask("POST", _INGEST, path=path, query=tuple(query), headers=headers, body=line, note=note)


def _named(world: World, connector: Connector, instance: str | None) -> tuple[tuple[str, str], ...]:
    query = [("connector_id", connector.id)]
    if instance is not None:
        query.append((world.random.choice(("connector_instance_id", "connection_id")), instance))
    if world.chance(0.1):
        query.append(("run_id", "run-1"))
    return tuple(query)


def state(world: World) -> Request:
    """Sync state, read or written, an owner's or a grant's."""
    connector = world.connector()
    query = list(_named(world, connector, world.random.choice(connector.instances))[1:])
    grant = world.grant()
    note = "own"
    if grant is not None and world.chance(0.3):
        query.append(("grant_id", grant.id))
        note = "of a grant" if grant.connector == connector.id else "of another's grant"
    elif world.chance(0.05):
        query.append(("grant_id", "grant_unknown"))
        note = "of an unknown grant"
    path, route = f"/v1/state/{part(connector.id)}", "/v1/state/{connector_id}"
    if world.chance(0.5):
        return world.ask("GET", route, path=path, query=tuple(query), note=note)
    stream = world.random.choice((*STREAMS, "undeclared"))
    value: Any = world.random.choice((1, None, {"pos": [1, 2.50, "x"]}, "text\0", [], {"z": 1, "a": 2}))
    note += ", undeclared" if stream == "undeclared" else ""
    return world.send("PUT", route, {"state": {stream: value}}, path=path, query=tuple(query), note=note)
