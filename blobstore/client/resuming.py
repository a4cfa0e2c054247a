"""Uploads that go on where they broke off (tus 1.0), however often the connection breaks or the server restarts."""

import asyncio
import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from blobstore.client.answers import Answer
from blobstore.client.body import CountedBody
from blobstore.client.calls import Calls, part, rest
from blobstore.client.content import Opener
from blobstore.client.errors import (
    ClientError,
    Conflict,
    Expired,
    NotFound,
    NotUnderstood,
    OtherBytes,
    ServerError,
    Unavailable,
    Unreachable,
)

_PATH = "/v1/uploads"
_VERSION = {"Tus-Resumable": "1.0.0"}
_BYTES = {**_VERSION, "Content-Type": "application/offset+octet-stream"}

_LAST_WORDS = 5.0
"""Seconds for telling the server that the rest will not come, so that it keeps no room for it."""


class NoResuming(Exception):
    """The server knows no resumable uploads, or not what this one is for: as a whole it may be told more."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server says it stored, compared with what was sent."""

    blob_id: str
    sha256: str


class Resuming:
    """One upload of `size` bytes, for what `query` says as for `POST /v1/blobs`."""

    def __init__(self, calls: Calls, query: Mapping[str, str], content: Opener, size: int) -> None:
        self._calls = calls
        self._query = query
        self._content = content
        self._size = size
        self._place = ""
        self._offset = 0

    async def run(self) -> Sent:
        """Send it. Raises `ClientError`, `NoResuming`, and what reading the content raises."""
        await self._create()
        try:
            return await self._send()
        except BaseException:
            await self._give_up()
            raise

    async def _create(self) -> None:
        headers = {**_VERSION, "Upload-Length": str(self._size)}
        try:
            answer = await self._calls.call("POST", _PATH, self._query, headers)
        except ServerError as error:
            if isinstance(error, NotFound) or error.status == 405:
                raise NoResuming from None
            raise
        # By its last part alone: however the server calls itself, the token goes where it went.
        name = answer.headers.get("Location", "").rstrip("/").rpartition("/")[2]
        if not name:
            raise NotUnderstood("the server does not tell where the bytes go to; look for a proxy that drops Location")
        self._place, self._offset = f"{_PATH}/{part(name)}", 0

    async def _send(self) -> Sent:
        pauses = self._calls.pauses()
        while True:
            body = CountedBody(self._content, self._size, self._offset)
            try:
                return await self._sent(body, await self._append(body))
            except (Unreachable, Unavailable, Conflict) as error:
                # A conflict: the server still has our connection that broke.
                trouble: ClientError = error
            before = self._offset
            try:
                if (answer := await self._look()) is not None:
                    return await self._sent(await self._read(), answer)
            except (NotFound, Expired):
                await self._create()  # it is gone there: from the start
            if self._offset > before:
                pauses = self._calls.pauses()
            await rest(pauses, trouble)

    async def _append(self, body: CountedBody) -> Answer:
        headers = {**_BYTES, "Upload-Offset": str(self._offset)}
        return await self._calls.call("PATCH", self._place, {}, headers, lambda: body, again=False)

    async def _look(self) -> Answer | None:
        """How far it has come there; its answer if the blob is stored."""
        answer = await self._calls.call("HEAD", self._place, {}, _VERSION)
        self._offset = _offset(answer)
        return answer if "Blob-Id" in answer.headers else None

    async def _read(self) -> CountedBody:
        """All of the content once more, for its digest: the last of it went out before this was known."""
        body = CountedBody(self._content, self._size)
        try:
            async for _ in body:
                pass
        finally:
            await body.close()
        return body

    async def _sent(self, body: CountedBody, answer: Answer) -> Sent:
        blob_id, said = answer.headers.get("Blob-Id"), answer.headers.get("Repr-Digest", "")
        if blob_id is None:
            raise NotUnderstood("the server does not tell what it stored; do the versions differ?")
        sha256 = await body.sha256()
        if f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:" not in said:
            raise OtherBytes(
                f"the server stored other bytes than were sent: {said}, not SHA-256 {sha256}; "
                "look for a proxy that rewrites bodies"
            )
        return Sent(blob_id, sha256)

    async def _give_up(self) -> None:
        """What has come is of no use any more."""
        with suppress(ClientError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._calls.call("DELETE", self._place, {}, _VERSION, again=False)


def _offset(answer: Answer) -> int:
    text = answer.headers.get("Upload-Offset", "")
    if not (text.isascii() and text.isdigit()):
        raise NotUnderstood("the server does not tell how far the upload has come; look for a proxy that drops headers")
    return int(text)
