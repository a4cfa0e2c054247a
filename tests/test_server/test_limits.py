"""Limits that keep a server alive: quotas, a floor of free space, requests that take much at once."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from blobstore.quota import WHOLE, Limit
from blobstore.space import Floor
from records.central import Owner
from tests.test_server.conftest import Running, Start, Wire
from tests.test_server.test_connection import INGEST, NDJSON, line, register, stored

PATIENCE = 1.0
UPLOAD = "POST /v1/blobs?connector_id=c&stream=notes&record_key=%s"
RESUMABLE = "POST /v1/uploads?connector_id=c&stream=notes&record_key=a"


async def ask(running: Running, request: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    with await running.connect() as wire:
        await wire.send(request)
        status, headers, body = await wire.answer()
        return status, headers, json.loads(body)["error"] if status >= 400 else json.loads(body or b"null")


async def upload(running: Running, body: bytes, key: str = "k", *, chunked: bool = False) -> tuple[int, str]:
    """Status, and the error's code."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sent = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n" if chunked else body
    status, _, answer = await ask(running, running.head(UPLOAD % key, framing) + sent)
    return status, str(answer.get("code", ""))


async def ingest(running: Running, body: bytes) -> tuple[int, str]:
    status, _, answer = await ask(running, running.head(INGEST, NDJSON, f"Content-Length: {len(body)}") + body)
    return status, str(answer.get("code", ""))


async def begin(running: Running, key: str, length: int, sent: bytes = b"") -> Wire:
    """An upload that stops in the middle."""
    wire = await running.connect()
    await wire.send(running.head(UPLOAD % key, f"Content-Length: {length}") + sent)
    return wire


async def reserved(running: Running) -> int:
    return await running.store.blobs.catalogue.reserved()


async def until_reserved(running: Running, bytes: int) -> None:
    async with asyncio.timeout(20):
        while await reserved(running) != bytes:
            await asyncio.sleep(0.01)


@pytest.fixture
async def limited(start: Start) -> AsyncIterator[Running]:
    """Two uploads and one ingest at once, little patience."""
    async with start(patience=PATIENCE, max_uploads=2, max_ingests=1, slot_wait=0.1) as running:
        await register(running)
        yield running


async def owner(running: Running) -> Owner:
    return await running.store.access.owner("ada")


async def limit(running: Running, bytes: int | None, holder: str = WHOLE) -> None:
    await running.store.blobs.catalogue.limit(Limit((await owner(running)).id, holder, bytes))


# -- quotas ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("holder", [WHOLE, "c"])
async def test_an_upload_over_quota_is_507_and_leaves_nothing(limited: Running, holder: str, chunked: bool) -> None:
    assert await upload(limited, b"x" * 600, "a") == (200, "")
    await limit(limited, 1000, holder)
    assert await upload(limited, b"y" * 600, "b", chunked=chunked) == (507, "insufficient_storage")
    assert await upload(limited, b"y" * 400, "b", chunked=chunked) == (200, "")
    assert await reserved(limited) == 0
    assert list(limited.store.blobs.staging.files()) == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_that_can_never_fit_is_413(limited: Running, chunked: bool) -> None:
    await limit(limited, 1000)
    assert await upload(limited, b"x" * 1001, chunked=chunked) == (413, "payload_too_large")
    assert await reserved(limited) == 0


async def test_the_message_tells_what_to_do(limited: Running) -> None:
    await limit(limited, 10)
    await upload(limited, b"x" * 10)
    _, _, error = await ask(limited, limited.head(UPLOAD % "b", "Content-Length: 5") + b"12345")
    assert "erase what is not needed" in str(error["message"])


async def test_uploads_under_way_count(limited: Running) -> None:
    await limit(limited, 1000)
    with await begin(limited, "a", 600):
        await until_reserved(limited, 600)
        assert (await upload(limited, b"x" * 401, "b"))[0] == 507
        assert (await upload(limited, b"x" * 400, "c"))[0] == 200


async def test_records_and_blobs_share_a_quota(limited: Running) -> None:
    await limit(limited, 2000)
    assert await ingest(limited, line("a", "x" * 1500)) == (200, "")
    assert (await upload(limited, b"x" * 600))[0] == 507
    assert await ingest(limited, line("b", "x" * 600)) == (507, "insufficient_storage")
    assert await stored(limited) == {"a"}
    assert (await upload(limited, b"x" * 100))[0] == 200


async def test_deleting_needs_no_room_and_makes_some(limited: Running) -> None:
    await ingest(limited, line("a", "x" * 1500))
    await limit(limited, 1000)
    assert (await upload(limited, b"x" * 600))[0] == 507
    gone = json.dumps({"key": "a", "op": "delete", "emitted_at": "2026-01-01T00:00:00Z"}).encode() + b"\n"
    assert await ingest(limited, gone) == (200, "")
    assert (await upload(limited, b"x" * 600))[0] == 200


async def test_an_owner_sees_what_they_may_keep_and_what_is_reserved(limited: Running) -> None:
    _, _, told = await ask(limited, limited.head("GET /v1/owner/usage"))
    assert (told["quota_bytes"], told["reserved_bytes"]) == (None, 0)
    await limit(limited, 1000)
    with await begin(limited, "a", 600):
        await until_reserved(limited, 600)
        _, _, told = await ask(limited, limited.head("GET /v1/owner/usage"))
    assert (told["quota_bytes"], told["reserved_bytes"]) == (1000, 600)


