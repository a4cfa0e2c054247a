"""Lists that go on: one page is asked for when the one before is used up."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from blobstore.client.answers import Listing, Record, RecordPage
from blobstore.client.calls import Calls, decode, part

LIMIT = 100
"""Records of a page: the most that a server gives."""

BEGINNING = "beginning"
"""Changes since then are all that is there."""


async def records(calls: Calls, stream: str, query: Mapping[str, str]) -> AsyncGenerator[Record, None]:
    """The records of a list, in its order."""
    async for page in _pages(calls, stream, query):
        for record in page.data:
            yield record


class Changes:
    """What changed in a stream since a token; iterated once. Tombstones have `deleted`.

    When it has come to its end, `token` is where the next time begins. All of it is of the moment of its first page.
    """

    def __init__(self, calls: Calls, stream: str, query: Mapping[str, str], since: str) -> None:
        self._calls = calls
        self._stream = stream
        self._query = {**query, "changes_since": since}
        self.token: str | None = None
        """None until the end."""

    def __aiter__(self) -> AsyncIterator[Record]:
        return self._records()

    async def _records(self) -> AsyncGenerator[Record, None]:
        async for page in _pages(self._calls, self._stream, self._query):
            for record in page.data:
                yield record
            self.token = page.next_changes_since


async def listing(
    calls: Calls, path: str, query: Mapping[str, str], key: str | None
) -> AsyncGenerator[dict[str, Any], None]:
    """What a list goes on with after the last `key` of its page, or the `next_after` that it names."""
    asked = dict(query)
    while True:
        page = decode((await calls.call("GET", path, asked)).body, Listing)
        for one in page.data:
            yield one
        if not page.has_more or not page.data:
            return
        asked["after"] = str(page.data[-1][key] if key else page.next_after)


async def _pages(calls: Calls, stream: str, query: Mapping[str, str]) -> AsyncGenerator[RecordPage, None]:
    asked = {"limit": str(LIMIT), **query}
    path = f"/v1/streams/{part(stream)}/records"
    while True:
        page = decode((await calls.call("GET", path, asked)).body, RecordPage)
        yield page
        if page.next_cursor is None:
            return
        if "changes_since" in asked:  # the cursor knows where its session began
            asked = {name: value for name, value in asked.items() if name != "changes_since"}
        asked["cursor"] = page.next_cursor
