"""Attachments of attackers, opened in a real browser that is let in: no script of theirs runs in our origin."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

import pytest
from playwright.sync_api import APIRequestContext, Browser, Error, Page

from server.disposition import is_shown
from tests.conformance.http.api import note
from tests.conformance.http.own_server import Target
from tests.fakes import hostile
from tests.fakes.browser import Alarm
from tests.fakes.hostile import Hostile
from tests.test_console.uploading import Source

FILES = {str(number): file for number, file in enumerate(hostile.files())}

EMBED = """([urls, kinds]) => Promise.all(urls.flatMap(url => kinds.map(kind => {
    const element = document.createElement(kind)
    element[kind === "object" ? "data" : "src"] = url
    return new Promise(done => {
        element.onload = element.onerror = done
        setTimeout(done, 1000)  // what is saved, and not shown, tells nobody
        document.body.append(element)
    })
})))"""
"""Shows each address in each of these elements."""

NAMES = [*hostile.texts("name")[:4], "../../x.html", "photo\u202egpj.exe", "a\r\nb\0.htm"]


@pytest.fixture(scope="module")
def careless() -> Iterator[str]:
    """A server that shows every file as what it says it is, or lets the browser guess."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = FILES.get(self.path.rpartition("/")[2])
            self.send_response(200 if file else 404)
            if file and file.taken_for:
                self.send_header("Content-Type", file.taken_for)
            self.end_headers()
            self.wfile.write(file.data if file else b"")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def blobs(api: APIRequestContext) -> Mapping[str, Hostile]:
    """The hostile files by the paths that our server has for them; their names are hostile, too."""
    source, stored = Source.registered(api, "https://hostile.example/"), {}
    for key, file in FILES.items():
        ref = source.upload(key, file.data, file.media_type)
        names = hostile.texts(file.name)
        source.put("notes", note(key, blob_ref=ref, filename=names[int(key) % len(names)]))
        stored[f"/v1/blobs/{ref['blob_id']}"] = file
    return stored


@pytest.fixture(scope="module")
def page(browser: Browser, served: Target) -> Iterator[Page]:
    """A page of our own origin, whose every request carries the owner's token: worse than any real browser."""
    with browser.new_context(extra_http_headers={"Authorization": f"Bearer {served.token}"}) as context:
        yield context.new_page()


@pytest.fixture
def alarm(page: Page, served: Target) -> Alarm:
    """Tells which hostile scripts ran in it from now on."""
    page.goto(served.base_url + "/openapi.json")
    return Alarm(page.context)


def embed(page: Page, urls: Sequence[str], *kinds: str) -> None:
    """Show each address in elements of these kinds, and wait until they have loaded."""
    page.evaluate(EMBED, [urls, kinds])


def test_each_hostile_file_runs_its_script_where_a_server_is_careless(careless: str, page: Page, alarm: Alarm) -> None:
    embed(page, [f"{careless}/{number}" for number in FILES], "iframe")
    alarm.wait(page, {file.name for file in FILES.values()})


def test_no_blob_that_is_shown_runs_a_script(
    served: Target, blobs: Mapping[str, Hostile], page: Page, alarm: Alarm
) -> None:
    shown = [path for path, file in blobs.items() if is_shown(file.media_type)]
    assert len(shown) > 5
    for path in shown:
        with suppress(Error):  # Chromium has no viewer for what is no picture
            page.goto(served.base_url + path)
    assert not alarm.heard


def test_no_blob_runs_a_script_inside_a_page_of_our_origin(
    blobs: Mapping[str, Hostile], page: Page, alarm: Alarm
) -> None:
    embed(page, list(blobs), "iframe")
    embed(page, list(blobs)[::8], "object", "embed", "img")
    assert not alarm.heard


def test_a_blob_is_no_script_and_no_style_of_a_page(api: APIRequestContext, page: Page, alarm: Alarm) -> None:
    source = Source.registered(api, "https://scripts.example/")
    for kind in ("text/plain", "image/png", "application/octet-stream"):
        ref = source.upload(kind, f"console.log('ran:{kind}')".encode(), kind)
        source.put("notes", note(kind, blob_ref=ref))
        with suppress(Error):
            page.add_script_tag(url=f"/v1/blobs/{ref['blob_id']}")
    assert not alarm.heard


def test_a_saved_file_has_a_harmless_name(api: APIRequestContext, served: Target, page: Page) -> None:
    source = Source.registered(api, "https://names.example/")
    for name in NAMES:
        ref = source.upload(name, name.encode(), "text/html")
        source.put("notes", note(name, blob_ref=ref, filename=name))
        with page.expect_download() as download, suppress(Error):
            page.goto(served.base_url + f"/v1/blobs/{ref['blob_id']}")
        assert not set(unquote(download.value.suggested_filename)) & set('/\\\r\n\0\u202e<>"'), name


def test_no_refusal_runs_what_was_asked_for(page: Page, alarm: Alarm) -> None:
    asked = [quote(text, safe="") for text in hostile.texts("refusal")]
    paths = ("/v1/blobs/{}", "/v1/streams/{}", "/{}", "/v1/streams?connector_id={}")
    embed(page, [path.format(text) for path in paths for text in asked], "iframe")
    assert not alarm.heard
