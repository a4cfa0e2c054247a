"""What holds for every page of the console: no script of others, accessibility, the dark, phones, keyboards."""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import APIRequestContext, Browser, Page, ViewportSize

from tests.conformance.http.api import field, note
from tests.conformance.http.own_server import Target
from tests.fakes import hostile
from tests.fakes.browser import Alarm
from tests.test_console.uploading import Source, good, signed_in

CONNECTOR = "https://hostile.example/?a=b&c"
PHONE: ViewportSize = {"width": 360, "height": 640}
DARK = {f"/console{each}" for each in ("", "/sign-in", "/records", "/record", "/spine", "/erase", "/erasure")}
"""Pages that together have everything that has a colour."""

AXE = "options => axe.run(document, options).then(found => found.violations)"
"""Runs again the rules that a page has already."""

KINDS = ("image/png", "video/webm", "application/pdf", "text/html", "application/zip")
TEXTS = hostile.texts("stored")


@pytest.fixture(scope="module")
def paths(api: APIRequestContext) -> Sequence[str]:
    """Every page, with names, keys, texts and files of an attacker wherever something of a stranger is shown."""
    stream = TEXTS[0]
    fields = {name: field(name) for name in ("id", *TEXTS)}
    declared = {
        "name": stream,
        "semantics": "mutable_state",
        "primary_key": ["id"],
        "schema": {"type": "object", "properties": {**fields, "blob_ref": {}}},
    }
    good(
        api.post(
            "/v1/connectors",
            data={"connector_id": CONNECTOR, "version": TEXTS[1], "display_name": TEXTS[2], "streams": [declared]},
        )
    )
    source, blobs = Source(api, CONNECTOR), []
    for number, (kind, key) in enumerate(zip(KINDS, TEXTS, strict=False)):
        file = next(each for each in hostile.files() if each.media_type == kind or number == len(KINDS) - 1)
        ref = source.upload(key, file.data + kind.encode(), kind, stream)
        blobs.append(ref["blob_id"])
        source.put(stream, note(key, blob_ref=ref, filename=TEXTS[-1 - number], **{each: each for each in TEXTS}))
    grant = good(
        api.post(
            "/v1/owner/grants",
            data={"client_id": TEXTS[3], "connector_id": CONNECTOR, "streams": [{"name": stream}]},
        )
    ).json()
    source.put(stream, note("gone"))
    erased = good(
        api.post(
            "/v1/owner/erasures",
            data={"scope": "record", "connector_id": CONNECTOR, "stream": stream, "key": "gone"},
        )
    ).json()
    (connection,) = {each["connection_id"] for each in good(api.get("/v1/owner/connections")).json()["data"]}
    place = {"connector": CONNECTOR, "stream": stream}
    named: list[tuple[str, dict[str, str]]] = [
        ("", {}),
        ("/connectors", {}),
        ("/records", place),
        ("/records", {**place, "instance": connection, "order": "asc", "by": f"eq:{TEXTS[0]}", "is": TEXTS[0]}),
        ("/record", {**place, "instance": connection, "key": TEXTS[1]}),
        ("/attachments", {}),
        *((f"/blobs/{blob}", {}) for blob in blobs),
        ("/explain", {"blob": blobs[0]}),
        ("/explain", {"blob": TEXTS[0]}),
        ("/grants", {}),
        ("/grants/make", {}),
        ("/grants/make", {"connector": CONNECTOR}),
        ("/grants/one", {"id": grant["grant_id"]}),
        ("/spine", {}),
        ("/export", {"connector": CONNECTOR}),
        ("/erase", {}),
        ("/erase", place),
        ("/erasure", {"id": erased["erasure_id"]}),
        (f"/{TEXTS[0].replace('/', '%2F')}", {}),
        ("/records", {**place, "cursor": TEXTS[1]}),
    ]
    return ["/console" + path + ("?" + urlencode(query) if query else "") for path, query in named]


@pytest.fixture(scope="module")
def page(browser: Browser, served: Target, paths: Sequence[str]) -> Iterator[Page]:
    page = signed_in(browser, served)
    yield page
    page.context.close()


def test_no_text_or_file_of_a_stranger_runs_in_any_page(page: Page, paths: Sequence[str]) -> None:
    alarm = Alarm(page.context)
    for path in paths:
        page.goto(path)
        assert page.locator("h1").count() == 1, path
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate("[...document.scripts].length") == 0, path
        hrefs = page.evaluate("[...document.links].map(each => each.protocol)")
        assert set(hrefs) <= {"http:"}, path
    assert not alarm.heard


def test_even_a_script_that_got_into_a_page_would_not_run(page: Page) -> None:
    alarm = Alarm(page.context)
    page.goto("/console")
    page.evaluate(
        """text => document.querySelector("main").insertAdjacentHTML("beforeend", text)""",
        "<img src='/console/nothing' onerror=\"console.log('ran:injected')\"><iframe srcdoc=\"<script>console.log("
        "'ran:framed')</script>\"></iframe>",
    )
    page.evaluate("() => new Promise(done => { new Image().onerror = done; setTimeout(done, 500) })")
    assert not alarm.heard


