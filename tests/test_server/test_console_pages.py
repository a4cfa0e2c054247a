"""What an owner finds in the console: connectors, records, attachments, bytes. Over HTTP, without a browser."""

import html
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, DummyCookieJar
from PIL import Image

from records.central import Owner
from records.consent.grant_request import GrantRequest, StreamRequest
from records.consent.scope import Scope, Selector
from records.layout import Topology
from records.reading import paging
from records.writing.attachments import Target
from server.console import addresses, records, shown
from tests.fakes.console import Browser
from tests.fakes.data_directory import chunks
from tests.test_server.conftest import Running, Start
from tests.test_server.test_beside_damage import damage

CONNECTOR = "https://example.org/a&b?c"
HOSTILE = "\"><script>alert(1)</script>' onload=x"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 3000
MANIFEST = {
    "connector_id": CONNECTOR,
    "display_name": "Files & <b>more</b>",
    "version": "1",
    "streams": [
        {
            "name": HOSTILE,
            "semantics": "mutable_state",
            "schema": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "title": {"type": "string"},
                    "size": {"type": "integer"},
                    "tags": {"type": "array"},
                },
            },
            "primary_key": ["id"],
            "cursor_field": "size",
            "query": {"range_filters": {"size": ["gte", "lt"]}},
        }
    ],
}


async def put(running: Running, owner: Owner, key: str, *files: tuple[bytes, str, str], **data: Any) -> list[str]:
    """A record with attachments: bytes, media type and file name of each; their ids."""
    selector, store, ids = Selector(CONNECTOR), running.store, []
    for content, media, _ in files:
        async with await store.attachments.receive(owner, Target(selector, HOSTILE, key, media)) as incoming:
            async for piece in chunks(content):
                await incoming.write(piece)
            ids.append(str((await incoming.finish()).name.digest))
    refs = [
        {"blob_ref": {"blob_id": blob, "mime_type": media}, "name": name}
        for blob, (_, media, name) in zip(ids, files, strict=True)
    ]
    line = {"key": key, "emitted_at": "2026-11-23T10:00:00Z", "data": {"id": key, "files": refs, **data}}
    ingest = await store.ingests.begin(owner, HOSTILE, selector)
    await ingest.apply([json.dumps(line).encode()])
    assert ingest.rejected == 0, ingest.rejections
    return ids


@pytest.fixture
async def owner(running: Running) -> Owner:
    owner = await running.store.access.owner("ada")
    await running.store.registry.register(owner, json.dumps(MANIFEST).encode())
    return owner


@pytest.fixture
async def browser(running: Running) -> AsyncIterator[Browser]:
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        yield Browser(running, http, running.token)


async def page_of(browser: Browser, path: str, status: int = 200) -> str:
    answer, page = await browser.get(path)
    assert answer.status == status, page
    assert "<script" not in page
    assert "<b>more" not in page
    return page


def links_of(page: str, beginning: str) -> list[str]:
    found = re.findall(r'href="([^"]*)"', page)
    return [html.unescape(each) for each in found if html.unescape(each).startswith(beginning)]


async def test_from_a_connector_to_the_bytes_of_an_attachment(running: Running, browser: Browser, owner: Owner) -> None:
    key = "../a?b&c=d/" + HOSTILE
    (blob,) = await put(running, owner, key, (PNG, "image/png", HOSTILE), title=HOSTILE, tags=[HOSTILE, {"a": 1}])
    page = await page_of(browser, "/console/connectors")
    (stream,) = links_of(page, "/console/records?")
    page = await page_of(browser, stream)
    assert html.escape(HOSTILE, quote=False)[2:20] in page
    (record,) = links_of(page, "/console/record?")
    page = await page_of(browser, record)
    assert f"/console/blobs/{blob}" in links_of(page, "/console/blobs/")
    (instance,) = await running.store.registry.instances(Scope.of_owner(owner))
    (saved,) = links_of(page, "/console/record/json?")
    answer, text = await browser.get(saved)
    assert json.loads(text)["title"] == HOSTILE
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert links_of(page, "/console/erase?") == [addresses.erase(CONNECTOR, instance.id, HOSTILE, key)]
    page = await page_of(browser, f"/console/blobs/{blob}")
    assert record in links_of(page, "/console/record?")
    answer, _ = await browser.get(f"/console/blobs/{blob}/content", Range="bytes=1-3")
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes 1-3/{len(PNG)}")
    assert answer.headers["Content-Type"] == "image/png"


