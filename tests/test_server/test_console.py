"""The console over HTTP: who gets in, what a form needs, and what every page carries. Browsers are in test_console/."""

import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, DummyCookieJar

from server.console import attempts, session
from server.console.session import COOKIE
from server.errors import NoAuthorization
from server.keys import RESOLVER
from tests.fakes.console import HERE, Browser
from tests.test_server.conftest import Running, Start


@pytest.fixture
async def browser(running: Running) -> AsyncIterator[Browser]:
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        yield Browser(running, http)


async def test_who_signs_in_has_the_token_in_a_cookie_that_only_these_pages_get(browser: Browser) -> None:
    answer, _ = await browser.get("/console")
    assert (answer.status, answer.headers["Location"]) == (303, "/console/sign-in")
    answer = await browser.send("/console/sign-in", {"token": f" {browser.running.token}\n", "next": "/console?a=b"})
    assert (answer.status, answer.headers["Location"]) == (303, "/console?a=b")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}={browser.running.token};")
    assert {"HttpOnly", "Path=/console", "SameSite=Strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    browser.token = browser.running.token
    answer, page = await browser.get("/console")
    assert answer.status == 200
    assert "ada" in page
    assert browser.running.token not in page
    answer = await browser.submit("/console/sign-out")
    assert (answer.status, answer.headers["Location"]) == (303, "/console/sign-in")
    assert answer.headers["Set-Cookie"].startswith(f'{COOKIE}="";')
    assert answer.headers["Clear-Site-Data"] == '"cache"'


async def test_over_https_the_cookie_is_secure(start: Start) -> None:
    async with (
        start(public_url="https://store.example/") as running,
        ClientSession(cookie_jar=DummyCookieJar()) as http,
    ):
        here = {"Origin": "https://store.example"}
        answer = await Browser(running, http).send("/console/sign-in", {"token": running.token}, here)
        assert answer.status == 303
        assert "Secure" in answer.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example",
        "//evil.example",
        "/consoles",
        "/console\\..",
        "/v1/blobs",
        "/console/../v1",
        "/console/%2e%2E/v1",
    ],
)
async def test_signing_in_leads_nowhere_but_into_the_console(browser: Browser, where: str) -> None:
    answer = await browser.send("/console/sign-in", {"token": browser.running.token, "next": where})
    assert answer.headers["Location"] == "/console"


@pytest.mark.parametrize("token", ["", "nonsense", "pdpp_" + "A" * 43, "<script>", "a b", "ü"])
async def test_a_token_that_is_none_is_refused(browser: Browser, token: str) -> None:
    answer = await browser.send("/console/sign-in", {"token": token})
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    browser.token = "nonsense"
    answer, _ = await browser.get("/console")
    assert answer.status == 303


async def test_who_sends_many_wrong_tokens_has_to_wait_and_nobody_else_does(running: Running, browser: Browser) -> None:
    def through_a_proxy(address: str) -> dict[str, str]:
        return {**HERE, "X-Forwarded-For": f"192.0.2.1, {address}"}

    async def status(token: str, headers: dict[str, str]) -> int:
        return (await browser.send("/console/sign-in", {"token": token}, headers)).status

    for wrong in ("nonsense", "<script>"):
        tried = [await status(wrong, through_a_proxy(f"2001:db8::{each}")) for each in range(1, attempts.MOST + 2)]
        assert set(tried) == ({403, 429} if wrong == "nonsense" else {429})
    answer = await browser.send("/console/sign-in", {"token": running.token}, through_a_proxy("2001:db8::ffff"))
    assert (answer.status, "Set-Cookie" in answer.headers) == (429, False)
    assert 0 < int(answer.headers["Retry-After"]) <= 2 * attempts.SECONDS
    assert await status(running.token, through_a_proxy("2001:db9::1")) == 303
    assert await status(running.token, HERE) == 303


async def test_a_token_of_which_nobody_could_say_whether_it_is_known_is_not_counted(
    running: Running, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(token: str) -> None:
        raise NoAuthorization("the authorization server does not answer")

    monkeypatch.setattr(running.app[RESOLVER], "resolve", fail)
    tried = [await browser.send("/console/sign-in", {"token": running.token}) for _ in range(attempts.MOST + 1)]
    assert {answer.status for answer in tried} == {503}


async def test_who_signs_in_often_never_waits(running: Running, browser: Browser) -> None:
    for _ in range(2 * attempts.MOST):
        assert (await browser.send("/console/sign-in", {"token": running.token})).status == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://test"},
    ],
)
async def test_a_form_from_another_site_is_refused(browser: Browser, headers: dict[str, str]) -> None:
    answer = await browser.send("/console/sign-in", {"token": browser.running.token}, headers)
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    browser.token = browser.running.token
    fields = {"form_key": session.form_key(browser.token)}
    assert (await browser.send("/console/sign-out", fields, headers)).status == 403


async def test_a_form_of_an_old_browser_says_its_origin(browser: Browser) -> None:
    browser.token = browser.running.token
    fields = {"form_key": session.form_key(browser.token)}
    assert (await browser.send("/console/sign-out", fields, {"Origin": browser.running.url})).status == 303


@pytest.mark.parametrize("key", ["", "0" * 64, "ü"])
async def test_a_form_without_the_key_of_its_session_is_refused(browser: Browser, key: str) -> None:
    browser.token = browser.running.token
    assert (await browser.send("/console/sign-out", {"form_key": key})).status == 403
    assert (await browser.send("/console/sign-out", {})).status == 403


async def test_every_page_keeps_scripts_and_other_sites_out(browser: Browser) -> None:
    browser.token = browser.running.token
    for path in ("/console", "/console/sign-in", "/console/nothing", "/console/sign-out"):
        answer, page = await browser.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';")
        assert not re.search(r"script|unsafe|data:|\*", policy)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.content_type == "text/html"
        assert "<script" not in page
        assert " style=" not in page


async def test_errors_are_pages(browser: Browser) -> None:
    answer, page = await browser.get("/console/nothing")
    assert (answer.status, "There is no such page." in page) == (404, True)
    assert answer.headers["Request-Id"] in page
    assert "<nav" not in page
    browser.token = browser.running.token
    answer, page = await browser.get("/console/nothing")
    assert (answer.status, 'aria-label="Console"' in page) == (404, True)
    answer = await browser.send("/console", {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    answer = await browser.send("/console/sign-in", {"token": "x" * (1 << 20)})
    assert answer.status == 413


async def test_what_pages_load_is_kept_and_has_another_address_when_it_changes(browser: Browser) -> None:
    _, page = await browser.get("/console/sign-in")
    for name, kind in (("console.css", "text/css"), ("icon.svg", "image/svg+xml")):
        found = re.search(rf'"(/console/static/{re.escape(name)}\?[0-9a-f]+)"', page)
        assert found is not None
        answer, _ = await browser.get(found[1])
        assert (answer.status, answer.content_type) == (200, kind)
        assert "immutable" in answer.headers["Cache-Control"]
    assert (await browser.get("/console/static/nothing"))[0].status == 404
