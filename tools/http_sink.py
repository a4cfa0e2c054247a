"""The sink that writes to a server over HTTP."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from tools.backoff import delays, retry_after
from tools.http_body import CountedBody
from tools.sink import Content, Refused, Rejection, Sink, SinkError, Uploaded

ATTEMPTS = 9
"""Tries of one call: with the pauses between them about a minute, long enough for a server to restart."""

LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more with Retry-After is given up."""

IDLE = 300.0
"""Seconds without a piece taken or an answer; a server may need a while to make gigabytes durable."""

MAX_LINE = 16 << 20
"""Bytes; the server takes no longer NDJSON line."""

T = TypeVar("T")

_AGAIN = frozenset({429, 500, 502, 503, 504})
_ITEM = frozenset({400, 411, 413, 415, 422})
_ADVICE = {
    401: "the server does not accept the token; make a new one with `blobstore token create`",
    403: "the token may not write; use an owner token (`blobstore token create`)",
    404: "the server does not know what was asked for; is --server the address of a blobstore server?",
    409: "the connector is being erased or changed; run again when that has ended",
    507: "the server's storage is full; make room there and run again",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _UploadAnswer(msgspec.Struct):
    blob_id: str
    sha256: str
    size_bytes: int
    mime_type: str


class _RejectionAnswer(msgspec.Struct):
    input_index: int
    code: str
    message: str = ""


class _IngestAnswer(msgspec.Struct):
    records_attempted: int
    rejections: list[_RejectionAnswer] = []


class _StateAnswer(msgspec.Struct):
    state: dict[str, Any] = {}


class HttpSink:
    """A `Sink` over one session; `attempts` bounds the tries of each call."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        connector_id: str,
        instance_id: str | None = None,
        *,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._session = session
        self._server = server.rstrip("/")
        self._connector_id = connector_id
        self._instance = {"connector_instance_id": instance_id} if instance_id else {}
        self._attempts = attempts

    async def register(self, manifest: Mapping[str, Any]) -> None:
        body = msgspec.json.encode(manifest)
        await self._call("POST", "/v1/connectors", {}, "application/json", lambda: io.BytesIO(body))

    async def load_state(self) -> dict[str, Any]:
        answer = await self._call("GET", self._state_path, self._instance)
        return _decode(answer.body, _StateAnswer).state

    async def save_state(self, state: Mapping[str, Any]) -> None:
        body = msgspec.json.encode({"state": state})
        await self._call("PUT", self._state_path, self._instance, "application/json", lambda: io.BytesIO(body))

    async def upload(
        self, content: Content, *, size: int | None, stream: str, record_key: str, mime_type: str
    ) -> Uploaded:
        query = self._query(stream=stream, record_key=record_key, mime_type=mime_type)
        bodies: list[CountedBody] = []

        def body() -> CountedBody | bytes:
            if isinstance(content, bytes):
                return content
            bodies.append(CountedBody(content, size))
            return bodies[-1]

        answer = await self._call("POST", "/v1/blobs", query, "application/octet-stream", body)
        said = _decode(answer.body, _UploadAnswer)
        if isinstance(content, bytes):
            sha256, sent = hashlib.sha256(content).hexdigest(), len(content)
        else:
            sha256, sent = await bodies[-1].sha256(), bodies[-1].size
        if (said.sha256, said.size_bytes) != (sha256, sent):
            raise SinkError(
                f"the server stored other bytes than were sent for {record_key!r}: {said.size_bytes} bytes with "
                f"SHA-256 {said.sha256}, not {sent} with {sha256}; look for a proxy that rewrites bodies"
            )
        return Uploaded(said.blob_id, said.sha256, said.size_bytes, said.mime_type)

    async def ingest(self, stream: str, lines: Sequence[bytes]) -> list[Rejection]:
        kept = [index for index, line in enumerate(lines) if len(line) <= MAX_LINE]
        rejected = [
            Rejection(index, "payload_too_large", f"the line has {len(line)} bytes; {MAX_LINE} are taken")
            for index, line in enumerate(lines)
            if len(line) > MAX_LINE
        ]
        if kept:
            body = b"\n".join(lines[index] for index in kept) + b"\n"
            answer = await self._call(
                "POST",
                f"/v1/ingest/{quote(stream, safe='')}",
                self._query(),
                "application/x-ndjson",
                lambda: io.BytesIO(body),
            )
            rejected += _rejections(_decode(answer.body, _IngestAnswer), kept)
        return sorted(rejected, key=lambda rejection: rejection.index)

    async def close(self) -> None:
        await self._session.close()

    @property
    def _state_path(self) -> str:
        return f"/v1/state/{quote(self._connector_id, safe='')}"

    def _query(self, **parameters: str) -> dict[str, str]:
        return {"connector_id": self._connector_id, **self._instance, **parameters}

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        content_type: str | None = None,
        body: Callable[[], Any] | None = None,
    ) -> _Answer:
        """The answer of the first attempt that succeeds; `body` makes one for each."""
        url = URL(self._server + path + ("?" + urlencode(query, quote_via=quote) if query else ""), encoded=True)
        headers = {"Content-Type": content_type} if content_type else {}
        pauses = delays(self._attempts)
        while True:
            answer, trouble = await self._attempt(method, url, headers, body() if body else None)
            if answer is not None and answer.status < 300:
                return answer
            if answer is not None and answer.status not in _AGAIN:
                raise _refusal(answer)
            pause = next(pauses, None)
            asked = retry_after(answer.headers) if answer is not None else None
            if pause is None or (asked or 0) > LONGEST_WAIT:
                raise SinkError(f"{trouble}; run the same command again later, it goes on where it stopped")
            await asyncio.sleep(max(pause, asked or 0))

    async def _attempt(
        self, method: str, url: URL, headers: Mapping[str, str], body: Any
    ) -> tuple[_Answer | None, str]:
        """The answer if one came, and in words what was wrong with this attempt if it is not a success."""
        counted = body if isinstance(body, CountedBody) else None
        if counted is not None and counted.announced is not None:
            headers = {**headers, "Content-Length": str(counted.announced)}
        try:
            async with asyncio.timeout(IDLE) as idle:
                if counted is not None:
                    counted.on_piece = lambda: idle.reschedule(asyncio.get_running_loop().time() + IDLE)
                async with self._session.request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    answer = _Answer(response.status, response.headers, await response.read())
            return answer, f"the server answered {answer.status} {_message(answer)}".rstrip()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if counted is not None and counted.failure is not None:
                raise counted.failure from None
            # The names of aiohttp's errors say what happened; their texts can hold addresses.
            return None, f"no answer from {URL(self._server).host} ({type(error).__name__})"
        finally:
            if counted is not None:
                await counted.close()


def _refusal(answer: _Answer) -> SinkError:
    said = _message(answer)
    if answer.status in _ITEM:
        return Refused(said or f"the server refused it ({answer.status})")
    advice = _ADVICE.get(answer.status, "the server cannot be used; is --server its address?")
    return SinkError(f"{advice} ({answer.status}{': ' + said if said else ''})")


def _message(answer: _Answer) -> str:
    """What the server says of an error, shortened; empty when it says nothing readable."""
    try:
        error = msgspec.json.decode(answer.body)["error"]
        return f"{error['code']}: {str(error['message'])[:500]}"
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""


def _decode(body: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.DecodeError as error:
        raise SinkError(f"the server's answer cannot be understood ({error}); do the versions differ?") from None


def _rejections(answer: _IngestAnswer, sent: Sequence[int]) -> list[Rejection]:
    """The rejections with indices into the whole batch, of which the lines at `sent` went out."""
    if answer.records_attempted != len(sent):
        raise SinkError(f"the server saw {answer.records_attempted} of {len(sent)} lines; look for a proxy that cuts")
    return [Rejection(sent[r.input_index], r.code, r.message) for r in answer.rejections]


def _check_address(server: str) -> None:
    try:
        url = URL(server)
    except ValueError:
        raise SinkError("--server is not an address; give one like http://127.0.0.1:8080") from None
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password or url.query_string:
        raise SinkError("--server must be like http://127.0.0.1:8080, without user, password or query")


@asynccontextmanager
async def open_http_sink(
    server: str, token: str, connector_id: str, instance_id: str | None = None, *, attempts: int = ATTEMPTS
) -> AsyncIterator[Sink]:
    """A sink that writes to the server at address `server` as the owner whose token it is.

    Raises `SinkError` when `server` is no address to write to. Nothing is sent before the first call.
    """
    _check_address(server)
    session = aiohttp.ClientSession(
        # Never a cookie, a redirect or a proxy from the environment: the token goes to this one server.
        headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        auto_decompress=False,
    )
    sink = HttpSink(session, server, connector_id, instance_id, attempts=attempts)
    try:
        yield sink
    finally:
        await sink.close()
