"""The HTTP suite's own callers, in front of whom stands an nginx as it is shipped."""

import ssl
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from yarl import URL

from tests.conformance.http.conftest import anyone, api, connector, documented, is_ours, stranger
from tests.conformance.http.own_server import Target, serving
from tests.fakes.nginx import Nginx, proxying

__all__ = ["anyone", "api", "connector", "documented", "is_ours", "stranger"]


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Our server alone, fit to let nginx send files."""
    with serving(tmp_path_factory.mktemp("served"), sendfile=True) as served:
        yield served


@pytest.fixture(scope="session")
def nginx(own: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx in front of it, which sends blobs by itself."""
    assert own.directory is not None
    folder = tmp_path_factory.mktemp("proxy") / "nginx"
    with proxying(folder, [URL(own.base_url).authority], own.directory / "blobs") as running:
        yield running


@pytest.fixture(scope="session")
def target(nginx: Nginx, own: Target) -> Target:
    return Target(nginx.url, own.token, own.other_token, own.directory)


@pytest.fixture(scope="session")
def trust(nginx: Nginx) -> ssl.SSLContext:
    return nginx.trust


@pytest.fixture
async def session(trust: ssl.SSLContext) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:
        yield session
