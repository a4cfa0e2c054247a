"""Bytes of a blob as a stream that goes on where a connection broke, and whose digest must be right at its end."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from blobstore.client.answers import Answer
from blobstore.client.calls import Calls, part, rest
from blobstore.client.check import Check
from blobstore.client.content import PIECE
from blobstore.client.errors import AGAIN, ClientError, NotUnderstood, OtherBytes, Unreachable, of_answer
from blobstore.client.ranges import content_range, is_encoded, size_without, validator
from blobstore.client.session import SILENT

_REDIRECTS = frozenset({302, 303, 307})
_LARGEST_ERROR = 64 << 10


class OpenBlob:
    """A blob, or what it holds from `start` on and before `stop`, while a context is open; iterated once, for pieces.

    `size` is the whole blob's, in bytes. What `check` has seen before the end must be what its id says, otherwise
    `OtherBytes` is raised there; without one only the length is known to be right.
    """

    def __init__(
        self, calls: Calls, blob_id: str, query: Mapping[str, str], start: int, stop: int | None, check: Check | None
    ) -> None:
        self._calls = calls
        self._url = calls.url(f"/v1/blobs/{part(blob_id)}", query)
        self._stop = stop
        self._check = check
        self._validator: str | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._held = AsyncExitStack()
        self._pauses = calls.pauses()
        self._skip = 0
        self.place = start
        """The byte of the blob that comes next."""
        self.size = -1
        self.media_type = "application/octet-stream"

    async def __aenter__(self) -> Self:
        """Up to the first byte: `size` and `media_type` are known then. Raises `ClientError`."""
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._held.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.pieces()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """All of it, up to about 1 MiB at once. Raises `ClientError`."""
        while True:
            try:
                piece = await self._piece()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                await rest(self._pauses, Unreachable(self._calls.silence(error)))
                await self._begin()
                continue
            if not piece:
                break
            self._pauses = self._calls.pauses()
            yield piece
        if self._check is not None:
            self._check.end()

    async def _begin(self) -> None:
        while True:
            await self._held.aclose()
            try:
                return await self._connect()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                await rest(self._pauses, Unreachable(self._calls.silence(error)))
            except _Again as again:
                await rest(self._pauses, again.why)

    async def _connect(self) -> None:
        headers = {**self._calls.authorization, **self._asked()}
        response = await self._get(self._url, headers)
        if response.status in _REDIRECTS:
            # To where the bytes are: neither the token nor our entity tag mean anything there.
            elsewhere = _target(self._url, response.headers.get("Location", ""))
            await self._held.aclose()
            response = await self._get(elsewhere, {k: v for k, v in self._asked().items() if k == "Range"})
            if response.status == 403:
                raise _Again(NotUnderstood("the address of the bytes is no longer good"))
        if response.status == 416 and (size := size_without(response.headers)) is not None and self.place:
            return self._take_nothing(size)
        if response.status not in (200, 206):
            body = await response.content.read(_LARGEST_ERROR)
            answer = Answer(response.status, response.headers, body)
            if response.status in AGAIN:
                raise _Again(of_answer(answer))
            raise of_answer(answer)
        self._take(response)

    async def _get(self, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENT)
        return await self._held.enter_async_context(
            self._calls.session.get(url, headers=headers, allow_redirects=False, timeout=timeout, read_bufsize=PIECE)
        )

    def _asked(self) -> dict[str, str]:
        """The headers that ask for what is missing."""
        if self.place == 0 and self._stop is None:
            return {}
        last = "" if self._stop is None else str(self._stop - 1)
        condition = {"If-Range": self._validator} if self._validator else {}
        return {"Range": f"bytes={self.place}-{last}", **condition}

    def _take(self, response: aiohttp.ClientResponse) -> None:
        """Make sure that what comes now is what is missing."""
        if is_encoded(response.headers):
            raise NotUnderstood("the bytes come encoded, though that was not asked for; look for a proxy that does it")
        told: tuple[int, int | None] | None = (0, response.content_length)
        if response.status == 206:
            told = content_range(response.headers)
        if told is None or told[1] is None or told[0] not in (0, self.place) or self.size not in (-1, told[1]):
            raise NotUnderstood("another part came than was asked for; look for a proxy that rewrites")
        # Whoever answers with the whole knows no ranges: what was there before is read over.
        self._skip = self.place - told[0]
        if self.size < 0:
            self.size, self._validator = told[1], validator(response.headers)
            self.media_type = response.headers.get("Content-Type", self.media_type)
        self._response = response

    def _take_nothing(self, size: int) -> None:
        """There is no byte from here on: all had come before."""
        if size != self.place:
            raise OtherBytes(f"{self.place} bytes are there of {size}: they are of something else")
        self.size = size

    async def _piece(self) -> bytes:
        """About 1 MiB; nothing at the end."""
        left = min(self.size, self._stop or self.size) - self.place
        piece = (await self._read(min(PIECE, left)))[:left]
        if not piece and left:
            raise aiohttp.ClientPayloadError("the answer ended early")
        self.place += len(piece)
        if self._check is not None:
            self._check.update(piece)
        return piece

    async def _read(self, wanted: int) -> bytes:
        """So many bytes or some more; fewer where the answer ends or breaks off, which comes out the next time."""
        held: list[bytes] = []
        count = 0
        while count < wanted:
            assert self._response is not None
            try:
                read = await self._response.content.readany()
            except (aiohttp.ClientError, TimeoutError, OSError):
                if held:
                    break
                raise
            if not read:
                break
            skipped = min(self._skip, len(read))
            self._skip -= skipped
            held.append(read[skipped:] if skipped else read)
            count += len(held[-1])
        return b"".join(held)


class _Again(Exception):
    """This attempt failed and another may not."""

    def __init__(self, why: ClientError) -> None:
        super().__init__(str(why))
        self.why = why


def _target(url: URL, location: str) -> URL:
    """Where a redirect leads; never from https to http."""
    target = url.join(URL(location, encoded=True))
    if not location or target.scheme not in ("http", "https") or (url.scheme, target.scheme) == ("https", "http"):
        raise NotUnderstood("the server leads to an address that may not be asked")
    return target
