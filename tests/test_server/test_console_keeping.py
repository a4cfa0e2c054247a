"""What an owner does in the console beside looking; over HTTP, where a browser would not tell more."""

import asyncio
import json
import re
import threading
import unicodedata
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, DummyCookieJar

from blobstore.errors import OutOfSpace
from records.bag.export import MAX_OPEN, Export
from records.bag.plan import Plan
from records.central import Owner
from records.consent.grant_request import GrantRequest, StreamRequest
from records.consent.scope import Selector
from records.erasure import receipts
from records.locks import COPY
from server import prepared
from server.console import erase, export, grants
from server.console.session import COOKIE
from tests.fakes.console import Browser
from tests.fakes.data_directory import harm
from tests.test_server.conftest import Running

CONNECTOR = "https://example.org/notes"
NAME = unicodedata.normalize("NFD", "Café Möller")
MANIFEST = {
    "connector_id": CONNECTOR,
    "display_name": NAME,
    "version": "1",
    "streams": [
        {
            "name": "notes",
            "semantics": "mutable_state",
            "schema": {"type": "object", "properties": {"id": {"type": "string"}, "text": {"type": "string"}}},
            "primary_key": ["id"],
        },
    ],
}
ERASE = "/console/erase?" + urlencode({"connector": CONNECTOR})


@pytest.fixture
async def owner(running: Running) -> Owner:
    """Two records."""
    store = running.store
    owner = await store.access.owner("ada")
    await store.registry.register(owner, json.dumps(MANIFEST).encode())
    ingest = await store.ingests.begin(owner, "notes", Selector(CONNECTOR))
    lines = [{"key": key, "emitted_at": "2026-11-23T10:00:00Z", "data": {"id": key, "text": "x"}} for key in "ab"]
    await ingest.apply([json.dumps(line).encode() for line in lines])
    assert ingest.rejected == 0
    return owner


@pytest.fixture
async def browser(running: Running, owner: Owner) -> AsyncIterator[Browser]:
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        yield Browser(running, http, running.token)


async def count(running: Running) -> int:
    owner = await running.store.access.owner("ada")
    return sum(each.records for each in (await (await running.store.engines.of(owner.id)).stats()).values())


async def stands_in_the_way(wait: float) -> bool:
    """As a reader of a database does, for as long as an erasure waits."""
    return False


