"""Downloads from Slack's file host: what is taken, what is refused, and who never sees a credential."""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from blobstore.client.backoff import retry_after
from tests.fakes.resource_server import TOKEN, ResourceServer, serving
from tests.fakes.slack_export import CREDENTIAL, SlackExport
from tests.fakes.slack_host import SIGN_IN, SlackHost, cut_after, first, hosting
from tools.http_sink import open_http_sink
from tools.slack import hosts, manifest
from tools.slack.download import DownloadFailed, open_downloader
from tools.slack.hosts import Hosts
from tools.slack.hydrate import Options, hydrate
from tools.slack.ledger import Tried
from tools.slack.report import Report
from tools.slack.source import FileEntry
from tools.slack.status import Status, Verdict

TOKEN_OF_SLACK = "xoxb-777-this-is-the-users-own-token"
CONTENT = random.Random(7).randbytes(3_000_000)


@dataclass
class Fetched:
    """What one fetch gave, read twice."""

    verdict: Verdict | None
    content: bytes = b""


def entry(host: str, file_id: str = "F1", *, credential: str | None = CREDENTIAL, **slack: Any) -> FileEntry:
    query = f"?t={credential}" if credential else ""
    address = f"http://{host}/files-pri/T1-{file_id}/download/a.zip{query}"
    described = {"id": file_id, "mimetype": "application/zip", "url_private_download": address}
    return FileEntry(file_id, described | slack, None)


async def fetch(
    host: str,
    file: FileEntry | None = None,
    *,
    token: str | None = None,
    also: Sequence[str] = (),
    attempts: int = 3,
    max_size: int | None = None,
) -> Fetched:
    allowed = Hosts.allowing([host, *also])
    async with (
        open_downloader(allowed, token=token, attempts=attempts, max_size=max_size) as downloader,
        downloader.fetch(file or entry(host)) as fetched,
    ):
        if isinstance(fetched, Verdict):
            return Fetched(fetched)
        readings = []
        for _ in range(2):
            readings.append(fetched.content().read())
        assert readings[0] == readings[1]
        assert len(readings[0]) == fetched.size
        return Fetched(None, readings[0])


@asynccontextmanager
async def slack(**more: Any) -> AsyncIterator[tuple[SlackHost, str]]:
    host = SlackHost(tokens={CREDENTIAL, TOKEN_OF_SLACK}, content={"F1": CONTENT}, **more)
    async with hosting(host) as address:
        yield host, address


async def test_the_credential_in_the_link_is_enough() -> None:
    async with slack() as (host, address):
        assert (await fetch(address)).content == CONTENT
    assert [asked.authorization for asked in host.asked] == [None]


async def test_a_token_goes_as_a_header_and_not_beside_another_credential() -> None:
    async with slack() as (host, address):
        assert (await fetch(address, token=TOKEN_OF_SLACK)).content == CONTENT
    assert [(asked.authorization, asked.query) for asked in host.asked] == [(f"Bearer {TOKEN_OF_SLACK}", "")]


async def test_where_the_token_is_denied_the_link_may_do() -> None:
    async with slack() as (host, address):
        host.tokens.discard(TOKEN_OF_SLACK)
        assert (await fetch(address, token=TOKEN_OF_SLACK)).content == CONTENT
    assert [asked.authorization is None for asked in host.asked] == [False, True]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_is_denied(status: int) -> None:
    async with slack(answers=[first(9, status)]) as (host, address):
        verdict = (await fetch(address)).verdict
    assert verdict is not None
    assert verdict.status is Status.DENIED
    assert len(host.asked) == 1


@pytest.mark.parametrize("status", [404, 410])
async def test_what_slack_has_no_more_is_gone(status: int) -> None:
    async with slack(answers=[first(9, status)]) as (host, address):
        verdict = (await fetch(address)).verdict
    assert verdict is not None
    assert verdict.status is Status.GONE
    assert len(host.asked) == 1


