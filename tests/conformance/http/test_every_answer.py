"""What holds for every request: identification, versions, errors in one form, strict parameters, HEAD."""

import re

import pytest

from tests.conformance.http.api import Api, Connector, note, part, refused

READS = (
    "/v1/connectors",
    "/v1/streams",
    "/v1/streams/notes",
    "/v1/streams/notes/records",
    "/v1/owner/connections",
    "/v1/owner/spine",
    "/v1/owner/spine/checkpoint",
    "/v1/owner/usage",
)
OWNER_ROUTES = (
    *(("GET", path) for path in READS),
    ("GET", "/v1/connectors/x"),
    ("GET", "/v1/state/x"),
    ("GET", "/v1/streams/notes/records/x"),
    ("GET", "/v1/blobs/x"),
    ("GET", "/v1/owner/erasures/x"),
    ("GET", "/v1/owner/export"),
    ("GET", "/v1/owner/blobs/x"),
    ("POST", "/v1/owner/collect"),
    ("GET", "/v1/owner/grants"),
    ("POST", "/v1/owner/grants"),
    ("POST", "/v1/owner/grants/x/revoke"),
    ("POST", "/v1/connectors"),
    ("POST", "/connectors"),
    ("POST", "/v1/ingest/notes"),
    ("POST", "/v1/blobs"),
    ("PUT", "/v1/state/x"),
    ("DELETE", "/v1/streams/notes/records"),
    ("DELETE", "/v1/streams/notes/records/x"),
    ("DELETE", "/v1/owner/connectors/x"),
    ("DELETE", "/v1/owner/connections/x"),
)
VERSION = "2026-04-06"


@pytest.mark.parametrize(("method", "path"), OWNER_ROUTES)
@pytest.mark.parametrize("authorization", [None, "Bearer nobody-has-this", "Basic YTpi", "Bearer", "Bearer a b"])
async def test_without_a_good_token_the_answer_is_401(
    anyone: Api, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await anyone.call(method, path, headers=headers)
    if method == "HEAD":
        assert answer.status == 401
        return
    error = refused(answer, 401, "authentication_error")
    challenge = re.fullmatch(r'Bearer resource_metadata="(.+)"', answer.headers["WWW-Authenticate"])
    assert challenge is not None
    assert challenge[1] == error["resource_metadata"]
    assert challenge[1].endswith("/.well-known/oauth-protected-resource")


async def test_two_authorization_headers_are_no_token(api: Api, anyone: Api) -> None:
    url = f"{api.base_url}/v1/streams"
    headers = [("Authorization", f"Bearer {api.token}"), ("Authorization", f"Bearer {api.token}")]
    async with api.session.get(url, headers=headers) as response:
        assert response.status == 401


async def test_the_scheme_of_a_token_has_no_case(api: Api, anyone: Api) -> None:
    assert (await anyone.call("GET", "/v1/streams", headers={"Authorization": f"bEARER {api.token}"})).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/.well-known/oauth-protected-resource"])
@pytest.mark.ours
async def test_what_needs_no_token_is_answered_without_one(anyone: Api, path: str) -> None:
    assert (await anyone.get(path)).status == 200


async def test_the_challenge_leads_to_metadata_of_this_server(anyone: Api) -> None:
    challenge = (await anyone.get("/v1/streams")).json["error"]["resource_metadata"]
    async with anyone.session.get(challenge) as response:
        metadata = await response.json()
    assert metadata["resource"] == challenge.removesuffix("/.well-known/oauth-protected-resource")
    assert metadata["pdpp_core_query_base"] == metadata["resource"] + "/v1"
    assert metadata["bearer_methods_supported"] == ["header"]
    assert isinstance(metadata["authorization_servers"], list)
    assert metadata["pdpp_discovery_hints"]["blob_indirection"] == "data.blob_ref.fetch_url"


async def test_metadata_names_no_address_that_is_not_served(connector: Connector) -> None:
    metadata = (await connector.api.get("/.well-known/oauth-protected-resource")).json
    hints = metadata["pdpp_discovery_hints"]
    addresses = [each for each in (*metadata.values(), *hints.values()) if str(each).startswith(metadata["resource"])]
    for address in set(addresses) - {metadata["resource"], metadata["pdpp_core_query_base"]}:
        path = address.removeprefix(metadata["resource"]).replace("{stream}", "notes")
        assert (await connector.api.get(path, connector_id=connector.id)).status == 200, address
    assert hints["changes_since_bootstrap"] == "beginning"
    assert set(metadata["pdpp_token_kinds_supported"]) == {"owner", "client"}


async def test_a_host_that_a_client_makes_up_is_never_repeated(anyone: Api) -> None:
    for path in ("/.well-known/oauth-protected-resource", "/v1/streams"):
        answer = await anyone.call("GET", path, headers={"Host": "evil.example"})
        assert b"evil.example" not in answer.body
        assert "evil.example" not in str(answer.headers)


@pytest.mark.parametrize(
    ("method", "path"), [*OWNER_ROUTES, ("GET", "/healthz"), ("GET", "/nowhere"), ("PATCH", "/v1/streams")]
)
async def test_every_answer_has_a_request_id_the_version_and_safe_headers(api: Api, method: str, path: str) -> None:
    answer = await api.call(method, path)
    assert re.fullmatch(r"req_[0-9a-f]{16}", answer.headers["Request-Id"])
    assert answer.headers["PDPP-Version"] == VERSION
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer.headers["Cache-Control"]
    assert "aiohttp" not in answer.headers.get("Server", "")
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_sane_request_id_is_echoed(api: Api, anyone: Api) -> None:
    for caller, path in ((api, "/v1/streams"), (anyone, "/v1/streams"), (api, "/nowhere")):
        answer = await caller.call("GET", path, headers={"Request-Id": "my-id.7"})
        assert answer.headers["Request-Id"] == "my-id.7"


@pytest.mark.parametrize("said", ["", "a b", "x" * 129, "é", '"quoted"'])
async def test_a_request_id_that_is_none_is_replaced(api: Api, said: str) -> None:
    answer = await api.call("GET", "/v1/streams", headers={"Request-Id": said})
    assert answer.headers["Request-Id"].startswith("req_")


async def test_the_version_that_is_spoken_may_be_asked_for(api: Api) -> None:
    answer = await api.call("GET", "/v1/streams", headers={"PDPP-Version": VERSION})
    assert answer.status == 200
    assert answer.headers["PDPP-Version"] == VERSION


@pytest.mark.parametrize("version", ["2020-01-01", "latest", "", f"{VERSION}, {VERSION}"])
async def test_another_version_is_refused(api: Api, version: str) -> None:
    refused(await api.call("GET", "/v1/streams", headers={"PDPP-Version": version}), 400, "unsupported_version")


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/nothing", "/v1/streams/", "//v1/streams", "/v1/streams/a/b/c"]
)
async def test_an_unknown_path_is_404_in_the_contracts_form(api: Api, path: str) -> None:
    refused(await api.get(path), 404, "not_found")


