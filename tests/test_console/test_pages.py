"""What an owner does in the console, in a real browser: grants, the audit log, export, explanations, erasure."""

import json
import tarfile
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import APIRequestContext, Browser, Page, Playwright

from records.erasure import receipts
from server.console import erase
from tests.conformance.http.api import note
from tests.conformance.http.own_server import Target
from tests.test_console.uploading import Source, signed_in

NOTES = "https://notes.example/"
MAIL = "https://mail.example/"


@pytest.fixture(scope="module")
def stored(api: APIRequestContext) -> dict[str, str]:
    """Two connectors that share an attachment, and one of their own; their ids by name."""
    shared, own = {}, {}
    for connector, name in ((NOTES, "My notes"), (MAIL, "My mail")):
        source = Source.registered(api, connector, display_name=name)
        shared, own = source.upload("a", b"shared", "image/png"), source.upload("b", name.encode(), "text/plain")
        source.put("notes", note("a", "2026-01-01", blob_ref=shared), note("b", "2026-06-01", blob_ref=own))
        source.put("log", *(note(f"{number}") for number in range(60)))
    return {"shared": shared["blob_id"], "own": own["blob_id"]}


@pytest.fixture(scope="module")
def page(browser: Browser, served: Target, stored: dict[str, str]) -> Page:
    return signed_in(browser, served)


def test_a_blob_is_explained(page: Page, stored: dict[str, str]) -> None:
    page.goto("/console/explain")
    page.get_by_label("Id of a blob").fill(stored["shared"])
    page.get_by_role("button", name="Explain").click()
    assert "Kept: records link it" in page.inner_text("main")
    assert page.get_by_role("link", name="a", exact=True).count() == 2
    page.get_by_label("Id of a blob").fill("blob_b3_" + "0" * 64)
    page.get_by_role("button", name="Explain").click()
    assert "no such blob" in page.get_by_role("alert").inner_text()


def test_a_grant_is_made_looked_at_and_revoked(page: Page, playwright: Playwright, served: Target) -> None:
    page.goto("/console/grants")
    page.get_by_role("link", name="Make a grant").click()
    page.get_by_label("Of which connector").select_option(label="My notes")
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Who gets it").fill("Reader")
    page.get_by_role("button", name="Make the grant").click()
    assert "at least one stream" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Who gets it").input_value() == "Reader"
    page.get_by_label("notes", exact=True).check()
    page.get_by_text("Fields of notes").click()
    page.get_by_label("text", exact=True).first.uncheck()
    page.get_by_label("Records from").fill("2026-05-01")
    page.get_by_role("button", name="Make the grant").click()
    token = page.get_by_label("Token").input_value()
    page.get_by_role("link", name="To the grant").click()
    assert "Nothing yet" in page.inner_text("main")
    headers = {"Authorization": f"Bearer {token}"}
    client = playwright.request.new_context(base_url=served.base_url, extra_http_headers=headers)
    found = client.get("/v1/streams/notes/records").json()["data"]
    assert [each["id"] for each in found] == ["b"]
    assert client.get("/v1/streams/log/records").status == 403
    page.reload()
    shown = page.get_by_role("region", name="Disclosures").inner_text()
    assert "disclosure.records" in shown
    assert "disclosure.refused" in shown
    page.get_by_role("button", name="Revoke it").click()
    assert "revoked" in page.inner_text("main dl")
    assert page.get_by_role("button", name="Revoke it").count() == 0
    assert client.get("/v1/streams/notes/records").status == 403
    client.dispose()


def test_the_audit_log_is_verified_also_against_what_was_kept_elsewhere(page: Page) -> None:
    page.goto("/console/spine")
    first = page.locator("tbody th").first.inner_text()
    assert int(first) >= page.locator("tbody tr").count()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save a checkpoint").click()
    kept = Path(download.value.path()).read_text()
    assert download.value.suggested_filename.startswith("checkpoint-")
    page.get_by_label("A checkpoint or receipt").fill(kept)
    page.get_by_role("button", name="Verify").click()
    assert "Sound" in page.get_by_role("status").inner_text()
    assert "kept elsewhere fits" in page.get_by_role("status").inner_text()
    page.get_by_label("A checkpoint or receipt").fill(kept.replace('"seq":', '"seq":1'))
    page.get_by_role("button", name="Verify").click()
    assert "proves nothing" in page.get_by_role("alert").inner_text()