def test_the_script_of_a_pdf_reaches_nobody_even_when_it_is_pressed(
    page: Page, served: Target, api: APIRequestContext
) -> None:
    source, alarm, sent = Source.registered(api, "https://pdf.example/"), Alarm(page.context), []
    ref = source.upload("a", hostile.pressed_pdf(f"{served.base_url}/console/sign-out"), "application/pdf")
    source.put("notes", note("a", blob_ref=ref))
    page.on("request", lambda asked: sent.append(asked.url) if asked.method != "GET" else None)
    page.goto(f"/console/blobs/{ref['blob_id']}")
    box = page.locator("iframe").bounding_box()
    assert box is not None
    for _ in range(100):  # until the viewer of the browser, which alone runs it, has drawn the button
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 200)
        page.wait_for_timeout(200)
        if alarm.heard:
            break
    alarm.wait(page, {"dialog pressed", "dialog after"})
    page.goto("/console")
    assert page.url == f"{served.base_url}/console"  # and not signed out
    assert not sent


@pytest.mark.long
def test_every_page_keeps_the_rules_of_accessibility_in_the_light_and_in_the_dark(
    page: Page, paths: Sequence[str], rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    axe, wrong = Axe(), []
    # A viewer of PDFs is the browser's own, and never answers.
    usual = {"iframes": False, "resultTypes": ["violations"]}
    for path in [*states(paths, rng, sized(1, len(paths))), "/console/sign-in"]:
        page.goto(path)
        page.emulate_media(color_scheme="light")
        found = axe.run(page, options=usual).response["violations"]
        if path.partition("?")[0] in DARK:  # layout and names do not depend on colours
            page.emulate_media(color_scheme="dark")
            found += page.evaluate(AXE, {**usual, "runOnly": ["color-contrast"]})
        wrong += [(path, each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]
    page.emulate_media(color_scheme="light")
    assert not wrong, json.dumps(wrong, indent=1)


def states(paths: Sequence[str], rng: random.Random, count: int) -> list[str]:
    """So many addresses, at most, of each page that there is: the files of strangers have one page."""
    pages: dict[str, list[str]] = {}
    for path in paths:
        pages.setdefault(re.sub("/blobs/.*|[?].*", "", path), []).append(path)
    return [path for each in pages.values() for path in rng.sample(each, min(count, len(each)))]


def test_the_dark_is_dark(page: Page) -> None:
    page.goto("/console")
    grounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    page.emulate_media(color_scheme="light")
    light, dark = (sum(map(int, ground[4:-1].split(","))) for ground in grounds)
    assert light > 700
    assert dark < 100


def test_every_page_fits_a_phone(page: Page, paths: Sequence[str]) -> None:
    usual = page.viewport_size
    page.set_viewport_size(PHONE)
    wrong = []
    for path in paths:
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            wrong.append((path, width))
        small = page.evaluate(
            "[...document.querySelectorAll('button, .button, main input:not([type=checkbox], [type=hidden]), select')]"
            ".filter(each => each.getBoundingClientRect().height < 40).map(each => each.outerHTML)"
        )
        wrong += [(path, each) for each in small]
    assert usual is not None
    page.set_viewport_size(usual)
    assert not wrong


def test_an_owner_signs_in_and_erases_without_a_mouse(browser: Browser, served: Target, api: APIRequestContext) -> None:
    source = Source.registered(api, "https://keys.example/", display_name="Keys")
    source.put("log", note("a"))
    with browser.new_context(base_url=served.base_url) as context:
        page = context.new_page()
        page.goto("/console/sign-in?" + urlencode({"next": "/console/erase"}))
        page.keyboard.type(served.token)  # the field has the focus
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Erase", exact=True).wait_for()
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to the content"
        page.keyboard.press("Enter")
        reach(page, "Everything from Keys")
        page.keyboard.press("Enter")
        page.get_by_label("Confirmation").wait_for()
        reach(page, "typed")
        page.keyboard.type("Keys")
        page.keyboard.press("Tab")
        assert focused(page) == "Erase it"
        page.keyboard.press("Space")
        page.get_by_role("heading", name="Erased").wait_for()
        reach(page, "Save the receipt")
        with page.expect_download():
            page.keyboard.press("Enter")


def focused(page: Page) -> str:
    """The text, or the name, of what has the focus; it must be seen."""
    name, outline = page.evaluate(
        "[document.activeElement.innerText || document.activeElement.name, "
        "getComputedStyle(document.activeElement).outlineStyle]"
    )
    assert outline != "none", name
    return str(name)


def reach(page: Page, wanted: str) -> None:
    """Go on with the tab key until it is there."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page) == wanted:
            return
    raise AssertionError(f"no way to {wanted!r} with the tab key")
