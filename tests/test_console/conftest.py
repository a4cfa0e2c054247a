"""One Chromium and one server for a whole module, whose tests may not be coroutines."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import APIRequestContext, Browser, BrowserContext, Playwright

from tests.conformance.http.own_server import Target, serving
from tests.fakes.browser import Alarm, driving
from tools.browser import chromium


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """An empty server."""
    with serving(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with driving() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def api(playwright: Playwright, served: Target) -> Iterator[APIRequestContext]:
    """The owner, past any browser."""
    headers = {"Authorization": f"Bearer {served.token}"}
    context = playwright.request.new_context(base_url=served.base_url, extra_http_headers=headers)
    yield context
    context.dispose()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of somebody who was nowhere yet."""
    with browser.new_context(accept_downloads=True) as context:
        yield context


@pytest.fixture
def alarm(context: BrowserContext) -> Alarm:
    """Tells which hostile scripts ran in that browser."""
    return Alarm(context)
