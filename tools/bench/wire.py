"""HTTP by bare sockets: a client that costs as little as Python can, so that the server is what is measured.

The same for ours and for peers. Bodies are read and thrown away.
"""

import re
import select
import socket
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

Exchange = Generator[bytes, bytes, None]
"""What one connection does: yields requests, is sent the head of each answer."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def head(method: str, url: str, path: str, length: int = 0, headers: Mapping[str, str] | None = None) -> bytes:
    """The head of a request with a body of that length."""
    fields = {"Host": urlsplit(url).netloc, **(headers or {})}
    if method != "GET":
        fields |= {"Content-Length": str(length), "Content-Type": "application/octet-stream"}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Connection:
    """One that stays open."""

    _buffer = bytearray(256 << 10)
    """Of all connections: what is in it is thrown away, and it stays in the processor's cache."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 80), 600)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._begun = b""
        self._left = 0

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def send(self, request: bytes, body: Path | None = None) -> None:
        """A request, with a file's bytes by sendfile."""
        self._socket.sendall(request)
        if body is not None:
            with body.open("rb") as file:
                self._socket.sendfile(file)

    def answer(self) -> bytes:
        """The head of a good answer, once its body is read."""
        while (found := self.receive()) is None:
            pass
        return found

    def receive(self) -> bytes | None:
        """Read what is there; the head once the body is complete. Raises where the answer is not a good one."""
        got = self._socket.recv_into(self._buffer)
        if got == 0:
            raise ConnectionError("the server hung up")
        if self._left == 0:
            self._begun += self._buffer[:got]
            begun, found, body = self._begun.partition(b"\r\n\r\n")
            if not found:
                return None
            if not begun.startswith((b"HTTP/1.1 20", b"HTTP/1.0 20")):
                raise ConnectionError(self._begun.decode(errors="replace"))
            length = _LENGTH.search(begun)
            self._left = (int(length[1]) if length else 0) - len(body)
            self._begun = begun
        else:
            self._left -= got
        if self._left > 0:
            return None
        answered, self._begun = self._begun, b""
        return answered

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def fetched(url: str, request: bytes) -> float:
    """Seconds of one request over a new connection, to the last byte of its answer."""
    begun = time.perf_counter()
    connection = Connection(url)
    connection.send(request)
    connection.answer()
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds


def driven(url: str, exchanges: Sequence[Exchange]) -> float:
    """Seconds until all are done, one connection each, all at once."""
    connections = {connection.fileno(): connection for connection in (Connection(url) for _ in exchanges)}
    waiting = select.epoll()
    begun = time.perf_counter()
    going = {}
    for number, exchange in zip(connections, exchanges, strict=True):
        going[number] = exchange
        waiting.register(number, select.EPOLLIN)
        _go_on(going, connections[number], None)
    while going:
        for number, _ in waiting.poll(60):
            if (answered := connections[number].receive()) is not None:
                _go_on(going, connections[number], answered)
    seconds = time.perf_counter() - begun
    waiting.close()
    for connection in connections.values():
        connection.close()
    return seconds


def _go_on(going: dict[int, Exchange], connection: Connection, answered: bytes | None) -> None:
    exchange = going[connection.fileno()]
    try:
        connection.send(next(exchange) if answered is None else exchange.send(answered))
    except StopIteration:
        del going[connection.fileno()]


def shared(requests: Iterator[bytes]) -> Exchange:
    """One request after another, from what all connections take from."""
    for request in requests:  # noqa: UP028 - an iterator cannot be sent anything
        yield request
