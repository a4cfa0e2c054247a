"""Tokens are asked about once, remembered for a minute at most, and let nobody in when nobody can be asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from records.centrals.memory import MemoryCentral
from records.consent.access import Access
from records.consent.introspection import Expected
from records.consent.scope import Scope
from records.errors import Forbidden, Invalid
from server.config import Introspect
from server.errors import NoAuthorization
from server.introspection import MAX_BYTES, MAX_REMEMBERED, Introspection, connected
from tests.fakes.authorization_server import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET,
    EXP,
    AuthorizationServer,
    Fault,
    authorizing,
)

STREAM = {"name": "notes", "instance_ids": ["cin_1"], "fields": ["id"]}


@dataclass
class Clocks:
    """The time of day and a clock that only runs, both set by the test."""

    wall: float = EXP - 1000.0
    steady: float = 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@dataclass
class World:
    server: AuthorizationServer
    introspection: Introspection
    access: Access
    clocks: Clocks = field(default_factory=Clocks)


def asked_at(server: AuthorizationServer, secret: str = CLIENT_SECRET) -> Introspect:
    return Introspect(f"{server.url}/introspect", CLIENT_ID, secret, Expected([server.url], AUDIENCE))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with authorizing() as server, aiohttp.ClientSession(auto_decompress=False) as session:
        clocks, access = Clocks(), Access(MemoryCentral())
        introspection = Introspection(
            session, asked_at(server), access, wall=lambda: clocks.wall, steady=lambda: clocks.steady
        )
        server.answers["owner's"] = server.owner()
        server.answers["client's"] = server.client("mail", STREAM)
        yield World(server, introspection, access, clocks)


async def test_an_owners_and_a_clients_token_are_scopes(world: World) -> None:
    owner = await world.access.owner("owner_local")
    assert await world.introspection.resolve("owner's") == Scope.of_owner(owner)
    scope = await world.introspection.resolve("client's")
    assert scope is not None
    assert scope.owner == owner
    assert scope.grant is not None
    assert (scope.grant.id, scope.grant.client, scope.grant.connector) == ("grt_1", "longview", "mail")
    assert scope.grant.streams["notes"].instances == {"cin_1"}


async def test_a_token_goes_over_the_wire_whatever_is_in_it(world: World) -> None:
    await world.introspection.resolve("a+b/c=&token=owner's ü")
    assert world.server.calls == ["a+b/c=&token=owner's ü"]


async def test_a_good_answer_is_remembered_for_a_minute(world: World) -> None:
    await world.introspection.resolve("client's")
    world.clocks.pass_(59.9)
    await world.introspection.resolve("client's")
    assert world.server.calls == ["client's"]
    world.server.answers["client's"] = {"active": False, "inactive_reason": "grant_revoked"}
    world.clocks.pass_(0.1)
    with pytest.raises(Forbidden) as error:
        await world.introspection.resolve("client's")
    assert error.value.code == "grant_revoked"
    assert world.server.calls == ["client's"] * 2


async def test_a_good_answer_is_not_remembered_beyond_the_tokens_end(world: World) -> None:
    world.server.answers["client's"]["exp"] = int(world.clocks.wall) + 10
    await world.introspection.resolve("client's")
    world.clocks.pass_(9)
    await world.introspection.resolve("client's")
    assert len(world.server.calls) == 1
    world.clocks.pass_(1)
    assert await world.introspection.resolve("client's") is None
    assert len(world.server.calls) == 2


async def test_a_clock_that_is_set_back_prolongs_nothing(world: World) -> None:
    await world.introspection.resolve("client's")
    world.clocks.pass_(60)
    world.clocks.wall -= 3600
    await world.introspection.resolve("client's")
    assert len(world.server.calls) == 2


@pytest.mark.parametrize(
    "answer", [{"active": False}, {"active": False, "inactive_reason": "grant_expired"}, {"active": True}]
)
async def test_a_bad_answer_is_not_remembered(world: World, answer: dict[str, object]) -> None:
    world.server.answers["new"] = answer
    for _ in range(2):
        try:
            assert await world.introspection.resolve("new") is None
        except Forbidden as error:
            assert error.code == "grant_expired"  # noqa: PT017
    world.server.answers["new"] = world.server.owner()
    assert await world.introspection.resolve("new") is not None
    assert len(world.server.calls) == 3


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("iss", "https://other.example"),
        ("aud", "https://other.example"),
        ("exp", EXP - 1000),
        pytest.param("exp", -(10**400), id="long ago"),
        ("pdpp_token_kind", "mcp_package"),
        ("subject_id", None),
        ("grant_id", "another"),
    ],
)
async def test_a_token_for_somebody_else_is_nobodys(world: World, member: str, value: object) -> None:
    world.server.answers["client's"][member] = value
    assert await world.introspection.resolve("client's") is None


async def test_a_malformed_grant_is_never_served_from(world: World) -> None:
    world.server.answers["client's"]["authorization_details"][0]["streams"][0]["view"] = "all"
    with pytest.raises(Forbidden) as error:
        await world.introspection.resolve("client's")
    assert error.value.code == "grant_invalid"


async def test_a_grant_of_another_version_is_unsupported(world: World) -> None:
    world.server.answers["client's"]["pdpp"]["context_kind"] = "oauth_rar_9"
    with pytest.raises(Invalid) as error:
        await world.introspection.resolve("client's")
    assert error.value.code == "unsupported_version"


async def test_requests_with_one_token_share_a_call_and_survive_each_other(world: World) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        asked.set()
        await go.wait()
        return web.json_response(world.server.owner())

    world.server.fault = hold
    waiting = [asyncio.create_task(world.introspection.resolve("owner's")) for _ in range(10)]
    await asked.wait()
    waiting[0].cancel()
    go.set()
    scopes = await asyncio.gather(*waiting[1:])
    assert len({scope is not None for scope in scopes}) == 1
    assert world.server.calls == ["owner's"]
    assert waiting[0].cancelled()


async def test_what_is_remembered_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 3 * len(json.dumps(world.server.owner()))
    assert room < MAX_REMEMBERED
    monkeypatch.setattr("server.introspection.MAX_REMEMBERED", room)
    for number in range(4):
        world.server.answers[f"t{number}"] = world.server.owner()
        await world.introspection.resolve(f"t{number}")
    for number in (3, 2, 1, 0):
        await world.introspection.resolve(f"t{number}")
    assert world.server.calls == ["t0", "t1", "t2", "t3", "t0"]


async def status(request: web.Request) -> web.StreamResponse:
    return web.json_response({"active": True}, status=500)


async def created(request: web.Request) -> web.StreamResponse:
    return web.json_response({"active": True, "pdpp_token_kind": "owner", "subject_id": "x"}, status=201)


async def redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("/introspect")


async def no_json(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>active</html>")


async def no_object(request: web.Request) -> web.StreamResponse:
    return web.json_response([{"active": True}])


async def nested(request: web.Request) -> web.StreamResponse:
    return web.Response(text='{"active":' + "[" * 100_000)


async def packed(request: web.Request) -> web.StreamResponse:
    response = web.json_response({"active": True, "pdpp_token_kind": "owner", "subject_id": "x"})
    response.enable_compression(web.ContentCoding.gzip)
    return response


async def too_long(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b" " * (MAX_BYTES + 1))


async def broken_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"active": true')
    assert request.transport is not None
    request.transport.abort()
    return response


@pytest.mark.parametrize("fault", [status, created, redirect, no_json, no_object, nested, packed, too_long, broken_off])
async def test_an_answer_that_cannot_be_trusted_lets_nobody_in_and_is_not_remembered(
    world: World, fault: Fault
) -> None:
    world.server.fault = fault
    with pytest.raises(NoAuthorization):
        await world.introspection.resolve("owner's")
    assert world.server.calls == ["owner's"]
    world.server.fault = None
    assert await world.introspection.resolve("owner's") is not None


async def test_a_remembered_answer_outlives_the_server_by_a_minute_at_most(world: World) -> None:
    await world.introspection.resolve("owner's")
    world.server.fault = status
    assert await world.introspection.resolve("owner's") is not None
    world.clocks.pass_(60)
    with pytest.raises(NoAuthorization):
        await world.introspection.resolve("owner's")


async def test_wrong_credentials_let_nobody_in(world: World) -> None:
    async with connected(asked_at(world.server, "wrong"), world.access) as introspection:
        with pytest.raises(NoAuthorization):
            await introspection.resolve("owner's")


async def test_a_server_that_is_not_there_lets_nobody_in(world: World) -> None:
    nowhere = Introspect("http://127.0.0.1:1/introspect", CLIENT_ID, CLIENT_SECRET)
    async with connected(nowhere, world.access) as introspection:
        with pytest.raises(NoAuthorization):
            await introspection.resolve("owner's")


async def test_a_server_that_stalls_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.introspection.TIMEOUT", 0.05)
    release = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    world.server.fault = stall
    async with connected(asked_at(world.server), world.access) as introspection:
        with pytest.raises(NoAuthorization):
            await introspection.resolve("owner's")
    release.set()
