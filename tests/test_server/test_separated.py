"""A resource server behind an authorization server: the reference's, and another of ours."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from records.consent.introspection import Expected
from server.config import Introspect
from tests.conformance.http.api import Answer, Api, Connector, note, refused
from tests.fakes.authorization_server import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET,
    AuthorizationServer,
    authorizing,
)
from tests.test_server.conftest import Running, Start

ACCOUNT = "cin_5f0c9f0e6d3a4b1c8e7d2a90"
"""The authorization server's own name of the account."""


class Behind:
    """A server that takes tokens of `authorization` only; `api` is the owner."""

    def __init__(self, authorization: AuthorizationServer, running: Running, session: aiohttp.ClientSession) -> None:
        self.authorization = authorization
        self.running = running
        self.session = session
        authorization.answers["owner-token"] = authorization.owner()
        self.api = self.as_("owner-token")
        self.connector = Connector(self.api, "https://registry.pdpp.dev/connectors/mail")

    def as_(self, token: str | None) -> Api:
        return Api(self.session, self.running.url, token)

    def client(self, *streams: dict[str, Any]) -> Connector:
        """A client whose grant, made at the authorization server, is for these streams."""
        self.authorization.answers["client-token"] = self.authorization.client("mail", *streams)
        return Connector(self.as_("client-token"), self.connector.id)

    async def filled(self) -> None:
        assert (await self.connector.register()).status == 201
        notes = [note("a", "2026-01-01T00:00:00Z", text="A"), note("b", "2026-02-01T00:00:00Z", text="B")]
        await self.connector.put("notes", *notes, connector_instance_id=ACCOUNT)


def asked_at(url: str, issuer: str, audience: str | None) -> Introspect:
    return Introspect(url, CLIENT_ID, CLIENT_SECRET, Expected([issuer], audience))


@pytest.fixture
async def behind(start: Start) -> AsyncIterator[Behind]:
    async with authorizing() as authorization, aiohttp.ClientSession() as session:
        introspect = asked_at(f"{authorization.url}/introspect", authorization.url, AUDIENCE)
        async with start(introspect=introspect, authorization_servers=(authorization.url,)) as running:
            yield Behind(authorization, running, session)


STREAM = {"name": "notes", "instance_ids": [ACCOUNT], "fields": ["id", "at"]}


async def test_the_references_owner_writes_and_its_client_reads_under_the_grant(behind: Behind) -> None:
    await behind.filled()
    seen = behind.client(
        {**STREAM, "resources": ["a", "b"], "time_constraint": {"field": "at", "since": "2026-01-15T00:00:00Z"}}
    )
    (record,) = (await seen.api.get("/v1/streams/notes/records")).data
    assert (record["id"], record["data"]) == ("b", {"id": "b", "at": "2026-02-01T00:00:00Z"})
    refused(await seen.one("notes", "a"), 404, "not_found")
    refused(await seen.page("notes", fields="text"), 403, "field_not_granted")
    refused(await seen.page("log"), 403, "grant_stream_not_allowed")
    refused(await seen.ingest("notes", note("c")), 403, "insufficient_scope")
    assert len((await behind.connector.page("notes")).data) == 2


async def test_each_token_is_asked_about_once_and_nothing_else_is(behind: Behind) -> None:
    await behind.filled()
    seen = behind.client(STREAM)
    for _ in range(3):
        assert (await seen.page("notes")).status == 200
    assert behind.authorization.calls == ["owner-token", "client-token"]


async def test_accounts_of_another_name_are_not_in_the_grant(behind: Behind) -> None:
    await behind.filled()
    await behind.connector.put("notes", note("z"), connector_instance_id="cin_other")
    seen = behind.client(STREAM)
    assert sorted(key for page in await seen.pages("notes") for key in page) == ["a", "b"]


@pytest.mark.parametrize("reason", ["grant_revoked", "grant_expired", "grant_invalid"])
async def test_a_grant_that_ended_is_403_and_says_why(behind: Behind, reason: str) -> None:
    behind.authorization.answers["client-token"] = {"active": False, "inactive_reason": reason}
    refused(await behind.as_("client-token").get("/v1/streams"), 403, reason)


@pytest.mark.parametrize(
    "answer",
    [
        {"active": False},
        {"active": False, "inactive_reason": "context.active_false"},
        {"active": True, "pdpp_token_kind": "mcp_package", "subject_id": "owner_local"},
    ],
)
async def test_any_other_token_is_401(behind: Behind, answer: dict[str, Any]) -> None:
    behind.authorization.answers["token"] = {"iss": behind.authorization.url, "aud": AUDIENCE, **answer}
    for path in ("/v1/streams", "/v1/owner/connections"):
        refused(await behind.as_("token").get(path), 401, "authentication_error")


