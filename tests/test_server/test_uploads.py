"""Resumable uploads (tus 1.0): what arrives is stored as by one request, whatever comes in between."""

import asyncio
import base64
import hashlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from blobstore.digest import Hasher
from blobstore.errors import StorageUnavailable
from blobstore.quota import WHOLE, Limit
from blobstore.resumable import uploads as resumable
from blobstore.store import BlobStore
from server import intake
from tests.test_server.conftest import Running, Start
from tests.test_server.test_connection import MANIFEST, register

OCTETS = "application/offset+octet-stream"
WHERE = "connector_id=c&stream=notes&record_key=1"


@dataclass
class Tus:
    """A client that sends what it is told to."""

    running: Running
    session: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, body: bytes | AsyncIterator[bytes] | None = None, **headers: str
    ) -> aiohttp.ClientResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        every = {"Authorization": f"Bearer {self.running.token}", "Tus-Resumable": "1.0.0"}
        async with self.session.request(
            method, self.running.url + path, data=body, headers={**every, **named}
        ) as response:
            await response.read()
            if response.status < 500:
                assert response.headers["Tus-Resumable"] == "1.0.0"
            return response

    async def begin(self, length: int, where: str = WHERE, **headers: str) -> str:
        response = await self.ask("POST", f"/v1/uploads?{where}", None, Upload_Length=str(length), **headers)
        assert response.status == 201, await response.text()
        return response.headers["Location"]

    async def patch(self, path: str, offset: int, body: Any, **headers: str) -> aiohttp.ClientResponse:
        return await self.ask("PATCH", path, body, **{"Content_Type": OCTETS, "Upload_Offset": str(offset), **headers})

    async def offset(self, path: str) -> int:
        response = await self.ask("HEAD", path)
        assert response.status == 200
        assert "no-store" in response.headers["Cache-Control"]
        return int(response.headers["Upload-Offset"])

    async def stored(self, blob_id: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.running.token}"}
        async with self.session.get(f"{self.running.url}/v1/blobs/{blob_id}", headers=headers) as response:
            assert response.status == 200
            return await response.read()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:
        yield session


@pytest.fixture
async def tus(running: Running, session: aiohttp.ClientSession) -> Tus:
    await register(running)
    return Tus(running, session)


def blob_id(data: bytes) -> str:
    hasher = Hasher()
    hasher.update(data)
    return str(hasher.finish().digest)


async def nothing_is_staged(store: BlobStore) -> bool:
    return not (list(store.staging.files()) or await store.catalogue.leases() or await store.catalogue.reserved())


async def test_bytes_in_parts_become_the_blob_that_one_request_makes(tus: Tus, rng: random.Random) -> None:
    data = rng.randbytes(300_000)
    path = await tus.begin(len(data), Upload_Metadata=f"filename {base64.b64encode(b'x').decode()}")
    assert path.startswith("/v1/uploads/")
    for start in range(0, len(data), 100_000):
        response = await tus.patch(path, start, data[start : start + 100_000])
        assert (response.status, response.headers["Upload-Offset"]) == (204, str(start + 100_000))
    assert response.headers["Blob-Id"] == blob_id(data)
    assert await tus.stored(blob_id(data)) == data
    assert await nothing_is_staged(tus.running.store.blobs)
    known = await tus.ask("HEAD", path)
    assert (known.headers["Upload-Offset"], known.headers["Blob-Id"]) == (str(len(data)), blob_id(data))
    again = await tus.patch(path, len(data), b"")
    assert (again.status, again.headers["Blob-Id"]) == (204, blob_id(data))


async def test_an_upload_goes_on_after_its_server_was_started_again(
    start: Start, session: aiohttp.ClientSession, rng: random.Random
) -> None:
    data = rng.randbytes(2_500_000)
    async with start() as running:
        await register(running)
        tus = Tus(running, session)
        path = await tus.begin(len(data), Repr_Digest=f"sha-256=:{_base64(hashlib.sha256(data).digest())}:")
        await tus.patch(path, 0, data[:1_234_567])
    async with start() as running:
        tus = Tus(running, session)
        await running.store.collector.tidy()
        assert await tus.offset(path) == 1_234_567
        response = await tus.patch(path, 1_234_567, data[1_234_567:])
        assert response.headers["Blob-Id"] == blob_id(data)
        assert await tus.stored(blob_id(data)) == data


