"""S3 that fails: nothing is acknowledged that is not there, no short read passes for whole, and nobody waits for long.

The store is real; a proxy before it loses answers, cuts connections, and gives answers that the store would never.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import botocore.endpoint
import pytest

from blobstore.backend import ObjectName
from blobstore.backends.s3 import Access, Place, S3Backend, client, parts, publishing
from blobstore.backends.s3.gate import PAUSE_SECONDS
from blobstore.errors import BlobError, BlobNotFound, OutOfSpace, StorageUnavailable
from tests.conformance.backend_suite import Stage, digest_of, name_of, read_all
from tests.fakes.s3 import REGION, S3Server
from tests.fakes.tcp_proxy import Fault, Harm, TcpProxy, answer, error, proxying

PART = 5 << 20
"""Of what a store takes as a part, the smallest: less goes over the wire than with ours."""

SMALL = os.urandom(3 << 20)
LARGE = os.urandom(2 * PART + 17)

WHOLE, CREATE, SENT_PART, COMPLETE = b"PUT /", b"?uploads", b"partNumber=", b"?uploadId="
READ, DELETE = b"GET /", b"?delete"


def _id(value: object) -> str:
    match value:
        case Fault():
            return f"{value.word.decode()}-{value.harm.name if isinstance(value.harm, Harm) else _id(value.harm)}"
        case bytes():
            return str(value[:40]) if value.startswith(b"HTTP") else str(len(value))
        case list():
            return _id(value[0])
    return str(value)


@pytest.fixture(autouse=True, scope="module")
def impatient() -> Iterator[None]:
    """The same number of attempts, without the waits between them, and smaller parts."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (parts, publishing):
            patch.setattr(module, "PART", PART)
        patch.setattr(botocore.endpoint, "time", SimpleNamespace(**{**vars(time), "sleep": lambda _: None}))
        yield


@pytest.fixture
def staged(tmp_path: Path) -> Stage:
    """Makes files."""
    numbers = itertools.count()

    def stage(data: bytes) -> Path:
        path = tmp_path / str(next(numbers))
        path.write_bytes(data)
        return path

    return stage


@pytest.fixture(scope="module")
def proxies(s3: S3Server) -> Iterator[TcpProxy]:
    with proxying(s3.url) as proxy:
        yield proxy


@pytest.fixture
def proxy(proxies: TcpProxy) -> Iterator[TcpProxy]:
    yield proxies
    proxies.faults.clear()


@pytest.fixture(scope="module")
def proxied(s3: S3Server, proxies: TcpProxy) -> Iterator[S3Backend]:
    yield from _connected(s3.place(), Access(proxies.url, REGION))


@pytest.fixture(scope="module")
def straight(s3: S3Server) -> Iterator[S3Backend]:
    yield from _connected(s3.place(), s3.access())


@pytest.fixture
def backend(proxied: S3Backend, proxy: TcpProxy) -> Iterator[S3Backend]:
    """Behind the proxy; each test finds it empty."""
    yield proxied
    proxy.faults.clear()
    _empty(proxied)


@pytest.fixture
def direct(straight: S3Backend) -> Iterator[S3Backend]:
    """Without the proxy."""
    yield straight
    _empty(straight)


def _empty(backend: S3Backend) -> None:
    _until_it_answers(backend)
    backend.remove([entry[0] for entry in backend.list() if isinstance(entry, tuple)])


def _connected(place: Place, access: Access) -> Iterator[S3Backend]:
    backend = S3Backend.connect(place, access)
    yield backend
    backend.close()


