"""Requests that are wrong in themselves: methods, paths, tokens, headers, bodies."""

from tools.oracle.model import World
from tools.oracle.request import Request


def unknown(world: World) -> Request:
    """A path or a method that is not there."""
    method, path, note = world.random.choice(_UNKNOWN)
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    return world.ask(method, path.partition("?")[0], path=path, body=body, note=note)


_UNKNOWN = (
    ("GET", "/", "no such path"),
    ("GET", "/v1", "no such path"),
    ("GET", "/v1/streams/", "no such path"),
    ("GET", "/v2/streams", "no such path"),
    ("GET", "/v1/streams/notes/records/a/b", "no such path"),
    ("GET", "/v1/%00", "no such path"),
    ("DELETE", "/v1/streams", "no such method"),
    ("PUT", "/v1/blobs", "no such method"),
    ("PATCH", "/v1/streams/notes/records/n001", "no such method"),
    ("POST", "/v1/streams/notes/records", "no such method"),
    ("BREW", "/v1/streams", "no such method"),
    ("OPTIONS", "/v1/streams", "no such method"),
    ("POST", "/healthz", "no such method"),
    ("DELETE", "/v1/owner/grants", "no such method"),
)


def unauthorized(world: World) -> Request:
    """Nobody, or somebody unknown, on routes that need a token."""
    path = world.random.choice(("/v1/streams", "/v1/owner/usage", "/v1/streams/notes/records", "/v1/connectors"))
    note, header = world.random.choice(
        (
            ("no token", None),
            ("unknown token", "Bearer bst_unknown"),
            ("another scheme", "Basic YTpi"),
            ("no word", "Bearer"),
            ("bad characters", "Bearer ü ü"),
        )
    )
    headers = () if header is None else (("Authorization", header),)
    return world.ask("GET", path, token=None, caller="nobody", headers=headers, note=note)


def versions(world: World) -> Request:
    """Versions, expectations and ids of requests."""
    note, name, value = world.random.choice(
        (
            ("the version", "PDPP-Version", "2026-04-06"),
            ("another version", "PDPP-Version", "1999-01-01"),
            ("an id", "Request-Id", "my-own-id-1"),
            ("no good id", "Request-Id", "not good"),
            ("an expectation", "Expect", "the-best"),
        )
    )
    return world.ask("GET", "/v1/streams", headers=((name, value),), note=note)


def bodies(world: World) -> Request:
    """Bodies that are not what the route takes."""
    route = world.random.choice(("/v1/connectors", "/v1/owner/grants", "/v1/owner/erasures"))
    note, body, media = world.random.choice(
        (
            ("no JSON", b"{", "application/json"),
            ("an array", b"[]", "application/json"),
            ("no UTF-8", b'{"connector_id": "\xff"}', "application/json"),
            ("empty", b"", "application/json"),
            ("another type", b"{}", "text/plain"),
            ("deep", b"[" * 5000, "application/json"),
            ("wrong types", b'{"connector_id": 7, "streams": 8, "client_id": [], "scope": {}}', "application/json"),
        )
    )
    return world.ask("POST", route, body=body, headers=(("Content-Type", media),), note=note)


def stranger(world: World) -> Request:
    """Another owner, who sees nothing of all this."""
    if not world.others:
        return unauthorized(world)
    blob = world.blobs[-1].id if world.blobs else "nonsense"
    grant = world.grants[-1].id if world.grants else "grant_nosuch"
    route, path = world.random.choice(
        (
            ("/v1/streams", "/v1/streams"),
            ("/v1/streams/{stream}/records", "/v1/streams/notes/records"),
            ("/v1/blobs/{blob_id}", f"/v1/blobs/{blob}"),
            ("/v1/owner/blobs/{blob_id}", f"/v1/owner/blobs/{blob}"),
            ("/v1/owner/usage", "/v1/owner/usage"),
            ("/v1/owner/grants", "/v1/owner/grants"),
        )
    )
    if world.chance(0.1):
        route, path = "/v1/owner/grants/{grant_id}/revoke", f"/v1/owner/grants/{grant}/revoke"
        return world.ask("POST", route, path=path, token=world.others[-1], caller="another owner")
    return world.ask("GET", route, path=path, token=world.others[-1], caller="another owner")