@pytest.mark.parametrize("large", [1, 1 << 30], ids=["past the parser", "through the parser"])
async def test_what_came_before_the_connection_broke_is_kept(
    tus: Tus, rng: random.Random, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(intake, "LARGE", large)
    data = rng.randbytes(3_000_000)
    path = await tus.begin(len(data))
    with await tus.running.connect() as wire:
        headers = ("Tus-Resumable: 1.0.0", "Upload-Offset: 0", f"Content-Type: {OCTETS}", "Content-Length: 3000000")
        await wire.send(tus.running.head(f"PATCH {path}", *headers) + data[:2_000_000])
    async with asyncio.timeout(20):
        while (offset := await tus.offset(path)) < 2_000_000 - (256 << 10):
            await asyncio.sleep(0.05)
    assert offset <= 2_000_000
    response = await tus.patch(path, offset, data[offset:])
    assert response.headers["Blob-Id"] == blob_id(data)


async def test_creation_may_bring_bytes_and_an_empty_upload_is_stored_at_once(tus: Tus) -> None:
    first = await tus.ask("POST", f"/v1/uploads?{WHERE}", b"hello ", Upload_Length="11", Content_Type=OCTETS)
    assert (first.status, first.headers["Upload-Offset"]) == (201, "6")
    assert "Blob-Id" not in first.headers
    response = await tus.patch(first.headers["Location"], 6, b"world")
    assert await tus.stored(response.headers["Blob-Id"]) == b"hello world"
    whole = await tus.ask("POST", f"/v1/uploads?{WHERE}", b"all", Upload_Length="3", Content_Type=OCTETS)
    assert await tus.stored(whole.headers["Blob-Id"]) == b"all"
    empty = await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Length="0")
    assert empty.headers["Blob-Id"] == blob_id(b"")


async def test_metadata_may_name_the_record_and_is_told_until_the_end(tus: Tus) -> None:
    named = {"connector_id": "c", "stream": "notes", "record_key": "Zoë", "filetype": "image/png", "filename": "a b"}
    said = ",".join(f"{name} {_base64(value.encode())}" for name, value in named.items())
    response = await tus.ask("POST", "/v1/uploads", Upload_Length="2", Upload_Metadata=said)
    assert response.status == 201, await response.text()
    assert (await tus.ask("HEAD", response.headers["Location"])).headers["Upload-Metadata"] == said
    done = await tus.patch(response.headers["Location"], 0, b"ab")
    (claim,) = await tus.running.store.blobs.catalogue.claims_of(await _namespace(tus), _digest(b"ab"))
    assert (claim.claim.media_type, "Zoë" in claim.claim.slot) == ("image/png", True)
    assert done.headers["Blob-Id"] == blob_id(b"ab")


async def test_a_part_with_another_checksum_is_not_kept(tus: Tus) -> None:
    path = await tus.begin(10)
    assert (await tus.patch(path, 0, b"hello", Upload_Checksum=_sha1(b"hello"))).status == 204
    wrong = await tus.patch(path, 5, b"wurld", Upload_Checksum=_sha1(b"world"))
    assert wrong.status == 460
    assert await tus.offset(path) == 5
    assert (await tus.patch(path, 5, b"world", Upload_Checksum="crc32 AAAA")).status == 400
    done = await tus.patch(path, 5, b"world", Upload_Checksum=_sha1(b"world"))
    assert done.headers["Blob-Id"] == blob_id(b"helloworld")


async def test_a_part_that_was_cut_off_before_its_checksum_is_not_kept(tus: Tus) -> None:
    path = await tus.begin(10)
    await tus.patch(path, 0, b"hello")
    with await tus.running.connect() as wire:
        headers = ("Tus-Resumable: 1.0.0", "Upload-Offset: 5", f"Content-Type: {OCTETS}", "Content-Length: 5")
        await wire.send(tus.running.head(f"PATCH {path}", *headers, f"Upload-Checksum: {_sha1(b'world')}") + b"wor")
        assert await tus.offset(path) == 5
    await asyncio.sleep(0.1)
    assert await tus.offset(path) == 5
    done = await tus.patch(path, 5, b"world")
    assert done.headers["Blob-Id"] == blob_id(b"helloworld")


