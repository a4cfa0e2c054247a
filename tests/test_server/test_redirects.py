"""Large downloads that clients fetch from S3 by themselves (`--redirect-downloads`)."""

import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from records.layout import Topology
from server.redirected import LARGE
from tests.conformance.http.api import Answer, Api, Connector, fresh_name
from tests.conformance.http.granting import grant
from tests.conformance.http.library import covered, filled
from tests.conformance.http.own_server import Target, serving
from tests.conformance.http.test_blob_download import make
from tests.fakes.s3 import S3Server
from tests.fakes.topologies import Storage
from tests.test_server.conftest import Start

SMALL = b"small"


@pytest.fixture
def data() -> bytes:
    """Of this test alone."""
    return secrets.token_bytes(16) + bytes(2 * LARGE)


@pytest.fixture(scope="module", params=["https"])
def target(request: pytest.FixtureRequest, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    where = s3.where(tls=request.param == "https")
    with serving(tmp_path_factory.mktemp("data"), Storage(Topology.SINGLE, where=where), redirect_seconds=60) as target:
        yield target


@pytest.fixture
async def session(s3: S3Server) -> AsyncIterator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cafile=s3.ca_bundle)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        yield session


@pytest.fixture
def api(target: Target, session: aiohttp.ClientSession) -> Api:
    return Api(session, target.base_url, target.token)


async def follow(api: Api, path: str, **headers: str) -> tuple[Answer, list[int]]:
    """As clients do: the same headers again, but for the token at another origin. And the statuses on the way."""
    sent = {"Authorization": f"Bearer {api.token}", **{name.replace("_", "-"): text for name, text in headers.items()}}
    async with api.session.get(URL(api.base_url + path, encoded=True), headers=sent) as response:
        answer = Answer(response.status, response.headers, await response.read())
        return answer, [each.status for each in response.history]


async def disclosed(api: Api, blob_id: str) -> list[tuple[Any, ...]]:
    found = [each["body"] for each in (await api.get("/v1/owner/disclosures", blob=blob_id)).data]
    return [(each.get("ranges") or (each["end"], each["sent"])) for each in found]


@pytest.mark.parametrize("target", ["http", "https"], indirect=True)
async def test_a_client_that_follows_gets_the_bytes_and_ranges_of_them(api: Api, data: bytes) -> None:
    library = await filled(api)
    path = f"/v1/blobs/{await covered(library, 'x', data)}"
    answer, way = await follow(api, path)
    assert (answer.status, answer.body, way) == (200, data, [302])
    answer, way = await follow(api, path, Range=f"bytes=7-{LARGE + 7}")
    assert (answer.status, answer.body, way) == (206, data[7 : LARGE + 8], [302])
    assert answer.headers["Content-Range"] == f"bytes 7-{LARGE + 7}/{len(data)}"
    answer, way = await follow(api, path, If_None_Match='"another"')
    assert (answer.status, len(answer.body), way) == (200, len(data), [302])


async def test_the_answer_says_where_and_nothing_of_who(api: Api, data: bytes) -> None:
    library = await filled(api)
    blob_id = await covered(library, "x", data)
    made = (await grant(library, {"name": "books"})).json
    reader = Api(api.session, api.base_url, made["token"])
    answer = await reader.get(f"/v1/blobs/{blob_id}")
    assert (answer.status, answer.body) == (302, b"")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    location = URL(answer.headers["Location"])
    assert location.query["X-Amz-Expires"] == "60"
    for secret in (made["token"], made["grant_id"], "an-app", "ada"):
        assert secret not in str(location)


@pytest.mark.parametrize(
    ("media_type", "shown", "disposition"),
    [
        ("image/png", "image/png", 'inline; filename="cat.png"'),
        ("text/html", "application/octet-stream", 'attachment; filename="cat.png"'),
    ],
)
async def test_what_a_browser_must_not_show_comes_as_a_nameless_type_to_be_saved(
    api: Api, data: bytes, media_type: str, shown: str, disposition: str
) -> None:
    connector = Connector(api, fresh_name())
    await connector.register()
    blob = await make(connector, data, media_type, filename="cat.png")
    assert (await blob.ask("HEAD")).headers["Content-Type"] == media_type
    answer, way = await follow(api, f"/v1/blobs/{blob.id}")
    assert (answer.status, answer.body == data, way) == (200, True, [302])
    assert answer.headers["Content-Type"] == shown
    assert answer.headers["Content-Disposition"] == disposition


async def test_the_whole_is_on_the_spine_before_the_address_is_given_away(api: Api, data: bytes) -> None:
    library = await filled(api)
    blob_id = await covered(library, "x", data)
    reader = Api(api.session, api.base_url, (await grant(library, {"name": "books"})).json["token"])
    answer = await reader.call("GET", f"/v1/blobs/{blob_id}", headers={"Range": f"bytes=0-{LARGE}"})
    assert answer.status == 302
    whole = [[0, len(data)]]
    assert await disclosed(api, blob_id) == [whole, ("delegated", whole)]


async def test_what_costs_less_from_here_or_would_be_judged_otherwise_there_is_sent_here(api: Api, data: bytes) -> None:
    library = await filled(api)
    path = f"/v1/blobs/{await covered(library, 'x', data)}"
    tag = (await api.call("HEAD", path)).headers["ETag"]
    statuses = {
        206: [{"Range": "bytes=0-9"}, {"Range": f"bytes=0-{LARGE}", "If-Range": tag}, {"Range": f"bytes=0-{LARGE},-1"}],
        200: [
            {"If-Match": tag},
            {"If-Range": tag},
            {"If-Modified-Since": "Sat, 29 Oct 2094 19:43:31 GMT"},
            {"If-Unmodified-Since": "Sat, 29 Oct 1994 19:43:31 GMT"},
            {"Range": "bytes = 0-1048579"},
        ],
        304: [{"If-None-Match": tag}],
        412: [{"If-Match": '"another"'}],
        416: [{"Range": f"bytes={len(data)}-"}],
    }
    for status, all_asked in statuses.items():
        for asked in all_asked:
            assert (await api.call("GET", path, headers=asked)).status == status, asked
    assert (await api.call("HEAD", path)).status == 200
    small = await api.get(f"/v1/blobs/{await covered(library, 'y', SMALL)}")
    assert (small.status, small.body) == (200, SMALL)


async def test_who_may_not_see_it_learns_no_address(api: Api, data: bytes) -> None:
    library = await filled(api)
    blob_id = await covered(library, "x", data)
    made = (await grant(library, {"name": "books", "fields": ["title"]})).json
    answer = await Api(api.session, api.base_url, made["token"]).get(f"/v1/blobs/{blob_id}")
    assert (answer.status, "Location" in answer.headers) == (404, False)


async def test_where_bytes_are_files_everything_is_sent_from_here(
    start: Start, session: aiohttp.ClientSession, data: bytes
) -> None:
    async with start("files", redirect_seconds=60) as running:
        library = await filled(Api(session, running.url, running.token))
        answer = await library.api.get(f"/v1/blobs/{await covered(library, 'x', data)}")
        assert (answer.status, answer.body) == (200, data)
