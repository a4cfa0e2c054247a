"""Requests that read records: pages, changes, single records, streams; as the owner or as a client."""

from tools.oracle import declared
from tools.oracle.model import STREAMS, Cursor, World
from tools.oracle.recipes.paths import part
from tools.oracle.request import Request

_LIST = "/v1/streams/{stream}/records"
_ONE = "/v1/streams/{stream}/records/{key}"
Query = list[tuple[str, str]]


def page(world: World) -> Request:
    """The first page of an owner's list, in many ways."""
    random = world.random
    stream = random.choice(("notes", "notes", *STREAMS))
    query: Query = _narrowed(world) if world.chance(0.6) else []
    if world.chance(0.5):
        query.append(("limit", str(random.choice((1, 2, 3, 7, 20, 50, 100, 100, 250)))))
    if world.chance(0.6):
        query.append(("order", random.choice(("asc", "desc"))))
    if world.chance(0.15):
        query.append(("fields", random.choice(_FIELDS[stream])))
    elif world.chance(0.1) and stream == "notes":
        query.append(("view", "short"))
    if stream == "notes" and world.chance(0.35):
        query += random.choice(_FILTERS)
    if stream == "notes" and world.chance(0.15):
        query += random.choice(_EXPANDED)
    return _listed(world, stream, tuple(query))


_FIELDS = {
    "notes": ("text", "id,at", "text,n,price", "blob_ref"),
    "parts": ("note", "id,text"),
    "shelves": ("room",),
    "pairs": ("left", "text"),
    "plain": ("n", "id,blob_ref"),
}
_FILTERS: tuple[Query, ...] = (
    [("filter[text]", "plain")],
    [("filter[n]", "1")],
    [("filter[flag]", "true")],
    [("filter[at][gte]", "2024-02-01T00:00:00Z")],
    [("filter[at][gte]", "2024-01-10T00:00:00Z"), ("filter[at][lt]", "2024-02-01T00:00:00Z")],
    [("filter[n][gte]", "1"), ("filter[flag]", "false")],
    [("filter[price][lte]", "9.9")],
    [("filter[text]", "日本語"), ("filter[at][gt]", "2024-01-01T00:00:00+02:00")],
)
_EXPANDED: tuple[Query, ...] = (
    [("expand[]", "parts")],
    [("expand[]", "on")],
    [("expand[]", "parts"), ("expand[]", "on"), ("expand_limit[parts]", "1")],
    [("expand[]", "parts"), ("expand_limit[parts]", "3")],
)


def bad_page(world: World) -> Request:
    """A list that is asked for in a way that is none."""
    stream, query, note = world.random.choice(_BAD)
    return _listed(world, stream, query, note=note)


_BAD: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...] = (
    ("notes", (("limit", "0"),), "zero"),
    ("notes", (("limit", "ten"),), "no number"),
    ("notes", (("limit", ""),), "blank"),
    ("notes", (("limit", "1"), ("limit", "2")), "twice"),
    ("notes", (("order", "up"),), "no order"),
    ("notes", (("fields", "nosuch"),), "unknown field"),
    ("notes", (("fields", ""),), "blank"),
    ("notes", (("view", "nosuch"),), "unknown view"),
    ("notes", (("view", "short"), ("fields", "id")), "both"),
    ("notes", (("filter[nosuch]", "1"),), "unknown field"),
    ("notes", (("filter[text][gte]", "1"),), "undeclared range"),
    ("notes", (("filter[n][between]", "1"),), "no operator"),
    ("notes", (("expand[]", "nosuch"),), "undeclared"),
    ("notes", (("expand[]", "parts"), ("expand_limit[parts]", "99")), "too many"),
    ("notes", (("expand_limit[parts]", "2"),), "nothing to expand"),
    ("notes", (("cursor", "nonsense"),), "nonsense"),
    ("notes", (("changes_since", "nonsense"),), "nonsense"),
    ("notes", (("changes_since", "beginning"), ("cursor", "x")), "both"),
    ("notes", (("changes_since", "beginning"), ("filter[n]", "1")), "with a filter"),
    ("notes", (("connector_id", "nosuch"),), "unknown connector"),
    ("notes", (("connection_id", "nosuch"),), "unknown instance"),
    ("notes", (("nosuch", "1"),), "unknown parameter"),
    ("nosuch", (), "unknown stream"),
    ("nosuch\0", (), "unknown stream with NUL"),
)


def next_page(world: World) -> Request:
    """Where a list that was begun goes on."""
    if not world.cursors:
        return page(world)
    # The newest mostly, so that lists come to their end.
    at = world.cursors.pop(-1 if world.chance(0.8) else world.random.randrange(len(world.cursors)))
    return _go_on(world, at, "cursor", at.value)


def changes(world: World) -> Request:
    """What changed since a token, or since the beginning."""
    since: Cursor | None = world.random.choice(world.changes) if world.changes and world.chance(0.8) else None
    if since is not None:
        return _go_on(world, since, "changes_since", since.value)
    query: Query = _narrowed(world) if world.chance(0.5) else []
    if world.chance(0.5):
        query.append(("limit", str(world.random.choice((1, 5, 30, 100)))))
    stream = world.random.choice(STREAMS)
    caller, token = _caller(world, stream)
    return _listed(world, stream, (*query, ("changes_since", "beginning")), caller=caller, token=token)


