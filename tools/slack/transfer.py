"""One file's body on its way from Slack into a spool: counted, resumed after a cut, refused when short."""

from collections.abc import Callable

import aiohttp

from blobstore.client.content import PIECE
from blobstore.client.ranges import content_range, is_encoded, validator
from tools.slack.spool import Spool
from tools.slack.status import Status, Verdict


class Again(Exception):
    """This attempt failed and another may not; `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Transfer:
    """What is known of one file's body over several attempts.

    A part is continued only under the validator that it came with, a strong ETag or else the date of change, so that
    two versions never grow together; without one, an attempt starts from nothing.
    """

    def __init__(self, spool: Spool, max_size: int | None, on_bytes: Callable[[int], None]) -> None:
        self.spool = spool
        self._max_size = max_size
        self._on_bytes = on_bytes
        self._validator: str | None = None

    def headers(self) -> dict[str, str]:
        """The request headers that ask for what is missing."""
        if not self.spool.size or not self._validator:
            return {}
        return {"Range": f"bytes={self.spool.size}-", "If-Range": self._validator}

    async def receive(self, response: aiohttp.ClientResponse) -> Verdict | None:
        """Takes a 200 or 206 to its end; a verdict where the file is larger than wanted. Raises `Again`."""
        if is_encoded(response.headers):
            raise Again("Slack's file host encoded the file, though it was not asked to")
        total = await self._place(response)
        if self._is_too_large(total or 0):
            return self._too_large(total or 0)
        verdict = await self._read(response)
        if verdict is None and total is not None and self.spool.size != total:
            raise Again(f"Slack's file host sent {self.spool.size} of {total} bytes")
        await self.spool.complete()
        return verdict

    async def _place(self, response: aiohttp.ClientResponse) -> int | None:
        """Makes the spool end where this body starts; gives the length of the whole file if it is told."""
        version = validator(response.headers)
        if response.status == 206:
            told = content_range(response.headers)
            if told and told[0] == self.spool.size > 0 and version in (None, self._validator):
                return told[1]
            await self.spool.restart()
            raise Again("Slack's file host sent another part than was asked for")
        await self.spool.restart()
        self._validator = version
        return response.content_length

    async def _read(self, response: aiohttp.ClientResponse) -> Verdict | None:
        held: list[bytes] = []
        size = 0
        try:
            async for part in response.content.iter_any():
                held.append(part)
                size += len(part)
                self._on_bytes(len(part))
                if self._is_too_large(self.spool.size + size):
                    return self._too_large(None)
                if size >= PIECE:
                    await self.spool.append(b"".join(held))
                    held, size = [], 0
        finally:
            # Also after a cut: what came is good, and the next attempt goes on behind it.
            if held:
                await self.spool.append(b"".join(held))
        return None

    def _is_too_large(self, size: int) -> bool:
        return self._max_size is not None and size > self._max_size

    def _too_large(self, size: int | None) -> Verdict:
        told = f"{size} bytes, " if size else "more than "
        return Verdict(Status.TOO_LARGE, f"{told}{self._max_size} are allowed")