async def test_an_erasure_that_takes_long_is_followed_to_its_end(
    running: Running, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(running.store.central, "sanitize", stands_in_the_way)
        answer = await browser.submit(ERASE, {"typed": NAME})
        assert answer.status == 303
        where = answer.headers["Location"]
        answer, page = await browser.get(where)
        assert (answer.status, answer.headers["Refresh"]) == (200, "2")
        assert "Erasing" in page
        assert "receipt" not in page
        receipt = where.replace("/erasure?", "/erasure/receipt?")
        answer, _ = await browser.get(receipt)
        assert answer.status == 409
    assert await running.store.erasures.resume() == 0
    answer, page = await browser.get(where)
    assert "Refresh" not in answer.headers
    assert receipt in page
    answer, text = await browser.get(receipt)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="receipt-era_')
    assert receipts.verify(text.encode(), running.store.erasures.public_key)[0].erased.records == 2


async def test_where_everything_goes_and_that_takes_long_its_owner_comes_back_for_the_receipt(
    running: Running, browser: Browser, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase, "PATIENCE", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(running.store.central, "sanitize", stands_in_the_way)
        answer = await browser.submit("/console/erase?everything=yes", {"typed": "ada"})
        assert answer.status == 303
        assert answer.headers["Set-Cookie"].startswith('blobstore_console="";')
        browser.token, where = None, answer.headers["Location"]
        answer, page = await browser.get(where)
        assert (answer.status, answer.headers["Refresh"]) == (200, "2")
        assert "only way back" in page
        receipt = where.replace("/erased?", "/erased/receipt?")
        assert (await browser.get(receipt))[0].status == 409
    (job,) = [each async for each in running.store.erasures.jobs(owner)]
    assert (await running.store.erasures.finish(owner, job.id, wait=20.0)).receipt is not None
    answer, page = await browser.get(where)
    assert "Refresh" not in answer.headers
    assert receipt in page
    answer, text = await browser.get(receipt)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="receipt-era_')
    assert receipts.verify(text.encode(), running.store.erasures.public_key)[0].erased.records == 2


async def test_who_confirms_twice_that_everything_goes_is_led_to_one_receipt_by_each_answer(
    running: Running, browser: Browser, owner: Owner
) -> None:
    _, page = await browser.get("/console/erase?everything=yes")
    action = unescape(re.findall('method="post" action="(/console/erase[^"]*)"', page)[0])
    at_once = await asyncio.gather(*(browser.submit(action, {"typed": "ada"}) for _ in range(2)))
    later = await browser.submit(action, {"typed": "ada"})
    (where,) = {answer.headers["Location"] for answer in (*at_once, later)}
    async with asyncio.timeout(20):
        while "Everything is erased" not in (await browser.get(where))[1]:
            await asyncio.sleep(0.05)
    assert len([each async for each in running.store.erasures.jobs(owner)]) == 1
    bobs = Browser(running, browser.http, await running.store.access.create_owner_token("bob", None))
    assert (await bobs.submit(action, {"typed": "bob"})).status == 404
    assert (await bobs.submit("/console/erase?everything=yes", {"typed": "bob"})).status == 303
    unused = action.partition("pass=")[0] + "pass=x"
    assert (await browser.submit(unused, {"typed": "ada"})).headers["Location"] == "/console/sign-in"


async def test_without_its_pass_nobody_asks_for_an_erasure(running: Running, browser: Browser, owner: Owner) -> None:
    store = running.store
    done = await store.erasures.erase(owner, await store.erasures.coverage.of_owner(owner), wait=5.0)
    browser.token, good = None, store.passes.of(owner, done.report.id)
    assert (await browser.get(f"/console/erased?pass={good}"))[0].status == 200
    never = store.passes.of(owner, "era_" + "0" * 24)
    nobodys = store.passes.of(Owner("o0", ""), done.report.id)
    for wrong in (done.report.id, good[:-1], good.swapcase(), never, nobodys, "x"):
        for page in ("erased", "erased/receipt"):
            assert (await browser.get(f"/console/{page}?pass={wrong}"))[0].status == 404, wrong
    assert (await browser.get("/console/erased"))[0].status == 400


@pytest.mark.parametrize("typed", ["", "cafe moller", "erase", f"{NAME}x"])
async def test_what_is_not_confirmed_is_not_erased(running: Running, browser: Browser, typed: str) -> None:
    assert (await browser.submit(ERASE, {"typed": typed})).status == 400
    assert (await browser.send(ERASE, {"typed": NAME})).status == 403
    assert await count(running) == 2


async def test_a_name_may_be_typed_in_any_form_of_unicode(running: Running, browser: Browser) -> None:
    answer = await browser.submit(ERASE, {"typed": f" {unicodedata.normalize('NFC', NAME)} "})
    assert answer.status == 303
    assert await count(running) == 0


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ({"connector": CONNECTOR, "stream": ""}, 400),
        ({"connector": CONNECTOR, "stream": "notes", "key": " "}, 400),
        ({"connector": CONNECTOR, "instance": " "}, 400),
        ({"connector": CONNECTOR, "key": "a"}, 400),
        ({"stream": "notes"}, 400),
        ({"instance": "x"}, 400),
        ({"everything": "yes", "connector": CONNECTOR}, 400),
        ({"everything": "no"}, 400),
        ({"connector": CONNECTOR, "streams": "notes"}, 400),
        ({"connector": CONNECTOR, "instance": "nobody's"}, 404),
        ({"connector": "https://example.org/none"}, 404),
    ],
)
async def test_an_address_that_is_not_whole_erases_nothing(
    running: Running, browser: Browser, named: dict[str, str], status: int
) -> None:
    path = "/console/erase?" + urlencode(named)
    assert (await browser.get(path))[0].status == status
    for typed in (NAME, erase.ANY_WORD, "notes", "ada"):
        assert (await browser.submit(path, {"typed": typed})).status == status
    assert await count(running) == 2