async def test_rights_that_cannot_be_enforced_are_never_served_from(behind: Behind) -> None:
    await behind.filled()
    seen = behind.client({**STREAM, "only_if": "the moon is full"})
    refused(await seen.page("notes"), 403, "grant_invalid")
    seen = behind.client(STREAM)
    behind.authorization.answers["client-token"]["pdpp"]["context_kind"] = "oauth_rar_9"
    refused(await seen.page("notes"), 400, "unsupported_version")


async def test_without_an_authorization_server_nobody_is_let_in(behind: Behind) -> None:
    async def down(request: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>")

    behind.authorization.fault = down
    answer = await behind.api.get("/v1/streams")
    refused(answer, 503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert b"html" not in answer.body
    behind.authorization.fault = None
    assert (await behind.api.get("/v1/streams")).status == 200


async def test_tokens_of_this_server_itself_open_nothing(behind: Behind) -> None:
    refused(await behind.as_(behind.running.token).get("/v1/streams"), 401, "authentication_error")
    asked = await introspected(behind.as_(None), behind.running.token, bearer="owner-token")
    assert asked.json == {"active": False}


async def test_grants_are_made_at_the_authorization_server(behind: Behind) -> None:
    await behind.filled()
    body = {"client_id": "app", "connector_id": "mail", "streams": [{"name": "notes"}]}
    refused(await behind.api.call("POST", "/v1/owner/grants", body=body), 409, "conflict")
    assert (await behind.api.get("/v1/owner/grants")).data == []


async def test_metadata_leads_to_the_authorization_server(behind: Behind) -> None:
    metadata = (await behind.as_(None).get("/.well-known/oauth-protected-resource")).json
    assert metadata["authorization_servers"] == [behind.authorization.url]
    assert metadata["pdpp_token_kinds_supported"] == ["owner", "client"]
    assert metadata["pdpp_discovery_hints"]["changes_since_bootstrap"] == "beginning"


async def test_what_a_client_was_shown_and_refused_is_on_the_owners_spine(behind: Behind) -> None:
    await behind.filled()
    seen = behind.client(STREAM)
    await seen.page("notes")
    await seen.page("log")
    found = (await behind.api.get("/v1/owner/disclosures", grant="grt_1")).data
    assert [(each["body"]["kind"], each["body"]["client"]) for each in found] == [
        ("disclosure.records", "longview"),
        ("disclosure.refused", "longview"),
    ]


# -- two of ours ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def two(start: Start) -> AsyncIterator[tuple[Running, Running]]:
    """An authorization server and a resource server behind it."""
    async with start("authorization", introspect_clients={CLIENT_ID: CLIENT_SECRET}) as first:
        introspect = asked_at(f"{first.url}/introspect", first.url, None)
        async with start("resource", introspect=introspect, authorization_servers=(first.url,)) as second:
            yield first, second


async def test_one_of_our_servers_is_the_authorization_server_of_another(start: Start) -> None:
    async with two(start) as (first, second), aiohttp.ClientSession() as session:
        there = Connector(Api(session, first.url, first.token), "mail")
        here = Connector(Api(session, second.url, first.token), "mail")
        await there.register()
        await here.register()
        await there.send("notes", b"", connector_instance_id=ACCOUNT)
        await here.put("notes", note("a", text="A"), note("b", text="B"), connector_instance_id=ACCOUNT)

        asked = {"client_id": "app", "connector_id": "mail", "expires_at": "2100-01-01T00:00:00Z"}
        streams = [{"name": "notes", "fields": ["id"], "instance_ids": [ACCOUNT], "resources": ["a"]}]
        made = (await there.api.call("POST", "/v1/owner/grants", body={**asked, "streams": streams})).json
        seen = Connector(Api(session, second.url, made["token"]), "mail")
        assert [each["data"] for each in (await seen.page("notes")).data] == [{"id": "a"}]

        revoked = (await there.api.call("POST", "/v1/owner/grants", body={**asked, "streams": streams})).json
        await there.api.call("POST", f"/v1/owner/grants/{revoked['grant_id']}/revoke")
        refused(await Api(session, second.url, revoked["token"]).get("/v1/streams"), 403, "grant_revoked")
        refused(await Api(session, second.url, second.token).get("/v1/streams"), 401, "authentication_error")


# -- what we answer ------------------------------------------------------------------------------------------------


async def introspected(
    api: Api, token: str, *, bearer: str | None = None, basic: tuple[str, str] | None = None, **form: str
) -> Answer:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    if basic is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(*basic, encoding="utf-8")
    url = f"{api.base_url}/introspect"
    async with api.session.post(url, data={"token": token, **form}, headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())


@pytest.fixture
async def asked(start: Start) -> AsyncIterator[tuple[Api, Running]]:
    clients = {"rs": "secret", "other": "ö:ther"}
    async with start(introspect_clients=clients) as running, aiohttp.ClientSession() as session:
        yield Api(session, running.url, None), running


async def test_other_servers_are_told_of_every_token(asked: tuple[Api, Running]) -> None:
    api, running = asked
    answer = await introspected(api, running.token, basic=("rs", "secret"), token_type_hint="access_token")
    assert answer.status == 200
    assert answer.json == {"iss": running.url, "active": True, "pdpp_token_kind": "owner", "subject_id": "ada"}
    assert "no-store" in answer.headers["Cache-Control"]
    assert (await introspected(api, "nobody's", basic=("other", "ö:ther"))).json == {"active": False}


async def test_the_answer_about_a_client_has_the_references_shape(asked: tuple[Api, Running]) -> None:
    api, running = asked
    mine = Connector(Api(api.session, running.url, running.token), "https://registry.pdpp.dev/connectors/mail")
    await mine.register()
    stream = {"name": "notes", "fields": ["id"], "resources": ["a"], "time_constraint": {"since": "2026-01-01"}}
    body = {"client_id": "app", "connector_id": "mail", "streams": [stream], "expires_at": "2100-01-01T00:00:00Z"}
    made = (await mine.api.call("POST", "/v1/owner/grants", body=body)).json
    granted = made["grant"]
    identity = {"grant_id": made["grant_id"], "client_id": "app", "subject_id": "ada"}
    assert (await introspected(api, made["token"], basic=("rs", "secret"))).json == {
        "active": True,
        "pdpp_token_kind": "client",
        "iss": running.url,
        "exp": 4102444800,
        **identity,
        "authorization_details": [
            {
                "type": "https://pdpp.dev/data-access",
                "access_mode": "continuous",
                "purpose_code": granted["purpose_code"],
                "source": {"kind": "connector", "id": mine.id},
                "streams": granted["streams"],
            }
        ],
        "pdpp": {
            "context_kind": "oauth_rar_0_1",
            **identity,
            "issued_at": granted["issued_at"],
            "source": {"kind": "connector", "id": mine.id},
            "source_declaration": {"version": "1.0.0"},
        },
        "grant_storage_binding": {"connector_id": "mail"},
    }
    await mine.api.call("POST", f"/v1/owner/grants/{made['grant_id']}/revoke")
    answer = await introspected(api, made["token"], basic=("rs", "secret"))
    assert answer.json == {"active": False, "inactive_reason": "grant_revoked"}


async def test_an_owner_is_told_of_their_own_tokens_only(asked: tuple[Api, Running]) -> None:
    api, running = asked
    bobs = await running.store.access.create_owner_token("bob", None)
    assert (await introspected(api, running.token, bearer=running.token)).json["active"] is True
    assert (await introspected(api, bobs, bearer=running.token)).json == {"active": False}
    assert (await introspected(api, running.token, bearer=bobs)).json == {"active": False}


async def test_a_client_may_not_introspect(asked: tuple[Api, Running]) -> None:
    api, running = asked
    mine = Connector(Api(api.session, running.url, running.token), "mail")
    await mine.register()
    body = {"client_id": "app", "connector_id": "mail", "streams": [{"name": "notes"}]}
    token = (await mine.api.call("POST", "/v1/owner/grants", body=body)).json["token"]
    refused(await introspected(api, token, bearer=token), 403, "insufficient_scope")


@pytest.mark.parametrize(
    "basic", [None, ("rs", "wrong"), ("rs", ""), ("", "secret"), ("RS", "secret"), ("other", "secret"), ("nobody", "")]
)
async def test_without_good_credentials_nobody_is_told_anything(
    asked: tuple[Api, Running], basic: tuple[str, str] | None
) -> None:
    api, running = asked
    answer = await introspected(api, running.token, basic=basic)
    refused(answer, 401, "authentication_error")
    assert 'Basic realm="introspection"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Basic cnM=", "Basic /////w==", "Basic cnM6c2VjcmV0 x"])
async def test_credentials_that_are_none_are_refused(asked: tuple[Api, Running], header: str) -> None:
    api, _ = asked
    answer = await api.call("POST", "/introspect", body=b"token=x", headers={"Authorization": header})
    refused(answer, 401, "authentication_error")


@pytest.mark.parametrize("body", ["", "tok=x", "token=", "token=a&token=b", "token=%ff", json.dumps({"token": "x"})])
async def test_a_form_without_one_token_is_refused(asked: tuple[Api, Running], body: str) -> None:
    api, running = asked
    headers = {"Authorization": f"Bearer {running.token}", "Content-Type": "application/x-www-form-urlencoded"}
    refused(await api.call("POST", "/introspect", body=body.encode(), headers=headers), 400, "invalid_request")


async def test_a_body_of_another_type_is_refused(asked: tuple[Api, Running]) -> None:
    api, running = asked
    refused(
        await Api(api.session, running.url, running.token).call("POST", "/introspect", body={"token": "x"}),
        415,
        "unsupported_media_type",
    )