async def test_a_redirect_to_the_sign_in_page_is_denied() -> None:
    async with slack() as (host, address):
        verdict = (await fetch(address, entry(address, credential="xoxe-stale"))).verdict
    assert verdict is not None
    assert verdict.status is Status.DENIED
    assert len(host.asked) == 1


@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream"])
@pytest.mark.parametrize("declared", ["application/zip", "text/html"])
async def test_a_sign_in_page_with_status_200_is_denied_whatever_was_expected(content_type: str, declared: str) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(body=SIGN_IN, content_type=content_type)

    async with slack(answers=[page]) as (_, address):
        verdict = (await fetch(address, entry(address, mimetype=declared))).verdict
    assert verdict is not None
    assert verdict.status is Status.DENIED


async def test_a_cut_body_is_continued_under_its_etag() -> None:
    async with slack(answers=[cut_after(1_000_000, CONTENT)]) as (host, address):
        assert (await fetch(address)).content == CONTENT
    assert [(asked.range, asked.if_range) for asked in host.asked] == [(None, None), ("bytes=1000000-", '"v1"')]


async def test_a_body_that_is_cut_time_and_again_arrives() -> None:
    async with slack() as (host, address):

        async def shortened(request: web.Request) -> web.StreamResponse | None:
            if len(host.asked) > 8:
                return None
            start = int((request.headers.get("Range") or "bytes=0-")[6:-1])
            response = web.StreamResponse(status=206 if start else 200, headers={"ETag": '"v1"'})
            if start:
                response.headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
            response.content_length = len(CONTENT) - start
            await response.prepare(request)
            await response.write(CONTENT[start : start + 100_000])
            await asyncio.sleep(0.02)
            assert request.transport is not None
            request.transport.close()
            return response

        host.answers.append(shortened)
        assert (await fetch(address, attempts=2)).content == CONTENT
    assert len(host.asked) == 9


async def test_a_cut_chunked_body_is_never_taken_for_the_whole() -> None:
    async with slack(answers=[cut_after(1_000_000, CONTENT, chunked=True)]) as (_, address):
        assert (await fetch(address)).content == CONTENT


@pytest.mark.parametrize("tag", [None, 'W/"v1"'])
async def test_without_a_strong_validator_a_cut_body_starts_anew(tag: str | None) -> None:
    async with slack(etag=tag, answers=[cut_after(1_000_000, CONTENT, etag=tag)]) as (host, address):
        assert (await fetch(address)).content == CONTENT
    assert [asked.range for asked in host.asked] == [None, None]


async def test_two_versions_of_a_file_never_grow_together() -> None:
    old = bytes(len(CONTENT))
    async with slack(etag='"v2"', answers=[cut_after(1_000_000, old)]) as (host, address):
        assert (await fetch(address)).content == CONTENT
    assert host.asked[1].if_range == '"v1"'


@pytest.mark.parametrize("where", ["bytes 0-9/3000000", "bytes 999999-2999999/3000000", "nonsense"])
async def test_another_part_than_was_asked_for_is_refused(where: str) -> None:
    async with slack(answers=[cut_after(1_000_000, CONTENT)]) as (host, address):

        async def other(request: web.Request) -> web.Response | None:
            if len(host.asked) != 2:
                return None
            return web.Response(status=206, body=b"x" * 10, headers={"Content-Range": where, "ETag": '"v1"'})

        host.answers.append(other)
        assert (await fetch(address)).content == CONTENT
    assert host.asked[2].range is None