# -- publish -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (SMALL, Fault(WHOLE, Harm.REFUSED)),
        (SMALL, Fault(WHOLE, Harm.BROKEN, 1 << 20)),
        (SMALL, Fault(WHOLE, Harm.UNHEARD)),
        (SMALL, Fault(WHOLE, error("503 Slow Down", "SlowDown"))),
        (LARGE, Fault(CREATE, Harm.UNHEARD)),
        (LARGE, Fault(SENT_PART, Harm.BROKEN, 1 << 20)),
        (LARGE, Fault(SENT_PART, Harm.UNHEARD)),
        (LARGE, Fault(SENT_PART, error("500 Oh", "InternalError"))),
        (LARGE, Fault(COMPLETE, Harm.REFUSED)),
        (LARGE, Fault(COMPLETE, Harm.UNHEARD)),
        (LARGE, Fault(COMPLETE, error("200 OK", "InternalError"))),
    ],
    ids=_id,
)
def test_a_request_that_fails_once_is_repeated_and_the_bytes_are_there_once(
    backend: S3Backend, proxy: TcpProxy, staged: Stage, data: bytes, fault: Fault
) -> None:
    proxy.faults.append(fault)
    backend.publish(name_of(data), staged(data))
    assert proxy.faults == []
    assert digest_of(read_all(backend, name_of(data))) == name_of(data).digest
    backend.remove([name_of(data)])
    assert list(backend.list()) == []


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (SMALL, Fault(WHOLE, Harm.BROKEN, 1 << 20)),
        (SMALL, Fault(WHOLE, error("403 No", "AccessDenied"))),
        (LARGE, Fault(SENT_PART, Harm.BROKEN, 1 << 20)),
        (LARGE, Fault(SENT_PART, error("500 Oh", "InternalError"))),
        (LARGE, Fault(COMPLETE, Harm.REFUSED)),
        (LARGE, Fault(COMPLETE, error("200 OK", "InternalError"))),
        (LARGE, Fault(COMPLETE, error("404 Gone", "NoSuchUpload"))),
    ],
    ids=_id,
)
def test_what_fails_again_and_again_is_not_acknowledged_and_leaves_no_name(
    backend: S3Backend, proxy: TcpProxy, staged: Stage, data: bytes, fault: Fault
) -> None:
    proxy.faults += [fault] * 20
    with pytest.raises(StorageUnavailable):
        backend.publish(name_of(data), staged(data))
    proxy.faults.clear()
    _until_it_answers(backend)
    assert backend.size(name_of(data)) is None
    backend.remove([name_of(data)])
    assert list(backend.list()) == []


def test_a_key_that_another_took_is_not_ours_though_an_answer_was_lost(
    backend: S3Backend, proxy: TcpProxy, staged: Stage
) -> None:
    backend.publish(name_of(SMALL), staged(b"another's"))
    proxy.faults.append(Fault(WHOLE, Harm.UNHEARD))
    with pytest.raises(FileExistsError):
        backend.publish(name_of(SMALL), staged(SMALL))
    assert read_all(backend, name_of(SMALL)) == b"another's"


# -- read ----------------------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_is_taken_up_where_it_broke(backend: S3Backend, proxy: TcpProxy, staged: Stage) -> None:
    backend.publish(name_of(LARGE), staged(LARGE))
    reader = backend.open(name_of(LARGE))
    proxy.faults += [Fault(READ, Harm.SHORT, 700_000), Fault(READ, Harm.SHORT, 5_000_000), Fault(READ, Harm.REFUSED)]
    pieces = [reader.read(at, 1 << 20) for at in range(0, len(LARGE), 1 << 20)]
    assert digest_of(b"".join(pieces)) == name_of(LARGE).digest
    assert proxy.faults == []
    proxy.faults.append(Fault(READ, Harm.SHORT, 1_000))
    assert digest_of(reader.read(12_345, 500_000)) == digest_of(LARGE[12_345:512_345])
    reader.close()


@pytest.mark.parametrize("offset", [0, 4321])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(READ, Harm.SHORT, 100_000),
        Fault(READ, answer("206 Partial Content", "short", "Content-Range: bytes 0-4/5")),
        Fault(READ, answer("206 Partial Content", "not what Content-Length says")[:-3]),
        Fault(READ, error("500 Oh", "InternalError")),
        Fault(READ, b"<html>Welcome to this hotel's network</html>"),
    ],
    ids=["cut", "short", "ended", "500", "no HTTP"],
)
def test_a_short_answer_never_passes_for_the_bytes(
    backend: S3Backend, proxy: TcpProxy, staged: Stage, fault: Fault, offset: int
) -> None:
    backend.publish(name_of(SMALL), staged(SMALL))
    reader = backend.open(name_of(SMALL))
    proxy.faults += [fault] * 40
    with pytest.raises(StorageUnavailable):
        reader.read(offset, 1 << 20)
    proxy.faults.clear()
    _until_it_answers(backend)
    assert digest_of(reader.read(offset, 1 << 20)) == digest_of(SMALL[offset : offset + (1 << 20)])
    reader.close()


