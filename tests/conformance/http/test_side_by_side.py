"""Requests beside requests: a long one holds up no other, and what is written meanwhile disturbs no list.

No clock is asked: the long request goes on only when the short ones were answered, so a server that serves one after
the other never ends.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.conformance.http.api import Answer, Connector, deletion, note

PIECES = 20
SAMPLE = 4
"""Pieces where sizes are not full: 3 MB, many times what is on its way between a client and a server."""
LINES = 400

Beside = Callable[[int], Awaitable[Answer]]


def piece(n: int) -> bytes:
    """800 kB of lines."""
    return b"".join(json.dumps(note(f"{n:02}-{m:03}", text="x" * 2_000)).encode() + b"\n" for m in range(LINES))


@pytest.fixture
def pieces(sized: Callable[[int, int], int]) -> int:
    """Of how many pieces a long ingest is."""
    return sized(SAMPLE, PIECES)


async def ingest_beside(connector: Connector, pieces: int, beside: Beside) -> int:
    """Ingest lines of 2 kB; after each piece another request must be answered before the next piece goes out.

    Gives the one status that they were answered with.
    """
    statuses: set[int] = set()

    async def sent() -> AsyncIterator[bytes]:
        for n in range(pieces):
            yield piece(n)
            statuses.add((await beside(n)).status)

    answer = await connector.send("notes", sent())
    assert answer.json["records_accepted"] == pieces * LINES
    (status,) = statuses
    return status


@pytest.mark.long
async def test_a_large_ingest_holds_up_no_other_read(connector: Connector, pieces: int) -> None:
    await connector.put("log", note("a"))

    async def beside(n: int) -> Answer:
        await connector.one("log", "a")
        await connector.api.get("/v1/streams")
        return await connector.page("notes")

    assert await ingest_beside(connector, pieces, beside) == 200


@pytest.mark.long
async def test_a_large_ingest_holds_up_no_other_write_of_its_connection(connector: Connector, pieces: int) -> None:
    async def beside(n: int) -> Answer:
        return await connector.ingest("log", note(f"{n}"))

    assert await ingest_beside(connector, pieces, beside) == 200
    assert len((await connector.page("log", limit=100)).data) == pieces


@pytest.mark.long
async def test_an_upload_is_not_held_up_by_an_ingest_of_its_connection(connector: Connector, pieces: int) -> None:
    await connector.put("notes", note("first"))

    async def beside(n: int) -> Answer:
        ref = await connector.upload(f"{n:02}-000", secrets.token_bytes(100_000))
        return await connector.api.get(f"/v1/blobs/{ref['blob_id']}")

    assert await ingest_beside(connector, pieces, beside) == 200


async def test_an_upload_that_takes_its_time_holds_up_nothing(connector: Connector) -> None:
    data = [secrets.token_bytes(1 << 16) for _ in range(PIECES)]

    async def pieces() -> AsyncIterator[bytes]:
        for n, each in enumerate(data):
            yield each
            await connector.put("notes", note(f"{n}", text="meanwhile"))
            await connector.upload(f"{n}", each)

    ref = await connector.upload("slow", pieces())
    assert (await connector.api.get(f"/v1/blobs/{ref['blob_id']}")).body == b"".join(data)


async def test_a_download_that_is_not_read_on_holds_up_nothing(connector: Connector) -> None:
    data = secrets.token_bytes(16 << 20)
    ref = await connector.upload("r", data)
    url = f"{connector.api.base_url}/v1/blobs/{ref['blob_id']}"
    headers = {"Authorization": f"Bearer {connector.api.token}"}
    async with connector.api.session.get(url, headers=headers) as slow:
        begun = await slow.content.readexactly(1000)
        await connector.put("notes", note("r", blob_ref=ref))
        assert (await connector.api.get(f"/v1/blobs/{ref['blob_id']}")).body == data
        assert begun + await slow.read() == data


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_paging_visits_each_record_once_whatever_is_written_between_two_pages(
    connector: Connector, order: str
) -> None:
    def at(n: int) -> str:
        return f"2026-01-01T00:{n:02}:00Z"

    stays = {f"k{n:02}" for n in range(0, 60, 2)}
    await connector.put("notes", *(note(f"k{n:02}", at(n)) for n in range(60)), note("x1"), note("x2"))
    answer = await connector.page("notes", order=order, limit=4)
    seen = [each["id"] for each in answer.data]
    round_ = 0
    while answer.json["has_more"]:
        # Before and behind the place where the page ended, and right there: new, changed and deleted records.
        here = int(seen[-1][1:3]) if seen[-1] in stays else round_
        gone = [f"k{n:02}" for n in (1 + 2 * round_, 59 - 2 * round_)]
        await connector.put(
            "notes",
            *(note(f"new{round_}-{n}", at(n)) for n in (0, here, 59)),
            note(f"k{here - here % 2:02}", at(here - here % 2), text=f"{round_}"),
            *(deletion(key) for key in gone),
        )
        answer = await connector.page("notes", order=order, limit=4, cursor=answer.json["next_cursor"])
        seen += [each["id"] for each in answer.data]
        round_ += 1
    assert len(seen) == len(set(seen))
    assert stays | {"x1", "x2"} <= set(seen)
    old = [key for key in seen if key in stays]
    assert old == sorted(old, reverse=order == "desc")


async def test_lists_are_whole_while_many_write_at_once(connector: Connector) -> None:
    await connector.put("notes", *(note(f"old{n:02}", text="old") for n in range(50)))
    stop = asyncio.Event()

    async def write(name: str) -> None:
        n = 0
        while not stop.is_set():
            await connector.put("notes", note(f"{name}{n}"), note("busy", text=f"{name}{n}"))
            n += 1

    writing = [asyncio.create_task(write(name)) for name in "abc"]
    for order in ("asc", "desc", "asc", "desc"):
        seen = [key for page in await connector.pages("notes", order=order, limit=9) for key in page]
        assert len(seen) == len(set(seen))
        assert {f"old{n:02}" for n in range(50)} <= set(seen)
    stop.set()
    await asyncio.gather(*writing)