async def test_bytes_never_have_the_rights_of_this_origin(running: Running, browser: Browser, owner: Owner) -> None:
    page = b"<script>alert(document.cookie)</script>"
    files = [
        (page, "text/html", "a.html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "image/svg+xml", "b.svg"),
        (b"alert(1)", "text/javascript", "c.js"),
        (b"%PDF-1.4" + page, "application/pdf", "d.pdf"),
        (b"\x89PNG" + page, "image/png", "e.png"),
    ]
    for blob, (_, media, _name) in zip(await put(running, owner, "1", *files), files, strict=True):
        answer, _ = await browser.get(f"/console/blobs/{blob}/content")
        policy = answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'self'" in policy
        assert ("sandbox" in policy.split("; ")) == (media != "application/pdf")
        inline = answer.headers["Content-Disposition"].startswith("inline")
        assert inline == (media in ("application/pdf", "image/png"))
        answer, _ = await browser.get(f"/console/blobs/{blob}/content?save=yes")
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        await page_of(browser, f"/console/blobs/{blob}")


async def test_records_are_filtered_ordered_and_paged(running: Running, browser: Browser, owner: Owner) -> None:
    for number in range(60):
        await put(running, owner, f"k{number:02}", title="odd" if number % 2 else "even", size=number)
    list_ = {"connector": CONNECTOR, "stream": HOSTILE}
    page = await page_of(browser, "/console/records?" + urlencode(list_))
    assert len(links_of(page, "/console/record?")) == 50
    following = links_of(page, "/console/records?")[-1]
    page = await page_of(browser, following)
    assert len(links_of(page, "/console/record?")) == 10
    assert links_of(page, "/console/records?")[0] == addresses.records(CONNECTOR, HOSTILE)
    filters = [("by", "eq:title"), ("is", "odd"), ("by", "gte:size"), ("is", "55"), ("by", "eq:id"), ("is", " ")]
    page = await page_of(browser, "/console/records?" + urlencode([*list_.items(), ("order", "asc"), *filters]))
    assert re.findall(r">(k\d\d)</a>", page) == ["k55", "k57", "k59"]
    page = await page_of(
        browser, "/console/records?" + urlencode([*list_.items(), ("by", "gt:size"), ("is", "1")]), 400
    )
    assert "declares no such range filter" in page
    await page_of(browser, "/console/records?" + urlencode({**list_, "cursor": "x"}), 400)
    await page_of(browser, "/console/records?" + urlencode({**list_, "order": "up"}), 400)
    await page_of(browser, "/console/records?connector=x&stream=y", 404)
    await page_of(browser, "/console/records", 400)
    await page_of(browser, "/console/record?" + urlencode({**list_, "key": "none"}), 404)


async def test_a_search_for_something_rare_goes_on_with_the_next_page(
    running: Running, browser: Browser, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MAX_LOOKS", 5)
    monkeypatch.setattr(records, "PIECES", 2)
    for number in range(25):
        await put(running, owner, f"k{number:02}", title="rare" if number in (12, 24) else "usual", size=number)
    address, found = addresses.records(CONNECTOR, HOSTILE) + "&by=eq:title&is=rare&order=asc", []
    for _ in range(3):
        page = await page_of(browser, address)
        found.append(re.findall(r">(k\d\d)</a>", page))
        address = (links_of(page, "/console/records?") or [""])[-1]
    assert found == [[], ["k12"], ["k24"]]


async def test_the_gallery_has_each_attachment_once(running: Running, browser: Browser, owner: Owner) -> None:
    await page_of(browser, "/console/attachments")
    for number in range(65):
        same, other = (PNG, "image/png", "same.png"), (b"%d" % number, "text/plain", f"{number}.txt")
        await put(running, owner, f"k{number:02}", same, other)
    page = await page_of(browser, "/console/attachments")
    first = set(links_of(page, "/console/blobs/"))
    assert len(first) == 60
    (following,) = links_of(page, "/console/attachments?")
    page = await page_of(browser, following)
    second = set(links_of(page, "/console/blobs/"))
    assert (len(second), first & second) == (6, set())
    page = await page_of(browser, "/console/attachments?" + urlencode({"connector": CONNECTOR, "kind": "image"}))
    assert len(links_of(page, "/console/blobs/")) == 1
    await page_of(browser, "/console/attachments?kind=none", 400)
    await page_of(browser, "/console/attachments?cursor=none", 400)
    await page_of(browser, "/console/attachments?connector=none", 404)


async def test_text_is_shown_escaped(running: Running, browser: Browser, owner: Owner) -> None:
    (blob,) = await put(running, owner, "1", (b"\xff<b>more</b>" + b"x" * (70 << 10), "text/plain", "a.txt"))
    page = await page_of(browser, f"/console/blobs/{blob}")
    assert "\ufffd&lt;b&gt;more" in page
    assert "Only the beginning is shown." in page


async def test_a_connector_that_does_not_answer_takes_no_other_from_sight(start: Start, tmp_path: Path) -> None:
    async with start(topology=Topology.PER_CONNECTOR) as running:
        owner = await running.store.access.owner("ada")
        for connector in (CONNECTOR, "other"):
            manifest = MANIFEST | {"connector_id": connector, "display_name": connector}
            await running.store.registry.register(owner, json.dumps(manifest).encode())
            ingest = await running.store.ingests.begin(owner, HOSTILE, Selector(connector))
            await ingest.apply([b'{"key":"1","emitted_at":"2026-11-23T10:00:00Z","data":{"id":"1"}}'])
        home = (await running.store.central.shards(owner.id)).homes["other"].shard
    damage(tmp_path / "data" / "records" / owner.id / f"{home}.db")
    async with start(topology=Topology.PER_CONNECTOR) as running, ClientSession(cookie_jar=DummyCookieJar()) as http:
        await running.store.central.wake(owner.id, "other", home)
        browser = Browser(running, http, running.token)
        page = await page_of(browser, "/console/connectors")
        assert page.count("cannot be read at the moment") == 1
        assert "the records of other cannot be read" in await page_of(browser, "/console")
        assert "the records of other cannot be read" in await page_of(browser, "/console/export")
        here = addresses.page("/console/export", connector=CONNECTOR)
        assert "1 record of 1 stream" in await page_of(browser, here)
        assert "<h2" in await page_of(browser, addresses.erase(CONNECTOR))
        for path in ("/console/grants", "/console/spine", "/console/erase"):
            await page_of(browser, path)


async def test_a_clients_token_opens_no_page(running: Running, browser: Browser, owner: Owner) -> None:
    asked = GrantRequest(client_id="app", connector_id=CONNECTOR, streams=[StreamRequest(name=HOSTILE)])
    _, token = await running.store.consents.create(owner, asked)
    answer = await browser.send("/console/sign-in", {"token": token})
    assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)
    browser.token = token
    answer, _ = await browser.get("/console/connectors")
    assert (answer.status, answer.headers["Location"]) == (303, "/console/sign-in?next=%2Fconsole%2Fconnectors")


async def test_nobody_sees_what_is_anothers(running: Running, browser: Browser, owner: Owner) -> None:
    (blob,) = await put(running, owner, "1", (PNG, "image/png", "a.png"))
    browser.token = await running.store.access.create_owner_token("bob", None)
    for path in (f"/console/blobs/{blob}", f"/console/blobs/{blob}/content", "/console/blobs/none"):
        await page_of(browser, path, 404)
    await page_of(browser, addresses.records(CONNECTOR, HOSTILE), 404)
    assert not links_of(await page_of(browser, "/console/connectors"), "/console/records?")


async def test_a_thumbnail_is_asked_for_again_and_sent_once(running: Running, browser: Browser, owner: Owner) -> None:
    drawn = io.BytesIO()
    Image.new("RGB", (600, 300), "red").save(drawn, "PNG")
    good, bad = await put(running, owner, "1", (drawn.getvalue(), "image/png", "a"), (PNG, "image/png", "b"))
    path = f"/console/blobs/{good}/thumbnail"
    answer, _ = await browser.get(path)
    assert (answer.status, answer.content_type) == (200, "image/webp")
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert (await browser.get(path, **{"If-None-Match": answer.headers["ETag"]}))[0].status == 304
    answer, _ = await browser.get(f"/console/blobs/{bad}/thumbnail")
    assert (answer.status, answer.content_type) == (200, "image/svg+xml")
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_the_overview_says_what_is_held_and_what_is_saved(
    running: Running, browser: Browser, owner: Owner
) -> None:
    await page_of(browser, "/console")
    for number in range(3):
        await put(running, owner, f"k{number}", (PNG, "image/png", "same.png"))
    page = await page_of(browser, "/console")
    assert "<strong>3 records</strong>" in page
    assert "<strong>1 attachment</strong>" in page
    assert f"saves <strong>{shown.size(2 * len(PNG))}</strong> (67 %" in page
    assert links_of(page, "/console/connectors?") == [addresses.connectors(CONNECTOR)]
    await page_of(browser, addresses.connectors(CONNECTOR))


async def test_fields_without_a_value_take_one_line_together(running: Running, browser: Browser, owner: Owner) -> None:
    await put(running, owner, "a", title=None, size=0, tags=[])
    page = await page_of(browser, addresses.page("/console/record", connector=CONNECTOR, stream=HOSTILE, key="a"))
    named = re.findall("<dt>([^<]+)</dt>", page.partition("<h2>Fields</h2>")[2])
    assert named == ["id", "files", "size", "tags"]
    assert "Without a value: title." in page


async def test_every_page_says_where_in_the_navigation_it_belongs(
    running: Running, browser: Browser, owner: Owner
) -> None:
    (blob,) = await put(running, owner, "a", (PNG, "image/png", "a.png"))
    for path, current in (
        ("/console", '/console" aria-current="page"'),
        (addresses.records(CONNECTOR, HOSTILE), '/console/connectors" aria-current="true"'),
        (addresses.blob(blob), '/console/attachments" aria-current="true"'),
        ("/console/grants/make", '/console/grants" aria-current="true"'),
    ):
        page = await page_of(browser, path)
        assert re.findall(r'href="([^"]+" aria-current="[a-z]+")', page) == [current]


async def test_a_grant_is_shown_by_names_that_people_know(running: Running, browser: Browser, owner: Owner) -> None:
    asked = GrantRequest("app", CONNECTOR, [StreamRequest(HOSTILE, ["id"])])
    made, _ = await running.store.consents.create(owner, asked)
    for path in ("/console/grants", addresses.page("/console/grants/one", id=made.id)):
        page = await page_of(browser, path)
        assert "Files &amp; &lt;b&gt;more&lt;/b&gt;" in page
        assert "urn:blobstore" not in page