def test_a_refusal_is_not_taken_for_an_absence(backend: S3Backend, proxy: TcpProxy, staged: Stage) -> None:
    backend.publish(name_of(b"data"), staged(b"data"))
    reader = backend.open(name_of(b"data"))
    proxy.faults += [Fault(READ, error("403 Forbidden", "AccessDenied")), Fault(READ, error("404 No", "NoSuchBucket"))]
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            reader.read(0, 4)
    backend.remove([name_of(b"data")])
    with pytest.raises(BlobNotFound):
        reader.read(0, 4)


# -- remove --------------------------------------------------------------------------------------------------------


def test_a_deletion_that_fails_for_one_object_fails(backend: S3Backend, proxy: TcpProxy, staged: Stage) -> None:
    names = [name_of(b"one"), name_of(b"two")]
    for name in names:
        backend.publish(name, staged(b"data"))
    locked = "<Error><Key>k</Key><Code>AccessDenied</Code><Message>object is locked</Message></Error>"
    proxy.faults.append(Fault(DELETE, answer("200 OK", f"<DeleteResult>{locked}</DeleteResult>")))
    with pytest.raises(StorageUnavailable, match=r"1 of 2 are kept.*object lock.*object is locked"):
        backend.remove(names)
    proxy.faults += [Fault(DELETE, Harm.UNHEARD), Fault(DELETE, Harm.REFUSED)]
    backend.remove(names)
    assert list(backend.list()) == []


# -- a store that hangs, or is gone for a while --------------------------------------------------------------------


def test_nobody_waits_long_for_a_store_that_hangs(s3: S3Server, staged: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ_SECONDS", 1.0)
    monkeypatch.setattr(client, "DELETION_SECONDS", 1.0)
    direct = S3Backend.connect(s3.place(), s3.access())
    direct.publish(name_of(SMALL), staged(SMALL))
    reader = direct.open(name_of(SMALL))
    calls: list[Callable[[], object]] = [
        lambda: direct.publish(name_of(b"x"), staged(b"x")),
        lambda: direct.publish(name_of(LARGE), staged(LARGE)),
        lambda: reader.read(0, 1 << 20),
        lambda: direct.open(name_of(SMALL)),
        lambda: direct.remove([name_of(SMALL)]),
        lambda: list(direct.list()),
    ]
    with s3.paused(), ThreadPoolExecutor(8) as pool:
        # Most of them are not even sent: the first to give up tell the others.
        outcomes = list(pool.map(_error, calls * 10))
    assert {type(each) for each in outcomes} == {StorageUnavailable}
    _until_it_answers(direct)
    assert digest_of(reader.read(0, 1 << 20)) == digest_of(SMALL[: 1 << 20])
    direct.publish(name_of(b"y"), staged(b"y"))
    assert read_all(direct, name_of(b"y")) == b"y"
    direct.close()


def test_closing_frees_who_reads_from_a_store_that_hangs(
    s3: S3Server, staged: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "READ_SECONDS", 600.0)
    backend = S3Backend.connect(s3.place(), s3.access())
    backend.publish(name_of(LARGE), staged(LARGE))
    reader = backend.open(name_of(LARGE))
    reader.read(0, 1 << 20)
    reader.read(1 << 20, 1 << 20)  # a stream is open now
    with s3.paused(), ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(_error, lambda: reader.read(2 << 20, len(LARGE)))
        while not reader._lock.locked():
            time.sleep(0.01)
        backend.close()
        assert isinstance(hanging.result(), StorageUnavailable)


@pytest.mark.long
def test_what_is_acknowledged_outlives_a_store_that_is_killed(s3: S3Server, direct: S3Backend, staged: Stage) -> None:
    published: list[ObjectName] = []
    over = threading.Event()

    def upload(worker: int) -> None:
        for number in range(10_000):
            if over.is_set():
                return
            data = f"{worker} {number} ".encode() * 20_000
            with suppress(StorageUnavailable):
                direct.publish(name_of(data), staged(data))
                published.append(name_of(data))

    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(upload, each) for each in range(3)]
        _until(lambda: len(published) > 10)
        s3.kill()
        before = len(published)
        s3.start()
        _until(lambda: len(published) > before + 10)
        over.set()
        for each in workers:
            each.result()
    for name in published:
        assert digest_of(read_all(direct, name)) == name.digest