async def test_an_encoded_body_is_not_stored_in_place_of_the_file() -> None:
    async def encoded(request: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    async with slack(answers=[encoded]) as (_, address):
        with pytest.raises(DownloadFailed, match="encoded"):
            await fetch(address, attempts=1)


async def test_a_pause_that_slack_asks_for_holds_for_all_downloads() -> None:
    async with slack(answers=[first(1, 429, Retry_After="1")]) as (host, address):
        host.content["F2"] = b"two"
        clock = asyncio.get_running_loop().time
        async with open_downloader(Hosts.allowing([address])) as downloader:

            async def get(file: FileEntry) -> float:
                async with downloader.fetch(file) as fetched:
                    assert not isinstance(fetched, Verdict)
                return clock()

            started = clock()
            waiting = asyncio.create_task(get(entry(address, "F1")))
            await asyncio.sleep(0.3)
            ended = await asyncio.gather(waiting, get(entry(address, "F2")))
    assert all(end - started >= 1 for end in ended)
    assert len(host.asked) == 3


@pytest.mark.parametrize("answer", [first(99, 429), first(99, 500), first(1, 429, Retry_After="86400")])
async def test_what_may_pass_is_left_to_a_later_run(answer: Any) -> None:
    async with slack(answers=[answer]) as (_, address):
        with pytest.raises(DownloadFailed) as caught:
            await fetch(address, attempts=2)
    assert "http" not in str(caught.value)


async def test_a_host_that_is_not_there_is_left_to_a_later_run() -> None:
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        await fetch("127.0.0.1:9", attempts=2)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_over_the_limit_is_not_taken(chunked: bool) -> None:
    async with slack() as (host, address):
        if chunked:

            async def endless(request: web.Request) -> web.StreamResponse:
                response = web.StreamResponse()
                response.enable_chunked_encoding()
                await response.prepare(request)
                with contextlib.suppress(ConnectionError):
                    for _ in range(1000):
                        await response.write(b"x" * 100_000)
                return response

            host.answers.append(endless)
        verdict = (await fetch(address, max_size=1_000_000)).verdict
    assert verdict is not None
    assert verdict.status is Status.TOO_LARGE


async def test_no_credential_crosses_a_redirect_to_another_host() -> None:
    cdn = SlackHost(content={"F1": CONTENT})
    async with slack() as (host, address), hosting(cdn) as other:

        async def away(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"http://{other}/cdn/T1-F1/a.zip?x=1&t={CREDENTIAL}"})

        host.answers.append(away)
        assert (await fetch(address, token=TOKEN_OF_SLACK, also=[other])).content == CONTENT
    assert host.asked[0].authorization == f"Bearer {TOKEN_OF_SLACK}"
    assert [(asked.authorization, asked.query, asked.cookie) for asked in cdn.asked] == [(None, "x=1", None)]


async def test_a_way_back_to_slack_does_not_bring_the_credential_back() -> None:
    cdn = SlackHost()
    async with slack() as (host, address), hosting(cdn) as other:

        async def away(request: web.Request) -> web.Response | None:
            if request.path.startswith("/files-pri/"):
                return web.Response(status=302, headers={"Location": f"http://{other}/x"})
            return None

        async def back(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"http://{address}/cdn/T1-F1/a.zip"})

        host.answers.append(away)
        cdn.answers.append(back)
        assert (await fetch(address, token=TOKEN_OF_SLACK, also=[other])).content == CONTENT
    assert [asked.authorization is None for asked in host.asked] == [False, True]


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/x",
        "https://127.0.0.1/x",
        "https://10.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[64:ff9b::7f00:1]/x",
        "http://example.com/x",
        "https://localhost/x",
        "https://user:secret@example.com/x",
        "file:///etc/passwd",
        "ftp://files.slack.com/x",
        "http://[",
        "",
    ],
)
async def test_a_redirect_to_where_nothing_may_be_asked_is_denied(target: str) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    async with slack(answers=[away]) as (host, address):
        verdict = (await fetch(address)).verdict
    assert verdict is not None
    assert verdict.status is Status.DENIED
    assert len(host.asked) == 1


async def test_a_circle_of_redirects_ends() -> None:
    async def around(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.path})

    async with slack(answers=[around]) as (host, address):
        verdict = (await fetch(address)).verdict
    assert verdict is not None
    assert verdict.status is Status.DENIED
    assert len(host.asked) < 10


async def test_no_cookie_of_slack_is_kept() -> None:
    async with slack() as (host, address):
        await fetch(address, entry(address, credential="xoxe-stale"))
        await fetch(address)
    assert [asked.cookie for asked in host.asked] == [None, None]


