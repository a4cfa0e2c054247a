"""The HTTP surface of any server: `pytest tests/conformance/http --base-url URL --token T [--other-token T]`.

Without options they run against our own, started on a free port. Every test keeps to a connector of its own. Tests of
what is this project's own (grants and the audit log over HTTP) carry the mark `ours`; elsewhere they are skipped.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import aiohttp
import pytest

from tests.conformance.http import document
from tests.conformance.http.api import Answer, Api, Connector, fresh_name
from tests.conformance.http.own_server import Target, serving
from tests.fakes.topologies import kinds, stored_in


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--base-url", help="test this server instead of starting one")
    parser.addoption("--token", help="an owner's token for it")
    parser.addoption("--other-token", help="another owner's token for it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test once for each topology; but for `single` a seeded sample of them, where sizes are not full."""
    if "target" in metafunc.fixturenames and not metafunc.config.getoption("--base-url", default=None):
        test = metafunc.definition.nodeid
        metafunc.parametrize("target", kinds(test), ids=str, indirect=True, scope="session")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    base_url = request.config.getoption("--base-url", default=None)
    if base_url:
        yield Target(base_url, request.config.getoption("--token"), request.config.getoption("--other-token"))
        return
    with (
        stored_in(request.param, request) as storage,
        serving(tmp_path_factory.mktemp("served"), storage) as own,
    ):
        yield own


@pytest.fixture(autouse=True)
def documented(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer of our own server is one that its OpenAPI document allows."""
    if pytestconfig.getoption("--base-url", default=None):
        return
    call = Api.call

    async def judged(caller: Api, method: str, path: str, *args: Any, **options: Any) -> Answer:
        answer = await call(caller, method, path, *args, **options)
        document.judge(method, path.partition("?")[0], answer.status, answer.headers, answer.body)
        return answer

    monkeypatch.setattr(Api, "call", judged)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        yield session


@pytest.fixture(scope="session")
def is_ours(target: Target) -> bool:
    """Whether the server makes grants itself: it says what is wrong with a request that asks for nothing."""
    headers = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"}
    try:
        urlopen(Request(target.base_url.rstrip("/") + "/v1/owner/grants", b"{}", headers)).close()
    except HTTPError as answer:
        return answer.code == 400
    return False


@pytest.fixture(autouse=True)
def needs_ours(request: pytest.FixtureRequest) -> None:
    """Skips what is marked `ours` where the server is another."""
    if request.node.get_closest_marker("ours") and not request.getfixturevalue("is_ours"):
        pytest.skip("the server has no grants of its own")


@pytest.fixture
def api(session: aiohttp.ClientSession, target: Target) -> Api:
    """The owner."""
    return Api(session, target.base_url, target.token)


@pytest.fixture
def stranger(session: aiohttp.ClientSession, target: Target) -> Api:
    """Another owner of the same server."""
    if target.other_token is None:
        pytest.skip("no --other-token was given")
    return Api(session, target.base_url, target.other_token)


@pytest.fixture
def anyone(session: aiohttp.ClientSession, target: Target) -> Api:
    """Nobody in particular: no token."""
    return Api(session, target.base_url, None)


@pytest.fixture
async def connector(api: Api) -> Connector:
    """A registered connector with the streams of `api.MANIFEST`."""
    connector = Connector(api, fresh_name())
    assert (await connector.register()).status == 201
    return connector
