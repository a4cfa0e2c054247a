"""The rules by which each file gets exactly one status."""

import pytest

from tools.slack import status
from tools.slack.source import FileEntry, Located, SlackObject
from tools.slack.status import Status, Verdict

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
PAGE = b"<!DOCTYPE html><html><head><title>Minutes</title></head>"
SIGN_IN = b'<!DOCTYPE html><html lang="en-US"><head><meta charset="utf-8"><title>Sign in | Slack</title>'
HERE = Located("__uploads/F1/a", 1, "1")

IMAGE = {"id": "F1", "mode": "hosted", "mimetype": "image/png", "filetype": "png", "size": 100}
SNIPPET = {"id": "F1", "mode": "snippet", "mimetype": "text/plain", "filetype": "text", "size": 100}
CANVAS = {"id": "F1", "mode": "quip", "mimetype": "application/vnd.slack-docs", "filetype": "quip", "size": 100}
POST = {"id": "F1", "mode": "space", "mimetype": "text/plain", "filetype": "space", "size": 100}
EMAIL = {"id": "F1", "mode": "email", "mimetype": "text/html", "filetype": "email", "size": 100}
WEB_PAGE = {"id": "F1", "mode": "hosted", "mimetype": "text/html", "filetype": "html", "size": 100}
UNTYPED_PAGE = {"id": "F1", "name": "index.HTM", "mimetype": "application/octet-stream", "size": 100}
TOMBSTONE = {"id": "F1", "mode": "tombstone"}
HIDDEN = {"id": "F1", "mode": "hidden_by_limit", "name": None, "size": 0, "file_access": "visible"}


def entry(slack: SlackObject, *, located: Located | None = None, earlier: SlackObject | None = None) -> FileEntry:
    return FileEntry("F1", slack, located, deleted=slack.get("mode") == "tombstone", earlier=earlier)


def before(slack: SlackObject, *, located: Located | None = None, earlier: SlackObject | None = None) -> Status | None:
    verdict = status.before_bytes(entry(slack, located=located, earlier=earlier))
    return verdict.status if verdict else None


@pytest.mark.parametrize("slack", [IMAGE, SNIPPET, CANVAS, POST, EMAIL, WEB_PAGE, {"id": "F1"}])
def test_bytes_are_looked_for_where_slack_shows_the_file(slack: SlackObject) -> None:
    assert before(slack) is None


def test_a_deletion_is_respected_though_bytes_lie_in_the_archive() -> None:
    assert before(TOMBSTONE, located=HERE, earlier=IMAGE) is Status.TOMBSTONE


def test_keep_deleted_judges_the_bytes_that_are_there_and_no_others() -> None:
    assert status.before_bytes(entry(TOMBSTONE, located=HERE, earlier=IMAGE), keep_deleted=True) is None
    gone = status.before_bytes(entry(TOMBSTONE), keep_deleted=True)
    assert gone is not None
    assert gone.status is Status.TOMBSTONE


@pytest.mark.parametrize(
    ("slack", "expected"),
    [
        (HIDDEN, Status.HIDDEN_BY_LIMIT),
        ({"id": "F1", "mode": "file_access", "file_access": "check_file_info"}, Status.FILE_ACCESS),
        ({"id": "F1", "file_access": "access_denied"}, Status.FILE_ACCESS),
        ({"id": "F1", "file_access": "file_not_found"}, Status.FILE_ACCESS),
        ({"id": "F1", "mode": "external", "is_external": True}, Status.EXTERNAL),
        ({"id": "F1", "mode": "snippet", "is_external": True}, Status.EXTERNAL),
    ],
)
def test_what_slack_does_not_hold_or_show_needs_no_bytes(slack: SlackObject, expected: Status) -> None:
    assert before(slack) is expected


def test_what_is_external_by_flag_only_is_judged_by_the_bytes_that_were_saved() -> None:
    gist = {"id": "F1", "mode": "snippet", "is_external": True}
    assert before(gist, located=HERE) is None
    assert before({**gist, "mode": "external"}, located=HERE) is Status.EXTERNAL


def test_what_slack_hides_by_now_is_judged_by_the_bytes_that_were_saved_before() -> None:
    assert before(HIDDEN, located=HERE, earlier=IMAGE) is None
    assert before(HIDDEN, located=None, earlier=IMAGE) is Status.HIDDEN_BY_LIMIT


def test_bytes_of_the_declared_length_are_hydrated_without_a_remark() -> None:
    assert status.of_bytes(IMAGE, 100, PNG) == Verdict(Status.HYDRATED)


def test_an_empty_file_that_was_declared_empty_is_hydrated() -> None:
    assert status.of_bytes({**SNIPPET, "size": 0}, 0, b"") == Verdict(Status.HYDRATED)