def misused(world: World) -> Request:
    """A cursor or token of this run where it does not belong."""
    known = world.cursors + world.changes
    if not known:
        return bad_page(world)
    at = world.random.choice(known)
    name = world.random.choice(("cursor", "changes_since"))
    match world.random.randrange(4):
        case 0:
            return _listed(world, "shelves", (*at.query, (name, at.value)), note="of another list", token=at.token)
        case 1:
            value = at.value[:-1] + ("A" if at.value[-1] != "A" else "B")
            return _listed(world, at.stream, (*at.query, (name, value)), note="tampered with", token=at.token)
        case 2:
            query = (*(pair for pair in at.query if pair[0] != "order"), ("order", "asc"), (name, at.value))
            return _listed(world, at.stream, query, note="of any order", token=at.token)
        case _:
            return _listed(world, at.stream, (*at.query, (name, at.value)), note="of anybody", caller="any owner")


def client_page(world: World) -> Request:
    """A list as a client asks for it; some in ways that are an owner's."""
    grant = world.grant()
    if grant is None:
        return page(world)
    random = world.random
    stream = random.choice([each["name"] for each in grant.streams] if world.chance(0.9) else list(STREAMS))
    query: Query = [("limit", str(random.choice((1, 2, 10, 100))))] if world.chance(0.7) else []
    if world.chance(0.5):
        query.append(("order", random.choice(("asc", "desc"))))
    if world.chance(0.2):
        query.append(("fields", random.choice(_FIELDS[stream])))
    if world.chance(0.06):
        query.append(random.choice((("filter[n]", "1"), ("view", "short"), ("expand[]", "parts"))))
    if world.chance(0.2):
        query.append(("connector_id", grant.connector if world.chance(0.8) else world.connector().id))
    if world.chance(0.1):
        query.append(("connection_id", world.random.choice([*world.ids, "home-none"])))
    return _listed(world, stream, tuple(query), caller=f"client of {grant.rules}", token=grant.token)


def one(world: World) -> Request:
    """A single record."""
    random, connector = world.random, world.connector()
    stream = random.choice(STREAMS)
    known = connector.keys(stream)
    key = random.choice(known) if known and world.chance(0.8) else declared.canonical(declared.key(random, stream))
    caller, token = _caller(world, stream)
    query: Query = [("connector_id", connector.id)] if caller == "owner" and world.chance(0.8) else []
    instance = random.choice(connector.instances)
    if query and instance is not None and world.chance(0.6):
        query.append(("connector_instance_id", instance))
    if caller == "owner" and stream == "notes" and world.chance(0.2):
        query += random.choice(_EXPANDED)
    if world.chance(0.15):
        query.append(("fields", random.choice(_FIELDS[stream])))
    path = f"/v1/streams/{stream}/records/{part(key)}"
    method = "HEAD" if world.chance(0.05) else "GET"
    return world.ask(method, _ONE, path=path, query=tuple(query), caller=caller, token=token, note=stream)


def streams(world: World) -> Request:
    """What streams there are, and how one is declared."""
    stream = world.random.choice(STREAMS)
    caller, token = _caller(world, stream)
    query = tuple(_narrowed(world)) if world.chance(0.4) else ()
    match world.random.randrange(4):
        case 0 | 1:
            return world.ask("GET", "/v1/streams", query=query, caller=caller, token=token)
        case 2:
            return world.ask("GET", "/v1/connectors", caller=caller, token=token)
        case _:
            route = "/v1/streams/{stream}"
            name = stream if world.chance(0.9) else "nosuch"
            return world.ask("GET", route, path=f"/v1/streams/{name}", query=query, caller=caller, token=token)


def _caller(world: World, stream: str) -> tuple[str, str]:
    grant = world.grant() if world.chance(0.35) else None
    if grant is None:
        return "owner", world.token
    return f"client of {grant.rules}", grant.token


def _narrowed(world: World) -> Query:
    connector = world.connector()
    query = [("connector_id", connector.id)]
    instance = world.random.choice(connector.instances)
    if instance is not None and world.chance(0.5):
        query.append(("connection_id", instance))
    return query


def _go_on(world: World, at: Cursor, name: str, value: str) -> Request:
    query = (*at.query, (name, value))
    if name == "changes_since":
        query = (*(pair for pair in at.query if pair[0] in _KEPT), (name, value))
    return _listed(world, at.stream, query, caller=at.caller, token=at.token)


_KEPT = ("connector_id", "connection_id", "connector_instance_id", "limit", "fields")


def _listed(
    world: World,
    stream: str,
    query: tuple[tuple[str, str], ...],
    *,
    note: str = "",
    caller: str = "owner",
    token: str | None = None,
) -> Request:
    token = token or world.token
    learn = world.learn_cursors(stream, query, caller, token)
    note = note or stream
    path = f"/v1/streams/{part(stream)}/records"
    return world.ask("GET", _LIST, path=path, query=query, caller=caller, token=token, note=note, learn=learn)