async def test_another_owner_has_a_quota_of_their_own(limited: Running) -> None:
    await limit(limited, 10)
    other = await limited.store.access.create_owner_token("bob", None)
    ada, limited.token = limited.token, other
    await register(limited)
    assert (await upload(limited, b"x" * 100))[0] == 200
    limited.token = ada
    assert (await upload(limited, b"x" * 100))[0] == 413


async def test_erasing_makes_room_at_once(limited: Running) -> None:
    await limit(limited, 1000)
    await upload(limited, b"x" * 800)
    assert (await upload(limited, b"y" * 800))[0] == 507
    assert (await ask(limited, limited.head("DELETE /v1/owner/connectors/c")))[0] == 200
    await register(limited)
    assert (await upload(limited, b"y" * 800))[0] == 200


# -- a floor of free space ---------------------------------------------------------------------------------------------


async def test_below_the_floor_nothing_is_taken_in_and_all_else_goes_on(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as running:
        await register(running)
        await ingest(running, line("a"))
    async with start(floor=Floor(bytes=1 << 62)) as full:
        assert await upload(full, b"data") == (507, "insufficient_storage")
        assert [each.name for each in caplog.records if each.exc_info] == ["blobstore.server"]
        assert await ingest(full, line("b")) == (507, "insufficient_storage")
        assert await stored(full) == {"a"}
        with await full.connect() as wire:
            await wire.send(full.head("GET /readyz"))
            status, _, body = await wire.answer()
            assert (status, json.loads(body)["checks"]["records"]) == (503, "ok")
        with await full.connect() as wire:
            await wire.send(full.head("DELETE /v1/streams/notes/records/a?connector_id=c"))
            assert (await wire.answer())[0] == 204
        assert (await ask(full, full.head("DELETE /v1/owner/connectors/c")))[0] == 200


@pytest.mark.parametrize("size", [1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 2])
async def test_a_length_beyond_any_disk_is_507_and_nothing_for_the_log(
    start: Start, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as running:
        await register(running)
        status, _, error = await ask(running, running.head(UPLOAD % "a", f"Content-Length: {size}"))
        assert (status, error["code"]) == (507, "insufficient_storage")
        tus = ("Tus-Resumable: 1.0.0", f"Upload-Length: {min(size, 10**18 - 1)}", "Content-Length: 0")
        assert (await ask(running, running.head(RESUMABLE, *tus)))[0] == 507
    assert not [each for each in caplog.records if each.exc_info]


async def test_too_few_inodes_are_507_too(start: Start) -> None:
    async with start(floor=Floor(inodes=1 << 62)) as full:
        await register(full)
        assert await upload(full, b"data") == (507, "insufficient_storage")


# -- requests at once --------------------------------------------------------------------------------------------------


async def test_an_upload_too_many_is_503_and_worth_a_retry(limited: Running) -> None:
    with await begin(limited, "a", 10), await begin(limited, "b", 10):
        await until_reserved(limited, 20)
        status, headers, error = await ask(limited, limited.head(UPLOAD % "c", "Content-Length: 4") + b"data")
        assert (status, error["code"]) == (503, "temporarily_unavailable")
        assert int(headers["retry-after"]) > 0
        assert await ingest(limited, line("a")) == (200, "")


async def test_an_ingest_too_many_is_503(limited: Running) -> None:
    with await limited.connect() as wire:
        await wire.send(limited.head(INGEST, NDJSON, "Content-Length: 1000") + line("a"))
        await asyncio.sleep(0.1)
        assert await ingest(limited, line("b")) == (503, "temporarily_unavailable")
        assert (await upload(limited, b"data"))[0] == 200


async def test_who_waits_briefly_gets_the_slot_that_becomes_free(start: Start) -> None:
    async with start(max_uploads=1, slot_wait=20.0) as running:
        await register(running)
        with await begin(running, "a", 4) as first:
            await until_reserved(running, 4)
            second = asyncio.create_task(upload(running, b"more", "b"))
            await asyncio.sleep(0.05)
            assert not second.done()
            await first.send(b"data")
            assert (await first.answer())[0] == 200
            assert await second == (200, "")


# -- clients that stall ------------------------------------------------------------------------------------------------


async def test_an_upload_that_stalls_gives_back_its_slot_and_its_room(limited: Running) -> None:
    with await begin(limited, "a", 1 << 20, b"x" * 1000) as first, await begin(limited, "b", 1 << 20) as second:
        await until_reserved(limited, 2 << 20)
        for wire in (first, second):
            status, _, body = await wire.answer()
            assert (status, json.loads(body)["error"]["code"]) == (408, "request_timeout")
        await until_reserved(limited, 0)
        assert await upload(limited, b"data") == (200, "")
        assert list(limited.store.blobs.staging.files()) == []


async def test_an_upload_whose_sender_hangs_up_gives_back_its_slot_and_its_room(limited: Running) -> None:
    for key in "abcd":
        wire = await begin(limited, key, 1 << 20, b"x" * 1000)
        await until_reserved(limited, 1 << 20)
        wire.writer.transport.abort()
        await until_reserved(limited, 0)
    assert await upload(limited, b"data") == (200, "")


async def test_an_ingest_that_stalls_gives_back_its_slot(limited: Running) -> None:
    with await limited.connect() as wire:
        await wire.send(limited.head(INGEST, NDJSON, "Content-Length: 1000") + line("a"))
        assert (await wire.answer())[0] == 408
    assert await ingest(limited, line("b")) == (200, "")