async def test_a_log_that_was_changed_is_said_to_be(running: Running, browser: Browser) -> None:
    assert "Sound" in await (await browser.submit("/console/spine/verify")).text(errors="replace")
    harm(running.store.directory / "central.db", "UPDATE spine SET body = CAST('{\"<b>' AS BLOB) WHERE seq = 1")
    answer, page = await browser.get("/console/spine")
    assert answer.status == 200
    assert "{&#34;&lt;b&gt;" in page
    page = await (await browser.submit("/console/spine/verify")).text(errors="replace")
    assert "Event 1 was edited" in page
    assert "Sound" not in page


async def test_a_log_is_looked_through_page_by_page(running: Running, browser: Browser, owner: Owner) -> None:
    for _ in range(120):
        await running.store.access.create_owner_token("ada", None)
    seen, path = [], "/console/spine"
    while path:
        _, page = await browser.get(path)
        seen += [int(each.partition("<")[0]) for each in page.split('<th scope="row" class="number">')[1:]]
        path = page.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0] if 'rel="next"' in page else ""
    assert seen == list(range(len(seen), 0, -1))
    assert len(seen) > 120
    assert (await browser.get("/console/spine?before=-1"))[0].status == 400


async def test_grants_are_looked_through_page_by_page(
    running: Running, browser: Browser, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants, "LIMIT", 2)
    assert 'rel="next"' not in (await browser.get(grants.PATH))[1]
    for client in ("app 1", "app 2", "app 3", "app 4", "app 5"):
        streams = [StreamRequest("notes", ["id"], None, None)]
        await running.store.consents.create(owner, GrantRequest(client, CONNECTOR, streams))
    pages, path = list[list[str]](), grants.PATH
    while path:
        _, page = await browser.get(path)
        pages.append(re.findall("app [1-5]", page))
        path = page.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0] if 'rel="next"' in page else ""
    assert pages == [["app 5", "app 4"], ["app 3", "app 2"], ["app 1"]]
    assert "No older grants" in (await browser.get(f"{grants.PATH}?after=unknown"))[1]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "Say who gets the grant"),
        ({"client": "app"}, "Choose at least one stream"),
        ({"client": "app", "stream": "nothing"}, "declares no such stream"),
        ({"client": "app", "stream": "notes"}, "It is empty"),
        ({"client": "app", "stream": "notes", "field": "x"}, "damaged"),
        ({"client": "app", "stream": "notes", "field": "[" * 5000}, "damaged"),
        ({"client": "app", "stream": "notes", "field": '["notes","no"]'}, "declares no such field"),
        ({"client": "app", "stream": "notes", "field": '["notes","id"]', "since": "soon"}, "no consent_time_field"),
        ({"client": "app", "stream": "notes", "field": '["notes","id"]', "expires": "soon"}, "Not a date-time"),
        ({"client": "app", "stream": "notes", "field": '["notes","id"]', "instances": "some"}, "one connection"),
    ],
)
async def test_a_grant_that_cannot_be_made_says_why_and_keeps_what_was_typed(
    running: Running, browser: Browser, owner: Owner, fields: dict[str, str], wrong: str
) -> None:
    answer = await browser.submit("/console/grants/make?" + urlencode({"connector": CONNECTOR}), fields)
    page = await answer.text(errors="replace")
    assert answer.status == 400
    assert wrong in page
    assert not fields or 'value="app"' in page
    assert not await running.store.consents.listed(owner)