@pytest.mark.parametrize("slack", [IMAGE, CANVAS, WEB_PAGE])
def test_no_bytes_of_a_file_that_has_some_are_empty(slack: SlackObject) -> None:
    assert status.of_bytes(slack, 0, b"").status is Status.EMPTY


def test_more_bytes_than_declared_are_hydrated_with_a_remark() -> None:
    assert status.of_bytes(IMAGE, 150, PNG) == Verdict(Status.HYDRATED, "150 bytes, declared 100")


@pytest.mark.parametrize("slack", [IMAGE, SNIPPET])
def test_fewer_bytes_than_declared_are_truncated(slack: SlackObject) -> None:
    assert status.of_bytes(slack, 99, b"plain") == Verdict(Status.TRUNCATED, "99 bytes, declared 100")


@pytest.mark.parametrize("slack", [CANVAS, POST, EMAIL, WEB_PAGE, UNTYPED_PAGE])
@pytest.mark.parametrize("size", [99, 101])
def test_pages_are_hydrated_whatever_length_was_declared(slack: SlackObject, size: int) -> None:
    assert status.of_bytes(slack, size, PAGE) == Verdict(Status.HYDRATED, f"{size} bytes, declared 100")


@pytest.mark.parametrize("odd", [["html"], {}, 7, None])
def test_a_declared_form_that_is_no_text_is_none(odd: object) -> None:
    slack = {"id": "F1", "mode": odd, "filetype": odd, "mimetype": odd}
    assert status.of_bytes(slack | {"size": 3}, 2, b"ab").status is Status.TRUNCATED


@pytest.mark.parametrize("size", [None, "100", -1, True])
def test_without_a_declared_length_any_is_right(size: object) -> None:
    assert status.of_bytes({**IMAGE, "size": size}, 77, PNG) == Verdict(Status.HYDRATED)


@pytest.mark.parametrize("page", [PAGE, SIGN_IN])
@pytest.mark.parametrize("size", [50, 47_311])
def test_a_page_in_place_of_an_image_is_wrong_content_whatever_its_length(page: bytes, size: int) -> None:
    assert status.of_bytes(IMAGE, size, page).status is Status.WRONG_CONTENT


def test_a_page_that_was_uploaded_as_an_image_is_what_was_uploaded() -> None:
    assert status.of_bytes(IMAGE, 100, PAGE).status is Status.HYDRATED


def test_a_sign_in_page_is_never_an_image_though_its_length_is_the_declared_one() -> None:
    assert status.of_bytes(IMAGE, 100, SIGN_IN).status is Status.WRONG_CONTENT


@pytest.mark.parametrize("slack", [SNIPPET, CANVAS, WEB_PAGE])
def test_a_sign_in_page_under_a_type_that_can_be_a_page_is_told_by_its_length(slack: SlackObject) -> None:
    assert status.of_bytes(slack, 47_311, SIGN_IN).status is Status.WRONG_CONTENT
    assert status.of_bytes(slack, 100, SIGN_IN).status is Status.HYDRATED


def test_source_code_may_start_like_a_page() -> None:
    assert status.of_bytes(SNIPPET, 120, PAGE).status is Status.HYDRATED


def test_a_file_that_could_not_be_saved_for_its_name_is_missing_with_the_reason() -> None:
    verdict = status.missing(entry({**IMAGE, "name": "議" * 90}))
    assert verdict.status is Status.MISSING
    assert "too long" in (verdict.note or "")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (401, Status.DENIED),
        (403, Status.DENIED),
        (400, Status.DENIED),
        (404, Status.GONE),
        (410, Status.GONE),
        (413, Status.TOO_LARGE),
        (200, None),
        (302, None),
        (408, None),
        (429, None),
        (500, None),
        (503, None),
    ],
)
def test_a_response_is_final_only_where_asking_again_is_no_use(code: int, expected: Status | None) -> None:
    verdict = status.of_response(code)
    assert (verdict.status if verdict else None) is expected


def test_a_download_that_succeeded_has_the_last_word() -> None:
    good = Verdict(Status.HYDRATED)
    assert status.better(Verdict(Status.TRUNCATED, "cut"), good) is good


def test_a_download_that_failed_is_the_reason_only_where_nothing_was_held() -> None:
    denied = Verdict(Status.DENIED, "the server answered 403")
    assert status.better(Verdict(Status.MISSING, "not in the source"), denied) is denied
    assert status.better(Verdict(Status.TRUNCATED, "9 bytes, declared 10"), denied) == Verdict(
        Status.TRUNCATED, "9 bytes, declared 10; download: denied (the server answered 403)"
    )


def test_every_status_is_either_done_worth_fetching_unstorable_or_a_failed_download() -> None:
    failed = {Status.DENIED, Status.GONE, Status.TOO_LARGE}
    assert {Status.HYDRATED} | status.WORTH_FETCHING | status.NOT_STORABLE | failed == set(Status)