def test_everything_is_taken_away_as_an_archive(page: Page) -> None:
    page.goto("/console/export")
    page.get_by_label("From where").select_option(label="My mail")
    page.get_by_role("button", name="Choose").click()
    assert "62 records" in page.inner_text("main")
    with page.expect_download() as download:  # begins by itself
        page.get_by_role("link", name="Make the archive").click()
        page.get_by_role("link", name="Save the archive").wait_for()
    assert page.locator("progress").count() > 0
    assert not page.locator("progress").last.is_visible()
    assert not Axe().run(page).response["violations"]
    with tarfile.open(download.value.path()) as archive:
        names = archive.getnames()
    assert any(name.endswith("bagit.txt") for name in names)
    page.goto("/console/spine")
    assert "export" in page.locator("tbody tr").first.inner_text()


def test_an_erasure_is_shown_confirmed_followed_and_proven(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "PATIENCE", 0.0)
    page.goto("/console/erase")
    page.get_by_role("link", name="Everything from My notes").click()
    preview = page.inner_text("main")
    assert "62" in preview
    assert MAIL.rstrip("/").rpartition("/")[2] in preview  # shares an attachment, which stays
    page.get_by_label("Confirmation").fill("my note")
    page.get_by_role("button", name="Erase it").click()
    assert "Nothing was erased" in page.get_by_role("alert").inner_text()
    page.get_by_label("Confirmation").fill("My notes")
    page.get_by_role("button", name="Erase it").click()
    page.get_by_role("heading", name="Erased").wait_for()  # the page looks again by itself
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the receipt").click()
    receipt, _ = receipts.verify(Path(download.value.path()).read_bytes(), None)
    assert (receipt.erased.records, receipt.erased.blobs) == (62, 1)
    page.goto("/console/erase")
    assert page.get_by_role("link", name="Everything from My notes").count() == 0
    assert "connector: https://notes.example" in page.get_by_role("region", name="Erasures").inner_text()


def test_one_record_is_erased_and_no_name_that_is_blank_makes_it_more(page: Page, api: APIRequestContext) -> None:
    source = Source.registered(api, "https://lines.example/", display_name="Lines\nof \u202e text")
    source.put("log", note("x\r\ny"), note("z"))
    page.goto("/console/erase?connector=https://lines.example/&stream=log&key=x%0D%0Ay")
    page.get_by_label("Confirmation").fill(erase.ANY_WORD)
    page.get_by_role("button", name="Erase it").click()
    page.get_by_role("heading", name="Erased").wait_for()
    left = api.get("/v1/streams/log/records", params={"connector_id": source.id}).json()["data"]
    assert [each["id"] for each in left] == ["z"]
    for address in (
        "connector=https://lines.example/&stream=log&key=",
        "connector=https://lines.example/&key=z",
        "x=y",
    ):
        answer = page.goto(f"/console/erase?{address}")
        assert answer is not None
        assert answer.status == 400


def test_with_everything_goes_the_sign_in_and_the_receipt_is_kept(
    browser: Browser, playwright: Playwright, served: Target
) -> None:
    assert served.other_token is not None
    headers = {"Authorization": f"Bearer {served.other_token}"}
    bob = playwright.request.new_context(base_url=served.base_url, extra_http_headers=headers)
    Source.registered(bob, NOTES).put("log", note("a"))
    bob.dispose()
    page = signed_in(browser, served, served.other_token)
    page.goto("/console/erase")
    page.get_by_role("link", name="Everything that this server has").click()
    page.get_by_label("Confirmation").fill("bob")
    page.get_by_role("button", name="Erase it").click()
    page.get_by_role("heading", name="Everything is erased").wait_for()
    assert not Axe().run(page).response["violations"]
    page.reload()  # its address stays good, without a sign-in
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the receipt").click()
    text = Path(download.value.path()).read_bytes()
    assert receipts.verify(text, None)[0].erased.records == 1
    assert json.loads(text)["scope"]["kind"] == "owner"
    page.goto("/console")
    assert "/console/sign-in" in page.url
    page.context.close()
