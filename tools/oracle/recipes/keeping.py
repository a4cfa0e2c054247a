"""What an owner keeps and can prove: usage, collection, exports, the audit log; and what needs no token."""

from tools.oracle.model import World
from tools.oracle.recipes.paths import part
from tools.oracle.request import Request

_EXPORT = "/v1/owner/export"


def usage(world: World) -> Request:
    """How much it all is."""
    return world.ask("GET", "/v1/owner/usage")


def collect(world: World) -> Request:
    """Garbage, removed or counted."""
    query = world.random.choice(
        (
            (),
            (("dry_run", "true"),),
            (("grace", "0"), ("max_share", "1")),
            (("grace", "7d"),),
            (("grace", "soon"),),
            (("max_share", "2"),),
            (("dry_run", "perhaps"),),
        )
    )
    note = ",".join(f"{name}={value}" for name, value in query)
    return world.ask("POST", "/v1/owner/collect", query=query, note=note)


def export(world: World) -> Request:
    """A bag, or a part of one."""
    query = [("connector_id", world.connector().id)] if world.chance(0.9) else []
    if world.chance(0.1):
        query = [("connector_id", "nosuch")]
    method = "HEAD" if world.chance(0.3) else "GET"
    # A part may hold a digest of something that a server made; the whole is compared file by file.
    headers = (("Range", "bytes=0-511"),) if world.chance(0.2) else ()
    return world.ask(method, _EXPORT, query=tuple(query), headers=headers, note="a range" if headers else "")


def spine(world: World) -> Request:
    """What is new on the audit log."""
    return world.ask("GET", "/v1/owner/spine", how="spine")


def disclosures(world: World) -> Request:
    """What is new of what clients were shown."""
    return world.ask("GET", "/v1/owner/disclosures", how="disclosures")


def checkpoint(world: World) -> Request:
    """The newest event, signed."""
    return world.ask("GET", "/v1/owner/spine/checkpoint")


def bad_events(world: World) -> Request:
    """The audit log, asked for in a way that is none."""
    route = world.random.choice(("/v1/owner/spine", "/v1/owner/disclosures"))
    query, note = world.random.choice(
        ((("after", "x"), "no number"), (("limit", "0"), "zero"), (("x", "1"), "unknown"))
    )
    return world.ask("GET", route, query=(query,), note=note)


def connections(world: World) -> Request:
    """Living instances."""
    return world.ask("GET", "/v1/owner/connections")


def manifest(world: World) -> Request:
    """A manifest as it came."""
    name = world.connector().id if world.chance(0.9) else "nosuch"
    return world.ask("GET", "/v1/connectors/{connector_id}", path=f"/v1/connectors/{part(name)}")


def public(world: World) -> Request:
    """What anybody may ask."""
    path = world.random.choice(("/healthz", "/readyz", "/openapi.json", "/.well-known/oauth-protected-resource"))
    return world.ask("GET", path, token=None, caller="nobody")