async def test_parts_are_put_together_in_the_order_that_is_named(tus: Tus, rng: random.Random) -> None:
    pieces = [rng.randbytes(1_500_000), rng.randbytes(10), rng.randbytes(700_000)]
    paths = [await tus.begin(len(piece), Upload_Concat="partial") for piece in pieces]
    for path, piece in list(zip(paths, pieces, strict=True))[:2]:
        response = await tus.patch(path, 0, piece)
        assert "Blob-Id" not in response.headers
        assert (await tus.ask("HEAD", path)).headers["Upload-Concat"] == "partial"
    urls = [paths[0], tus.running.url + paths[1], paths[2]]
    early = await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Concat="final;" + " ".join(urls))
    assert early.status == 404
    await tus.patch(paths[2], 0, pieces[2])
    final = await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Concat="final;" + " ".join(urls))
    assert (final.status, final.headers["Blob-Id"]) == (201, blob_id(b"".join(pieces)))
    assert await tus.stored(final.headers["Blob-Id"]) == b"".join(pieces)
    head = await tus.ask("HEAD", final.headers["Location"])
    assert head.headers["Upload-Concat"] == "final;" + " ".join(paths)
    assert head.headers["Upload-Length"] == str(sum(map(len, pieces)))
    assert (await tus.patch(final.headers["Location"], 0, b"x")).status == 403
    again = await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Concat="final;" + " ".join(paths))
    assert [again.headers[name] for name in ("Location", "Blob-Id")] == [
        final.headers[name] for name in ("Location", "Blob-Id")
    ]
    part = await tus.ask("HEAD", paths[2])
    assert (part.headers["Upload-Offset"], part.headers["Upload-Concat"]) == ("700000", "partial")
    assert "Blob-Id" not in part.headers
    other = await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Concat="final;" + " ".join(paths[:2]))
    assert other.status == 404
    assert await nothing_is_staged(tus.running.store.blobs)


async def test_what_is_wrong_is_refused_and_nothing_changes(tus: Tus) -> None:
    path = await tus.begin(5)
    for status, method, headers in [
        (412, "HEAD", {"Tus_Resumable": "0.2.2"}),
        (415, "PATCH", {"Content_Type": "text/plain", "Upload_Offset": "0"}),
        (400, "PATCH", {"Content_Type": OCTETS}),
        (409, "PATCH", {"Content_Type": OCTETS, "Upload_Offset": "1"}),
        (405, "POST", {}),
        (405, "GET", {}),
    ]:
        response = await tus.ask(method, path, b"a" if method == "PATCH" else None, **headers)
        assert response.status == status
    assert (await tus.patch(path, 0, b"abcdef")).status == 413
    assert (await tus.ask("HEAD", "/v1/uploads/" + "0" * 32)).status == 404
    assert (await tus.ask("HEAD", "/v1/uploads/..%2f..")).status == 404
    for headers in [{}, {"Upload_Length": "-1"}, {"Upload_Defer_Length": "1"}, {"Upload_Concat": "final;"}]:
        assert (await tus.ask("POST", f"/v1/uploads?{WHERE}", None, **headers)).status == 400
    assert (await tus.ask("POST", "/v1/uploads?stream=notes", Upload_Length="1")).status == 400
    assert await tus.offset(path) == 0
    other = await tus.running.store.access.create_owner_token("bob", None)
    for method in ("HEAD", "DELETE"):
        assert (await tus.ask(method, path, Authorization=f"Bearer {other}")).status == 404
    over = await tus.ask("POST", path, b"abcde", X_HTTP_Method_Override="PATCH", Content_Type=OCTETS, Upload_Offset="0")
    assert over.status == 204


@pytest.mark.parametrize("in_the_creation", [False, True])
async def test_a_body_of_unknown_length_that_goes_beyond_leaves_what_was_there(tus: Tus, in_the_creation: bool) -> None:
    async def body(*pieces: bytes) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    if in_the_creation:
        beyond = body(b"hello", b"worlds")
        over = await tus.ask("POST", f"/v1/uploads?{WHERE}", beyond, Upload_Length="10", Content_Type=OCTETS)
        assert over.status == 413
        return
    path = await tus.begin(10)
    assert (await tus.patch(path, 0, b"hello")).status == 204
    assert (await tus.patch(path, 5, body(b"wurl", b"ds!"))).status == 413
    assert await tus.offset(path) == 5
    done = await tus.patch(path, 5, body(b"wor", b"ld"))
    assert done.headers["Blob-Id"] == blob_id(b"helloworld")