async def test_what_another_owner_has_looks_like_what_is_not_there(running: Running, browser: Browser) -> None:
    answer = await browser.submit(ERASE, {"typed": NAME})
    name = answer.headers["Location"].partition("id=")[2]
    token = await running.store.access.create_owner_token("bob", None)
    other = Browser(running, browser.http, token)
    for path in (
        f"/console/erasure?id={name}",
        f"/console/erasure/receipt?id={name}",
        ERASE,
        "/console/grants/one?id=x",
    ):
        assert (await other.get(path))[0].status == 404, path
    assert (await other.get("/console/explain?blob=blob_b3_" + "0" * 64))[0].status == 404


async def planned(browser: Browser, path: str = "/console/export/make") -> tuple[str, str]:
    """A page that grew, and the address of the archive in it."""
    answer, page = await browser.get(path)
    assert answer.status == 200
    return page, unescape(page.partition('class="button" href="')[2].partition('"')[0])


async def test_an_archive_is_planned_in_sight_and_once(
    running: Running, browser: Browser, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, finish = list[str | None](), Plan.finish
    open_export = running.store.exports.open

    def counted(owner: Owner, connector: str | None = None, **options: Any) -> AbstractAsyncContextManager[Export]:
        opened.append(connector)
        return open_export(owner, connector, **options)

    def slowly(plan: Plan) -> None:
        assert may_finish.wait(20)
        finish(plan)

    may_finish = threading.Event()
    monkeypatch.setattr(export, "STEP", 0.01)
    monkeypatch.setattr(running.store.exports, "open", counted)
    monkeypatch.setattr(Plan, "finish", slowly)
    seen = b""
    cookie = {"Cookie": f"{COOKIE}={browser.token}"}
    async with browser.http.get(f"{running.url}/console/export/make", headers=cookie) as answer:
        while b"All 2 records were looked at" not in seen:
            seen += await answer.content.readany()
        may_finish.set()
        page = (seen + await answer.read()).decode()
    assert page.endswith("</html>")
    assert "of 0 records" not in page
    archive = unescape(page.partition('class="button" href="')[2].partition('"')[0])
    answer, _ = await browser.get(archive)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    ranged, part = await browser.get(archive, Range="bytes=0-9", **{"If-Range": answer.headers["ETag"]})
    assert (ranged.status, len(part)) == (206, 10)
    assert opened == [None]
    anew, _ = await browser.get(archive.partition("made=")[0] + "made=unknown")
    assert anew.headers["ETag"] == answer.headers["ETag"]
    assert opened == [None, None]


async def test_an_archive_that_cannot_be_made_says_so_in_its_page(
    running: Running, browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(plan: Plan) -> None:
        raise OutOfSpace("secret place")

    monkeypatch.setattr(Plan, "finish", full)
    page, archive = await planned(browser)
    assert "Not now: the storage is full" in page
    assert "secret" not in page
    assert archive == ""
    assert "a request failed" in caplog.text  # the operator should know
    assert (await browser.get("/console/export/make?connector=unknown"))[0].status == 404


async def test_what_was_made_for_one_owner_is_not_for_another_and_not_for_ever(
    running: Running, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, archive = await planned(browser)
    answer, _ = await browser.get(archive)
    other = Browser(running, browser.http, await running.store.access.create_owner_token("bob", None))
    assert (await other.get(archive))[0].headers["ETag"] != answer.headers["ETag"]
    monkeypatch.setattr(erase, "PATIENCE", 20.0)
    await browser.submit(ERASE, {"typed": NAME})  # no export keeps what was erased
    after, _ = await browser.get(archive)
    assert (after.status, after.headers["ETag"] != answer.headers["ETag"]) == (200, True)
    monkeypatch.setattr(prepared, "SECONDS", 0.0)
    await planned(browser)
    async with asyncio.timeout(20):
        while await running.store.locks.held(COPY):
            await asyncio.sleep(0.05)


async def test_exports_that_nobody_fetches_keep_nobody_from_one(running: Running, browser: Browser) -> None:
    for name in ("ann", "ben", "cleo", "dan", "eve", "fay"):  # more than may be open at once
        token = await running.store.access.create_owner_token(name, None)
        assert "The archive is ready" in (await planned(Browser(running, browser.http, token)))[0]
    assert len(await running.store.locks.held(COPY)) == prepared.MOST
    await running.app[prepared.PREPARED].close()
    assert not await running.store.locks.held(COPY)


async def test_one_that_nobody_fetches_gives_way_where_no_more_may_be_open(
    running: Running, browser: Browser, owner: Owner
) -> None:
    made, exports = running.app[prepared.PREPARED], running.store.exports
    async with AsyncExitStack() as pages:
        all_of_them = [await pages.enter_async_context(made.making(exports, owner, None)) for _ in range(MAX_OPEN)]
        await asyncio.wait([each.ready for each in all_of_them])
    bearer = {"Authorization": f"Bearer {running.token}"}
    async with browser.http.get(f"{running.url}/v1/owner/export", headers=bearer) as answer:
        assert answer.status == 200
    async with asyncio.timeout(20):
        while exports.is_full:  # until that one is closed
            await asyncio.sleep(0.01)
    async with AsyncExitStack() as fetched:
        for each in list(made._waiting.values()):
            assert await fetched.enter_async_context(made.taken(each.id, owner, None)) is not None
        async with exports.open(owner):
            page, archive = await planned(browser)
    assert "Not now: too many exports at once" in page
    assert archive == ""


async def test_what_somebody_begins_to_fetch_is_kept_while_others_are_let_go_of(
    running: Running, browser: Browser, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, exports = running.app[prepared.PREPARED], running.store.exports
    fetched, fetches = asyncio.Event(), asyncio.Event()

    async def fetch(waiting: prepared.Waiting) -> None:
        async with made.taken(waiting.id, owner, None) as export:
            fetches.set()
            await fetched.wait()
            assert export is not None
            await export.read(0, 1)

    async def and_meanwhile(waiting: prepared.Waiting) -> None:
        if not fetches.is_set():
            tasks.append(asyncio.create_task(fetch(second)))
            await fetches.wait()
        await end(waiting)

    tasks, end = list[asyncio.Task[None]](), prepared._end
    async with made.making(exports, owner, None) as first, made.making(exports, owner, None) as second:
        await asyncio.wait([first.ready, second.ready])
    monkeypatch.setattr(prepared, "_end", and_meanwhile)
    async with made.making(exports, owner, None) as third:
        await third.ready
    fetched.set()
    await asyncio.gather(*tasks)
    assert len(made._waiting) == 2
    async with made.taken(first.id, owner, None) as gone:
        assert gone is None


async def test_of_an_export_whose_page_is_left_nothing_is_kept(
    running: Running, browser: Browser, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, finish = threading.Event(), Plan.finish

    def slowly(plan: Plan) -> None:
        assert left.wait(20)
        finish(plan)

    monkeypatch.setattr(export, "STEP", 0.01)
    monkeypatch.setattr(Plan, "finish", slowly)
    cookie = {"Cookie": f"{COOKIE}={browser.token}"}
    async with browser.http.get(f"{running.url}/console/export/make", headers=cookie) as answer:
        await answer.content.readuntil(b"Now the exact size")
        assert await running.store.locks.held(COPY)
        answer.close()
    async with asyncio.timeout(20):
        (waiting,) = running.app[prepared.PREPARED]._waiting.values()
        await asyncio.wait([waiting.ready])
        left.set()
        while await running.store.locks.held(COPY):
            await asyncio.sleep(0.05)