# -- what is said --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (error("403 Forbidden", "RequestTimeTooSkewed"), "clock"),
        (error("403 Forbidden", "InvalidAccessKeyId"), "AWS_ACCESS_KEY_ID"),
        (error("403 Forbidden", "AccessDenied"), "check the keys"),
        (error("400 Bad Request", "AuthorizationHeaderMalformed"), "region"),
        (error("301 Moved", "PermanentRedirect"), "region"),
        (error("404 Not Found", "NoSuchBucket"), "no such bucket"),
        (error("501 Not Implemented", "NotImplemented"), "cannot do it"),
        (error("503 Slow Down", "SlowDown"), "overloaded"),
        (error("418 Teapot", "Whatever"), "Whatever so it says"),
    ],
    ids=_id,
)
def test_an_error_says_what_to_do(backend: S3Backend, proxy: TcpProxy, said: bytes, expected: str) -> None:
    proxy.faults += [Fault(READ, said)] * 3
    with pytest.raises(StorageUnavailable, match=expected):
        list(backend.list())


def test_a_full_store_is_out_of_space(backend: S3Backend, proxy: TcpProxy, staged: Stage) -> None:
    proxy.faults.append(Fault(WHOLE, error("403 Forbidden", "QuotaExceeded")))
    with pytest.raises(OutOfSpace):
        backend.publish(name_of(b"data"), staged(b"data"))


def test_what_is_wrong_with_the_settings_is_said_at_start(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = s3.place()
    for access, expected in [
        (Access(s3.url.replace("http:", "https:"), REGION), "speaks no https"),
        (Access("http://127.0.0.1:9", REGION), "does not answer"),
        *([(Access(s3.tls_url, REGION), "name the authority's file")] if s3.tls_url != s3.url else []),
    ]:
        with pytest.raises(StorageUnavailable, match=expected):
            S3Backend.connect(place, access)
    with pytest.raises(StorageUnavailable, match="no such bucket"):
        S3Backend.connect(Place("there-is-no-such-bucket", "p/"), s3.access())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageUnavailable, match="keys"):
        S3Backend.connect(place, s3.access())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StorageUnavailable, match="there are no keys"):
        S3Backend.connect(place, s3.access())


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([Fault(b"Range: bytes=100-199", answer("200 OK", "all of it"))], "give a part of an object"),
        ([Fault(b"list-type=2", answer("200 OK", "<ListBucketResult></ListBucketResult>"))], "list objects"),
        ([Fault(CREATE, error("501 Not Implemented", "NotImplemented"))], "in parts"),
        ([Fault(DELETE, error("501 Not Implemented", "NotImplemented"))] * 2, "deleting objects"),
    ],
    ids=_id,
)
def test_the_self_test_names_what_a_store_cannot_do(
    s3: S3Server, proxy: TcpProxy, faults: list[Fault], expected: str
) -> None:
    proxy.faults += faults
    with pytest.raises(StorageUnavailable, match=expected):
        S3Backend.connect(s3.place(), Access(proxy.url, REGION))


@pytest.mark.parametrize(
    ("header", "versioned"), [("x-openstack-request-id: tx", False), ("x-rgw-object-type: N", True)]
)
def test_a_store_that_only_looks_first_is_not_taken_for_exclusive(
    s3: S3Server, proxy: TcpProxy, header: str, versioned: bool
) -> None:
    said = f"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n{header}\r\nConnection: close\r\n\r\n"
    proxy.faults += [Fault(b"HEAD /", said.encode())] * 2
    backend = S3Backend.connect(s3.place(versioned=versioned), Access(proxy.url, REGION))
    notes = backend.notes()[0]
    assert notes is not None
    assert not notes.exclusive
    assert "may take it for theirs" in backend.lacks[0]
    backend.close()


def _error(call: Callable[[], object]) -> BlobError | None:
    try:
        call()
    except BlobError as error:
        return error
    return None


def _until_it_answers(backend: S3Backend) -> None:
    """Nobody asks for a moment a store that did not answer."""
    _until(lambda: _error(lambda: backend.size(name_of(b"whatever"))) is None)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60 * PAUSE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
