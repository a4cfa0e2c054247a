"""One client's connection: errors that come before any handler, and clients that stop reading.

aiohttp answers what its parser refuses by itself, in plain text; and it waits for ever for a client that takes no
more bytes. Here both get the contract's way. Slow senders are dealt with where bodies are read (body.py); a head that
never ends is cut by the keep-alive timer, which counts from the last answer, not from the last byte.
"""

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import StreamReader, web, web_protocol
from aiohttp.http_exceptions import LineTooLong

from records.errors import Invalid
from server import logs
from server.body import WINDOW_BYTES
from server.config import Config
from server.keys import REQUEST_ID
from server.middleware import finished, fresh_id, refuse, stamp
from server.sendfile import cut, unacknowledged

MAX_LINE = 32 << 10
"""Bytes of the request line: a key of 1 KiB, percent-encoded, and a long cursor fit."""

MAX_FIELD = 8 << 10
"""Bytes of one header."""


FIRST_SECONDS = 2.0
"""What the first request of a connection gets to come, when the server is to end: who just connected is answered."""

LAST_SECONDS = 1.0
"""What a request gets to clean up once draining is over."""

LINGER_SECONDS = 2.0
"""What who is still sending gets to read an answer that did not wait; the rest of the body is dropped."""


class Connection(web.RequestHandler):
    """aiohttp's protocol with the contract's manners."""

    __slots__ = ("_answered", "_made", "_patience", "_retiring", "_unread", "_unsent", "_watch")

    def __init__(self, manager: web.Server, patience: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._patience = patience
        self._retiring = False
        self._made = self._loop.time()
        self._answered = False
        self._unread: StreamReader | None = None
        self._unsent = 0
        self._watch: asyncio.TimerHandle | None = None

    # -- errors before any handler ---------------------------------------------------------------------------------

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what the parser refuses (400), and to what escaped every handler (500, 504).

        Raises the `ConnectionError` that it is given: nobody is there to be answered.
        """
        if isinstance(exc, ConnectionError):
            raise exc
        error = _malformed(exc) if status == 400 else exc if isinstance(exc, Exception) else TimeoutError()
        # A request that could not be parsed has no headers to take an id from.
        named = request.get(REQUEST_ID) or fresh_id()
        response = refuse(request, error, named)
        stamp(response.headers, named)
        response.force_close()
        return response

    def data_received(self, data: bytes) -> None:
        """Take bytes; where they break the framing of a body, whoever waits for the rest of it is told.

        aiohttp only queues an error behind that request, which would wait for its body until patience ends.
        """
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], web_protocol._ErrInfo):
            self._break(web.RequestPayloadError("the body is badly framed"))

    def _break(self, error: Exception) -> None:
        current = [] if self._current_request is None else [self._current_request.content]
        for payload in (*current, *(payload for _, payload in self._messages)):
            if not payload.is_eof():
                payload.set_exception(error)

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log without what the client sent, and without who it was."""
        error = options.get("exc_info", True)
        if not isinstance(error, web.RequestPayloadError):  # the client's fault, and answered
            logs.log.error("a connection failed", exc_info=error)

    # -- the end of the server -------------------------------------------------------------------------------------

    def retire(self) -> None:
        """Take no further request, and end when the one that runs, or is about to come, is answered. To be repeated.

        aiohttp's own `close` drops what still comes of a body from then on, so that no upload could be finished.
        """
        self._retiring = True
        known = self._answered or self._loop.time() - self._made >= FIRST_SECONDS
        if known and not self._request_in_progress and not self._messages:
            self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; it says so when it is the last on this connection."""
        self._answered = True
        self._unread = request.content
        if self._retiring:
            resp.force_close()
        sent = await super().finish_response(request, resp, start_time)
        finished(request, resp.status)
        return sent

    # -- clients that stop reading ---------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """More waits to be sent than fits: from here on it is watched whether any of it goes."""
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stop_watching()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone, and all that was waiting for it."""
        self._stop_watching()
        # aiohttp would wait for the rest of the body also of who has hung up, and the server's end for that.
        if self._unread is not None and not self._unread.is_eof():
            self._unread.feed_eof()
        super().connection_lost(exc)

    def force_close(self) -> None:
        """Close, and do not wait for ever until what is left to send has gone."""
        self._expire(self.transport)
        super().force_close()

    async def start(self) -> None:
        """Serve the connection until its end."""
        transport = self.transport
        try:
            await super().start()
        finally:
            self._expire(transport)

    def _look_again(self) -> None:
        if self.transport is not None:
            self._unsent = _unsent(self.transport)
            self._watch = self._loop.call_later(self._patience, self._look)

    def _look(self) -> None:
        if self.transport is None:
            return
        if self._unsent - _unsent(self.transport) < WINDOW_BYTES:
            cut(self.transport)
        else:
            self._look_again()

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _expire(self, transport: asyncio.Transport | None) -> None:
        # Closing waits until the buffer is sent; a client that does not read would keep it here.
        if transport is not None and transport.get_write_buffer_size():
            self._loop.call_later(self._patience / 2, cut, transport)


class Listener(web.Server):
    """Makes a `Connection` for each client."""

    def __init__(self, app: web.Server, config: Config) -> None:
        super().__init__(app.request_handler, request_factory=app.request_factory)
        self._patience = config.patience

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        return Connection(
            self,
            self._patience,
            loop=self._loop,
            keepalive_timeout=self._patience,
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,  # a MB of gzip becomes 700 MB; and digests are of the bytes sent
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            access_log=None,  # costs a third of a small request, and URLs name records
        )


class Runner(web.AppRunner):
    """aiohttp's runner with our listener."""

    def __init__(self, app: web.Application, config: Config) -> None:
        super().__init__(app, shutdown_timeout=LAST_SECONDS)
        self._config = config

    async def drain(self) -> None:
        """Wait until the requests that run are answered, at most `Config.drain` seconds. Sites must be stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.drain):
                while connections := [] if self.server is None else self.server.connections:
                    for connection in connections:
                        if isinstance(connection, Connection):
                            connection.retire()
                    await asyncio.sleep(0.05)

    async def _make_server(self) -> web.Server:
        return Listener(await super()._make_server(), self._config)


def _unsent(transport: asyncio.Transport) -> int:
    """Bytes that wait here and in the kernel; the kernel takes new ones only when a third of what it holds is gone."""
    connection = transport.get_extra_info("socket")
    return transport.get_write_buffer_size() + unacknowledged(connection.fileno())


def _malformed(exc: BaseException | None) -> Invalid:
    if isinstance(exc, LineTooLong):
        return Invalid("the request line or a header is too long")
    return Invalid("this is not a well-formed HTTP/1.1 request")