@pytest.mark.parametrize(
    ("url", "allowed", "slack_host"),
    [
        ("https://files.slack.com/x", (), True),
        ("https://acme.slack.com/x", (), True),
        ("https://files.slack-gov.com/x", (), True),
        ("http://files.slack.com/x", (), False),
        ("https://files.slack.com:8443/x", (), False),
        ("https://evilslack.com/x", (), False),
        ("https://slack.com.evil.example/x", (), False),
        ("https://files.slack.com@evil.example/x", (), False),
        ("http://127.0.0.1:80/x", (), False),
        ("http://127.0.0.1:8765/x", ("127.0.0.1:8765",), True),
        ("http://127.0.0.1:8766/x", ("127.0.0.1:8765",), False),
        ("http://Mirror.Example/x", ("mirror.example",), True),
        ("ftp://mirror.example:80/x", ("mirror.example:80",), False),
    ],
)
def test_only_slacks_hosts_and_named_ones_are_asked(url: str, allowed: tuple[str, ...], slack_host: bool) -> None:
    rules = Hosts.allowing(allowed)
    assert rules.is_slack(URL(url)) is slack_host
    assert (hosts.address({"url_private": url}, rules) is not None) is slack_host


def test_means_are_what_there_is_to_try_with() -> None:
    async def means(token: str | None, file: FileEntry) -> Tried:
        async with open_downloader(Hosts.allowing(["h.example"]), token=token) as downloader:
            return downloader.means(file)

    for token, credential, expected in (
        (None, None, Tried.NOTHING),
        (None, CREDENTIAL, Tried.LINK),
        (TOKEN_OF_SLACK, None, Tried.TOKEN),
        (TOKEN_OF_SLACK, CREDENTIAL, Tried.TOKEN),
    ):
        assert asyncio.run(means(token, entry("h.example", credential=credential))) is expected
    assert asyncio.run(means(TOKEN_OF_SLACK, entry("elsewhere.example"))) is Tried.NOTHING


def test_retry_after_is_read_in_both_forms() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert retry_after({"Retry-After": "7"}) == 7
    assert retry_after({"Retry-After": later}, now) == 90
    assert retry_after({"Retry-After": format_datetime(now - timedelta(days=1))}, now) == 0
    assert [retry_after({"Retry-After": value}) for value in ("", "soon", "-1", "٣")] == [None] * 4
    assert retry_after({}) is None


# -- Through a whole hydration ------------------------------------------------------------------------------------


async def run(source: Path, server: ResourceServer, host: str, **options: Any) -> Report:
    async with serving(server) as address, open_http_sink(address, TOKEN, manifest.CONNECTOR_ID, attempts=2) as sink:
        return await hydrate(source, sink, Options(slack_hosts=Hosts.allowing([host]), **options))


async def test_an_export_without_bytes_is_hydrated_over_http(tmp_path: Path) -> None:
    server = ResourceServer()
    async with slack() as (host, address):
        export = SlackExport(tmp_path, f"http://{address}")
        for n in range(12):
            export.add(f"F{n}", None, size=4)
            host.content[f"F{n}"] = b"%04d" % n
        export.add("FGONE", None, size=4)
        report = await run(export.write(), server, address)
        assert report.statuses["hydrated"].files == 12
        assert server.statuses()["FGONE"] == "gone"
        assert server.blobs[server.records["files"]["F7"]["blob_ref"]["blob_id"]] == b"0007"
        assert host.most <= 2
        asked = len(host.asked)
        again = await run(export.root, server, address)
        assert len(host.asked) == asked
        assert (again.blobs_sent, again.streams["files"].sent) == (0, 0)


