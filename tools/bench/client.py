"""One HTTP connection that stays open, for benchmarks: what is measured is the server, not the client."""

import http.client
import mmap
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit


class Asked(Protocol):
    """A server, and what an owner's request carries."""

    @property
    def url(self) -> str:
        """Its address."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The owner's token."""
        ...


class Client:
    """The owner's, over one connection."""

    def __init__(self, server: Asked) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=600)
        self._headers = server.headers

    def call(
        self, method: str, path: str, body: bytes | mmap.mmap | None = None, media_type: str = "application/json"
    ) -> bytes:
        """The body of a good answer."""
        headers: Mapping[str, str] = {**self._headers, "Content-Type": media_type}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return text

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