@pytest.mark.parametrize("headers", [{"Upload_Checksum": "sha1 AAAA"}, {"Content_Encoding": "gzip"}, {"Breaks": "off"}])
async def test_a_creation_that_failed_with_its_first_bytes_keeps_no_room(tus: Tus, headers: dict[str, str]) -> None:
    if "Breaks" in headers:
        with await tus.running.connect() as wire:
            said = ("Tus-Resumable: 1.0.0", "Upload-Length: 1000", f"Content-Type: {OCTETS}", "Content-Length: 1000")
            await wire.send(tus.running.head(f"POST /v1/uploads?{WHERE}", *said) + b"first")
            async with asyncio.timeout(10):
                while not await tus.running.store.blobs.catalogue.reserved():
                    await asyncio.sleep(0.01)
    else:
        failed = await tus.ask(
            "POST", f"/v1/uploads?{WHERE}", b"first", Upload_Length="1000", Content_Type=OCTETS, **headers
        )
        assert 400 <= failed.status < 500
    async with asyncio.timeout(10):
        while await tus.running.store.blobs.catalogue.reserved():
            await asyncio.sleep(0.01)
    assert await nothing_is_staged(tus.running.store.blobs)


async def test_what_parts_become_is_held_against_the_digest_that_was_declared(tus: Tus) -> None:
    paths = [await tus.begin(5, Upload_Concat="partial") for _ in range(2)]
    for path, piece in zip(paths, (b"hello", b"world"), strict=True):
        await tus.patch(path, 0, piece)
    right, wrong = (
        f"sha-256=:{base64.b64encode(hashlib.sha256(each).digest()).decode()}:" for each in (b"helloworld", b"other")
    )
    final = {"Upload_Concat": "final;" + " ".join(paths)}
    where = f"/v1/uploads?{WHERE}"
    early = await tus.ask("POST", where, Upload_Length="1", Upload_Concat="partial", Repr_Digest=right)
    assert early.status == 400
    for digest, status in [(wrong, 400), (right, 201), (wrong, 400), (right, 201)]:
        answer = await tus.ask("POST", where, None, Repr_Digest=digest, **final)
        assert answer.status == status
    assert answer.headers["Blob-Id"] == blob_id(b"helloworld")


async def test_who_puts_parts_together_twice_at_once_is_answered_the_same(tus: Tus, rng: random.Random) -> None:
    piece = rng.randbytes(1 << 20)
    paths = [await tus.begin(len(piece), Upload_Concat="partial") for _ in range(2)]
    for path in paths:
        await tus.patch(path, 0, piece)
    final = "final;" + " ".join(paths)
    answers = await asyncio.gather(
        *(tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Concat=final) for _ in range(3)),
    )
    assert [each.status for each in answers] == [201] * 3
    assert len({each.headers["Location"] for each in answers}) == 1


async def test_parts_that_are_named_in_another_order_at_once_are_put_together_once(tus: Tus) -> None:
    paths = [await tus.begin(1, Upload_Concat="partial") for _ in range(2)]
    for path in paths:
        await tus.patch(path, 0, b"x")
    finals = ["final;" + " ".join(order) for order in (paths, paths[::-1])]
    answers = await asyncio.gather(
        *(tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Concat=final) for final in finals),
    )
    assert sorted(each.status for each in answers) == [201, 404]


async def test_what_other_connectors_sent_counts_against_the_limit_of_who_gets_it(tus: Tus) -> None:
    store = tus.running.store
    owner = (await store.central.owners())[0]
    await store.registry.register(owner, json.dumps({**MANIFEST, "connector_id": "d"}).encode())
    await store.blobs.catalogue.limit(Limit(owner.id, "d", 1000))
    path = await tus.begin(2000, Upload_Concat="partial")
    await tus.patch(path, 0, bytes(2000))
    final, there = f"final;{path}", WHERE.replace("=c&", "=d&")
    assert (await tus.ask("POST", f"/v1/uploads?{there}", Upload_Concat=final)).status == 413
    assert (await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Concat=final)).status == 201


async def test_options_tell_what_there_is_without_a_token(tus: Tus) -> None:
    async with tus.session.options(f"{tus.running.url}/v1/uploads") as response:
        assert response.status == 204
        extensions = set(response.headers["Tus-Extension"].split(","))
    assert extensions == {
        *("creation", "creation-with-upload", "expiration", "checksum", "termination", "concatenation")
    }