async def test_bad_copies_are_fetched_where_a_token_is_given_now(tmp_path: Path) -> None:
    server = ResourceServer()
    good = b"0123456789"
    async with slack() as (host, address):
        export = SlackExport(tmp_path, f"http://{address}")
        export.add("FSHORT", b"short", size=10, credential=None)
        export.add("FEMPTY", b"", size=10, credential=None)
        export.add("FPAGE", SIGN_IN, size=10, credential=None)
        export.add("FMISSING", None, size=10, credential=None)
        export.add("FLOST", b"short", size=10, credential=None)
        host.content = dict.fromkeys(("FSHORT", "FEMPTY", "FPAGE", "FMISSING"), good)
        without = await run(export.write(), server, address)
        assert not host.asked
        assert "hydrated" not in without.statuses
        with_token = await run(export.root, server, address, slack_token=TOKEN_OF_SLACK)
        assert server.statuses() == {
            "FSHORT": "hydrated",
            "FEMPTY": "hydrated",
            "FPAGE": "hydrated",
            "FMISSING": "hydrated",
            "FLOST": "truncated",
        }
        assert with_token.exit_code == 0
        asked = len(host.asked)
        again = await run(export.root, server, address, slack_token=TOKEN_OF_SLACK)
        assert len(host.asked) == asked
        assert again.streams["files"].sent == 0


async def test_a_download_that_fails_now_is_tried_by_the_next_run(tmp_path: Path) -> None:
    server = ResourceServer()
    async with slack(answers=[first(1, 429, Retry_After="86400")]) as (host, address):
        export = SlackExport(tmp_path, f"http://{address}")
        export.add("F1", None, size=len(CONTENT))
        report = await run(export.write(), server, address)
        assert report.exit_code == 1
        assert server.statuses() == {"F1": "missing"}
        assert (await run(export.root, server, address)).exit_code == 0
        assert server.statuses() == {"F1": "hydrated"}
        assert len(host.asked) == 2


async def test_what_was_denied_is_asked_for_again_and_told(tmp_path: Path) -> None:
    server = ResourceServer()
    async with slack() as (host, address):
        host.tokens = {TOKEN_OF_SLACK}
        export = SlackExport(tmp_path, f"http://{address}")
        export.add("F1", None, size=len(CONTENT))
        for _ in range(2):
            report = await run(export.write(), server, address)
            assert report.exit_code == 1
            assert report.statuses["denied"].files == 1
        assert server.seen["records:files"] == 1
        report = await run(export.root, server, address, slack_token=TOKEN_OF_SLACK)
        assert (report.exit_code, server.statuses()) == (0, {"F1": "hydrated"})


async def test_a_larger_limit_brings_what_was_too_large(tmp_path: Path) -> None:
    server = ResourceServer()
    async with slack() as (_, address):
        export = SlackExport(tmp_path, f"http://{address}")
        export.add("F1", None, size=len(CONTENT))
        for _ in range(2):
            report = await run(export.write(), server, address, max_size=1000)
            assert (report.exit_code, server.statuses()) == (0, {"F1": "too_large"})
        assert server.seen["records:files"] == 1
        await run(export.root, server, address, max_size=len(CONTENT))
        assert server.statuses() == {"F1": "hydrated"}


async def test_no_credential_shows_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server = ResourceServer()
    async with slack() as (host, address):
        export = SlackExport(tmp_path, f"http://{address}")
        for n, answer in enumerate((first(1, 403), first(1, 404), first(1, 429, Retry_After="9999"), first(2, 500))):
            host.answers.append(answer)
            export.add(f"F{n}", None, size=4)
        host.answers.append(cut_after(10, CONTENT))
        export.add("F9", None, size=4)
        report = await run(export.write(), server, address, slack_token=TOKEN_OF_SLACK)
    shown = "".join(
        [
            b"".join(server.bodies).decode(),
            *server.requests,
            json.dumps(server.state),
            json.dumps(report.as_json()),
            # All but what the two servers log: they run in this process too.
            *(record.getMessage() for record in caplog.records if record.name != "aiohttp.access"),
            *capsys.readouterr(),
        ]
    )
    assert len(server.statuses()) == 5
    assert "files-pri/T1-F0" in shown
    for secret in (CREDENTIAL, TOKEN_OF_SLACK, "xoxe", "xoxb"):
        assert secret not in shown