async def test_a_method_that_a_path_has_not_is_405_and_names_those_it_has(api: Api) -> None:
    answer = await api.call("POST", "/v1/streams")
    refused(answer, 405, "method_not_allowed")
    assert {each.strip() for each in answer.headers["Allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize("path", [*READS, "/v1/connectors/x", "/v1/state/x", "/v1/owner/erasures/x"])
async def test_an_unknown_parameter_is_refused_by_name(api: Api, path: str) -> None:
    error = refused(await api.get(path, surprise="1"), 400, "invalid_request", "surprise")
    assert "surprise" in error["message"]


@pytest.mark.parametrize("name", ["connector_id", "limit", "order", "cursor", "connection_id"])
async def test_a_repeated_parameter_is_refused(connector: Connector, name: str) -> None:
    answer = await connector.api.call("GET", "/v1/streams/notes/records", [(name, "asc"), (name, "asc")])
    refused(answer, 400, "invalid_request", name)


@pytest.mark.parametrize("query", ["connector_id=%ff", "%ff=1", "limit=%c3%28"])
async def test_a_query_that_is_not_utf8_is_refused(api: Api, query: str) -> None:
    refused(await api.get(f"/v1/streams/notes/records?{query}"), 400, "invalid_request")


async def test_a_path_that_is_not_utf8_is_refused(api: Api) -> None:
    refused(await api.get("/v1/streams/%ff/records"), 400, "invalid_request")


async def test_head_answers_like_get_without_the_body(connector: Connector) -> None:
    await connector.put("notes", note("a"))
    paths = (*READS, "/healthz", "/readyz", f"/v1/streams/notes/records/a?connector_id={part(connector.id)}")
    for path in (*paths, "/v1/streams/nothing", "/nowhere", f"/v1/connectors/{part(connector.id)}"):
        got, headed = await connector.api.call("GET", path), await connector.api.call("HEAD", path)
        assert (headed.status, headed.body) == (got.status, b"")
        assert headed.headers["Content-Type"] == got.headers["Content-Type"]
        if not path.startswith("/v1/owner/spine"):  # it grows while it is looked at
            assert int(headed.headers["Content-Length"]) == len(got.body)


async def test_an_expectation_other_than_continue_is_417(api: Api) -> None:
    for path in ("/v1/connectors", "/nowhere"):
        answer = await api.call("POST", path, body=b"{}", headers={"Expect": "a-miracle"})
        refused(answer, 417, "expectation_failed")


@pytest.mark.ours
async def test_readiness_names_what_it_looked_at(anyone: Api) -> None:
    answer = await anyone.get("/readyz")
    assert answer.json == {"status": "ready", "checks": {"records": "ok", "blobs": "ok", "space": "ok"}}