async def test_two_cannot_send_at_once(tus: Tus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "BUSY_SECONDS", 0.1)
    path = await tus.begin(10)
    more = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"hello"
        await more.wait()
        yield b"world"

    first = asyncio.create_task(tus.patch(path, 0, slowly()))
    await asyncio.sleep(0.2)
    second = await tus.patch(path, 0, b"other")
    assert (second.status, second.headers["Retry-After"]) == (423, "5")
    more.set()
    assert (await first).headers["Blob-Id"] == blob_id(b"helloworld")


async def test_one_that_is_ended_or_expires_leaves_nothing(start: Start, session: aiohttp.ClientSession) -> None:
    async with start(upload_expiry=0.3) as running:
        await register(running)
        tus, store = Tus(running, session), running.store
        ended, expiring = await tus.begin(1000), await tus.begin(1000)
        await tus.patch(ended, 0, b"abc")
        assert "Upload-Expires" in (await tus.patch(expiring, 0, b"abc")).headers
        assert await store.blobs.catalogue.reserved() == 2000
        assert (await tus.ask("DELETE", ended)).status == 204
        assert (await tus.ask("HEAD", ended)).status == 404
        await asyncio.sleep(0.35)
        assert (await tus.ask("HEAD", expiring)).status == 404
        assert (await tus.patch(expiring, 3, b"abc")).status == 404
        await store.collect(0.0)
        await store.collector.tidy()
        assert await nothing_is_staged(store.blobs)
        assert [folder.name for folder in (store.directory / "staging").iterdir()] == [store.blobs.staging.process]


async def test_what_is_erased_takes_no_more_bytes_and_leaves_none(tus: Tus) -> None:
    path, secret = await tus.begin(100, Upload_Metadata=f"filename {_base64(b'nobody-may-know')}"), b"very secret"
    await tus.patch(path, 0, secret)
    headers = {"Authorization": f"Bearer {tus.running.token}"}
    url = f"{tus.running.url}/v1/streams/notes/records/1?connector_id=c"
    async with tus.session.delete(url, headers=headers) as response:
        assert response.status == 204
    assert (await tus.ask("HEAD", path)).status == 404
    assert (await tus.patch(path, len(secret), b"x")).status == 404
    assert await nothing_is_staged(tus.running.store.blobs)


async def test_room_is_reserved_for_all_of_it_from_the_start(tus: Tus) -> None:
    store = tus.running.store
    owner = (await store.central.owners())[0].id
    await store.blobs.catalogue.limit(Limit(owner, WHOLE, 1000))
    path = await tus.begin(900)
    second = await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Length="200")
    assert second.status == 507
    never = await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Length="2000")
    assert never.status == 413
    await tus.ask("DELETE", path)
    assert (await tus.ask("POST", f"/v1/uploads?{WHERE}", Upload_Length="200")).status == 201


async def test_storage_that_did_not_answer_is_asked_again_and_no_byte_is_sent_again(
    tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tus.running.store.blobs
    path = await tus.begin(5)

    async def down(*_: object, **__: object) -> None:
        raise StorageUnavailable("down")

    with monkeypatch.context() as patched:
        patched.setattr(store.catalogue, "publish", down)
        assert (await tus.patch(path, 0, b"hello")).status == 503
    head = await tus.ask("HEAD", path)
    assert (head.headers["Upload-Offset"], head.headers["Blob-Id"]) == ("5", blob_id(b"hello"))
    assert await tus.stored(blob_id(b"hello")) == b"hello"
    assert await nothing_is_staged(store)


async def test_a_proxy_in_front_is_told_no_address_of_ours(start: Start, session: aiohttp.ClientSession) -> None:
    async with start(public_url="https://data.example/pdpp/") as running:
        await register(running)
        assert (await Tus(running, session).begin(1)).startswith("https://data.example/pdpp/v1/uploads/")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sha1(data: bytes) -> str:
    return f"sha1 {_base64(hashlib.sha1(data).digest())}"


def _digest(data: bytes) -> Any:
    hasher = Hasher()
    hasher.update(data)
    return hasher.finish().digest


async def _namespace(tus: Tus) -> str:
    return (await tus.running.store.central.owners())[0].id
