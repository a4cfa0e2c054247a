"""Addresses of objects that anybody may fetch for a while, with a client that knows nothing of S3."""

import ssl
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from blobstore.backends.s3 import Access, S3Backend
from blobstore.backends.s3.links import Signer
from blobstore.errors import StorageUnavailable
from tests.conformance.backend_suite import name_of
from tests.fakes.s3 import S3Server

DATA = bytes(range(256)) * 8
NAME = "attachment; filename=\"_bersicht.zip\"; filename*=UTF-8''%C3%9Cbersicht.zip"


@pytest.fixture(scope="module", params=["http", "https"])
def backend(request: pytest.FixtureRequest, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> S3Backend:
    backend = S3Backend.connect(s3.place(), s3.access(tls=request.param == "https"))
    staged = tmp_path_factory.mktemp("staging") / "staged"
    staged.write_bytes(DATA)
    backend.publish(name_of(DATA), staged)
    return backend


def link(backend: S3Backend, seconds: int = 60) -> str:
    with closing(backend.open(name_of(DATA))) as reader:
        return reader.link(seconds, "application/octet-stream", NAME)


def fetch(s3: S3Server, url: str, **headers: str) -> tuple[int, Message, bytes]:
    trust = ssl.create_default_context(cafile=s3.ca_bundle) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=trust) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_a_link_gives_the_bytes_with_the_headers_that_were_signed(s3: S3Server, backend: S3Backend) -> None:
    status, headers, body = fetch(s3, link(backend))
    assert (status, body) == (200, DATA)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == NAME
    assert headers["Cache-Control"] == "private, no-store"


def test_a_link_gives_ranges(s3: S3Server, backend: S3Backend) -> None:
    for asked, wanted in (("bytes=5-9", DATA[5:10]), ("bytes=2000-", DATA[2000:]), ("bytes=-7", DATA[-7:])):
        status, headers, body = fetch(s3, link(backend), Range=asked)
        assert (status, body, headers["Content-Type"]) == (206, wanted, "application/octet-stream")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("response-content-type", "text/html"),
        ("response-content-disposition", "inline"),
        ("X-Amz-Expires", "86400"),
        ("X-Amz-Date", "20260101T000000Z"),
        ("X-Amz-Signature", "0" * 64),
    ],
)
def test_a_link_that_was_tampered_with_opens_nothing(s3: S3Server, backend: S3Backend, name: str, value: str) -> None:
    url = urlsplit(link(backend))
    query = dict(parse_qsl(url.query))
    assert query[name] != value
    status, _, body = fetch(s3, url._replace(query=urlencode(query | {name: value})).geturl())
    assert status in (400, 403)
    assert DATA[:16] not in body


def test_a_link_opens_no_other_object(s3: S3Server, backend: S3Backend, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    backend.publish(name_of(b"other"), tmp_path / "other")
    url = urlsplit(link(backend))
    path = url.path.replace(name_of(DATA).digest.hex, name_of(b"other").digest.hex)
    status, _, body = fetch(s3, url._replace(path=path).geturl())
    assert (status, body == b"other") == (403, False)


def test_a_link_opens_nothing_once_its_time_is_over(
    s3: S3Server, backend: S3Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(backend)  # the signer is there
    past = datetime.now(UTC) - timedelta(seconds=120)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: past.replace(tzinfo=None))
    assert fetch(s3, link(backend, 60))[0] == 403
    assert fetch(s3, link(backend, 3600))[0] == 200


def test_a_link_names_the_store_as_clients_reach_it(s3: S3Server, tmp_path: Path) -> None:
    """And only so: the host is signed."""
    public = s3.url.replace("127.0.0.1", "localhost")
    backend = S3Backend.connect(s3.place(), replace(s3.access(), public_endpoint=public))
    (tmp_path / "staged").write_bytes(DATA)
    backend.publish(name_of(DATA), tmp_path / "staged")
    url = link(backend)
    assert url.startswith(public + "/")
    assert fetch(s3, url)[2] == DATA
    assert fetch(s3, url.replace("localhost", "127.0.0.1"))[0] == 403


def test_a_link_without_keys_to_sign_it_is_an_error_of_the_storage(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(StorageUnavailable):
        Signer(s3.access(), "bucket").link("key", 60, "text/plain", "inline")


def test_a_link_leads_to_the_region_of_amazon_whatever_endpoint_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere.example")
    link = Signer(Access(region="eu-west-1"), "bucket").link("key", 60, "image/png", "inline")
    assert urlsplit(link).hostname == "bucket.s3.eu-west-1.amazonaws.com"
