"""Attachments in the console, in a real browser: pictures, a film that is moved about in, a PDF, text."""

from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import APIRequestContext, BrowserContext, Page

from server.console.session import COOKIE
from tests.conformance.http.api import note
from tests.conformance.http.own_server import Target
from tests.test_console.uploading import Source
from tools.slack.sample.content import Content

FILES = {
    "film.mp4": (Content("mp4", "film", 3_000_000), "video/mp4"),
    "hills.png": (Content("png", "hills", 60_000), "image/png"),
    "page.pdf": (Content("pdf", "page", 30_000), "application/pdf"),
}

MOVE = """async () => {
    const film = document.querySelector("video")
    const happens = name => new Promise((done, fail) => {
        film.addEventListener(name, done, {once: true})
        film.addEventListener("error", () => fail(film.error.message), {once: true})
    })
    if (!film.readyState) await happens("loadedmetadata")
    const moved = happens("seeked")
    film.currentTime = 25
    await moved
    return film.currentTime
}"""

VIEWER = "chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai/"
"""Where Chromium's own viewer of PDFs is; a sandbox keeps it out."""

DRAWN = "picture => picture.decode().then(() => [picture.naturalWidth, picture.naturalHeight])"


@pytest.fixture(scope="module")
def blobs(api: APIRequestContext) -> Mapping[str, str]:
    """The pages of the attachments by their names."""
    source, found = Source.registered(api, "media"), {}
    for name, (content, media_type) in FILES.items():
        ref = source.upload(name, b"".join(content.pieces()), media_type)
        source.put("notes", note(name, blob_ref=ref, filename=name))
        found[name] = f"/console/blobs/{ref['blob_id']}"
    return found


@pytest.fixture
def page(context: BrowserContext, served: Target, blobs: Mapping[str, str]) -> Iterator[Page]:
    """A browser of the owner's; its complaints about policies fail the test."""
    context.add_cookies([{"name": COOKIE, "value": served.token, "url": f"{served.base_url}/console"}])
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    assert not complaints


def test_a_film_is_moved_about_in_by_ranges(page: Page, served: Target, blobs: Mapping[str, str]) -> None:
    ranges = []
    page.on("request", lambda asked: ranges.append(asked.headers.get("range")) if "/content" in asked.url else None)
    page.goto(served.base_url + blobs["film.mp4"])
    assert page.evaluate(MOVE) == pytest.approx(25, abs=0.5)
    assert all(each is not None for each in ranges)


def test_a_picture_is_shown_and_has_a_thumbnail(page: Page, served: Target, blobs: Mapping[str, str]) -> None:
    page.goto(served.base_url + "/console/attachments?kind=image")
    assert page.locator(".tile img").evaluate(DRAWN) == [256, 192]
    page.get_by_role("link", name="hills.png", exact=True).click()
    assert page.url == served.base_url + blobs["hills.png"]
    assert page.get_by_role("img", name="hills.png").evaluate(DRAWN) == [320, 240]


def test_a_pdf_opens_in_the_viewer_of_the_browser(page: Page, served: Target, blobs: Mapping[str, str]) -> None:
    with page.expect_response(lambda answer: answer.url.endswith("/content")) as answer:
        page.goto(served.base_url + blobs["page.pdf"])
    assert answer.value.headers["content-type"] == "application/pdf"
    for _ in range(400):
        if any(frame.url.startswith(VIEWER) for frame in page.frames):
            return
        page.wait_for_timeout(50)
    raise AssertionError([frame.url for frame in page.frames])


def test_what_is_saved_has_its_name(page: Page, served: Target, blobs: Mapping[str, str]) -> None:
    for name, path in blobs.items():
        page.goto(served.base_url + path)
        with page.expect_download() as download:
            page.get_by_role("link", name="Save").press("Enter")
        assert download.value.suggested_filename == name
