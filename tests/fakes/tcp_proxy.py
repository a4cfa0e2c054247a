"""Stands between a client and a server of HTTP, and does to single requests what networks and stores do at times."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

_PIECE = 64 << 10


class Harm(Enum):
    """What becomes of a request."""

    REFUSED = "the connection is cut before the server has a byte of it"
    BROKEN = "the connection is cut midway: the server has a part of it"
    UNHEARD = "the server has it, the client never sees the answer"
    SHORT = "the server has it, the client sees only the beginning of the answer"
    HELD = "the server has it when the proxy lets it go, whether the client waits for it or is gone"


@dataclass(frozen=True, slots=True)
class Fault:
    """Befalls the next request, once, that has `word` in its head. `harm` may be an answer that is given instead."""

    word: bytes
    harm: Harm | bytes
    keep: int = 0
    """Bytes that pass before the connection is cut."""


def answer(status: str, body: str = "", *headers: str) -> bytes:
    """An answer as a store gives it, after which it hangs up."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/xml", *headers]
    return "\r\n".join([*lines, "Connection: close", "", body]).encode()


def error(status: str, code: str, *headers: str) -> bytes:
    """An answer with the error's code."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>so it says</Message></Error>'
    return answer(status, text, *headers)


@dataclass(slots=True)
class _Link:
    """One client's connection, and the proxy's to the server for it."""

    client: socket.socket
    server: socket.socket
    left: int | None = None
    """Bytes of the answer that pass before the cut; None: all."""
    dead: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)

    def cut(self) -> None:
        """Both ends see it at once."""
        self.dead.set()
        self.answered.set()
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class TcpProxy:
    """Listens on loopback; made with `proxying`. `faults` come true one after the other, each for one request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self.faults: list[Fault] = []
        self.held = threading.Semaphore(0)
        """A request is held back: acquired by who waits for that."""
        self.go = threading.Event()
        """Those that are held back go on."""
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, url: str) -> None:
        """From now on to this server."""
        self._port = int(url.rpartition(":")[2])

    def close(self) -> None:
        """Cut everything."""
        self._listening.close()
        for link in self._links:
            link.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    link = _Link(client, socket.create_connection(("127.0.0.1", self._port)))
                except OSError:  # no server there: as if there were no proxy either
                    client.close()
                    continue
                self._links.append(link)
                threading.Thread(target=self._ask, args=(link,), daemon=True).start()
                threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _ask(self, link: _Link) -> None:
        with suppress(OSError):
            while data := link.client.recv(_PIECE):
                fault = self._befalls(data)
                if fault is not None and not self._suffer(link, fault, data):
                    break
                if fault is None or fault.harm in (Harm.UNHEARD, Harm.SHORT):
                    link.server.sendall(data)
        link.cut()

    def _befalls(self, data: bytes) -> Fault | None:
        with self._lock:
            found = next((each for each in self.faults if each.word in data.split(b"\r\n\r\n")[0]), None)
            if found is not None:
                self.faults.remove(found)
            return found

    def _suffer(self, link: _Link, fault: Fault, data: bytes) -> bool:
        """Whether the connection goes on."""
        match fault.harm:
            case Harm.REFUSED:
                return False
            case Harm.BROKEN:
                link.server.sendall(data)
                passed = 0
                while passed < fault.keep and (more := link.client.recv(_PIECE)):
                    link.server.sendall(more)
                    passed += len(more)
                return False
            case Harm.UNHEARD | Harm.SHORT:
                link.left = fault.keep
                return True
            case Harm.HELD:
                whole = _whole(link.client, data)
                self.held.release()
                self.go.wait()
                link.server.sendall(whole)
                link.answered.wait()
                return True
            case bytes(said):
                _drain(link.client, data)
                link.client.sendall(said)
        return False

    def _answer(self, link: _Link) -> None:
        with suppress(OSError):
            while data := link.server.recv(_PIECE):
                link.answered.set()
                if link.left is not None and not data.startswith(b"HTTP/1.1 100"):
                    link.client.sendall(data[: link.left])
                    link.left -= len(data)
                    if link.left <= 0:
                        break
                    continue
                link.client.sendall(data)
        link.cut()


def _drain(client: socket.socket, data: bytes) -> None:
    """Take the body as well, so that the client comes to read the answer."""
    _whole(client, data)


def _whole(client: socket.socket, data: bytes) -> bytes:
    """The request with its body."""
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    left = (lengths[0] if lengths else 0) - len(body)
    if b"100-continue" in head.lower():
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    pieces = [data]
    while left > 0 and (more := client.recv(_PIECE)):
        left -= len(more)
        pieces.append(more)
    return b"".join(pieces)


@contextmanager
def proxying(url: str) -> Iterator[TcpProxy]:
    """A proxy to the server of this URL."""
    proxy = TcpProxy(int(url.rpartition(":")[2]))
    try:
        yield proxy
    finally:
        proxy.close()
