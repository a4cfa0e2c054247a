"""Reading an object of S3: ranges as they are asked for, and one stream for whoever reads on and on."""

import threading
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from blobstore.backends.s3.client import Client
from blobstore.backends.s3.links import Signer
from blobstore.backends.s3.meaning import ABSENT, code_of, translated
from blobstore.errors import BlobNotFound, StorageUnavailable

WINDOW = 64 << 20
"""Bytes that a stream asks for at once, at most: the store sends them as they are taken, nothing is held here."""

GROWTH = 8
"""How much more each further stream asks for: whoever reads on will probably go on."""

TRIES = 3
"""Times that a stream which broke is taken up again within one read."""


class S3Reader:
    """Adapter of `blobstore.backend.Reader`. What was removed is gone for it as well."""

    def __init__(self, client: Client, bucket: str, key: str, size: int, signer: Signer) -> None:
        self._client = client
        self._where = {"Bucket": bucket, "Key": key}
        self.size = size
        self._signer = signer
        self._lock = threading.Lock()
        self._stream: Any = None
        self._at, self._stop = 0, 0  # where the stream stands, and where it ends
        self._next = 0  # where a reader who goes on would read
        self._span = 0  # how much the last stream was to give
        self._bodies: set[Any] = set()  # that somebody may be reading from
        self._closed = False

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        if not length:
            return b""
        if not self._lock.acquire(blocking=False):
            return self._range(offset, length)  # somebody else is in the stream
        try:
            reads_on, self._next = offset == self._next, offset + length
            if not reads_on:
                self._span = 0
                return self._range(offset, length)
            return self._streamed(offset, length)
        finally:
            self._lock.release()

    def fileno(self) -> None:
        return None

    def path(self) -> None:
        return None

    def link(self, seconds: int, media_type: str, disposition: str) -> str:
        return self._signer.link(self._where["Key"], seconds, media_type, disposition)

    def close(self) -> None:
        """Whoever is reading fails, also where the store hangs."""
        self._closed = True
        for body in list(self._bodies):
            # Closing alone would wait for whoever reads from it.
            with suppress(ValueError, RuntimeError, OSError):
                body._raw_stream.shutdown()
            self._end(body)

    def _streamed(self, offset: int, length: int) -> bytes:
        """From the stream, as far as it reaches; a stream that breaks is begun anew where it broke."""
        pieces: list[bytes] = []
        failures = 0
        while length:
            if self._stream is None or self._at != offset or self._at == self._stop:
                self._begin(offset, length)
            try:
                piece = self._take(min(length, self._stop - self._at))
            except StorageUnavailable:
                self._drop()
                failures += 1
                if failures == TRIES or self._closed:
                    raise
                continue
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _begin(self, offset: int, length: int) -> None:
        self._drop()
        # The first piece alone where nothing was read yet: whoever wants the beginning may want no more.
        wanted = min(max(length, self._span * GROWTH), max(length, WINDOW))
        self._span = min(wanted, self.size - offset)
        self._stream = self._get(offset, self._span)
        self._at, self._stop = offset, offset + self._span

    def _take(self, length: int) -> bytes:
        piece = _read(self._stream, length)
        if not piece:
            raise StorageUnavailable("S3 ended an object too early")
        self._at += len(piece)
        return piece

    def _range(self, offset: int, length: int) -> bytes:
        failures = 0
        while True:
            body = self._get(offset, length)
            try:
                data = _read(body)
                if len(data) == length:
                    return data
                raise StorageUnavailable("S3 sent another length than was asked for")
            except StorageUnavailable:
                failures += 1
                if failures == TRIES or self._closed:
                    raise
            finally:
                self._end(body)

    def _get(self, offset: int, length: int) -> Any:
        with translated("reading an object", ABSENT):
            try:
                answer = self._client.get_object(**self._where, Range=f"bytes={offset}-{offset + length - 1}")
            except ClientError as error:
                if code_of(error) not in ABSENT:
                    raise
                raise BlobNotFound(self._where["Key"]) from error
        body = answer["Body"]
        self._bodies.add(body)
        if self._closed or answer["ContentLength"] != length:
            self._end(body)
            raise StorageUnavailable("S3 sent another range than was asked for, or the reader was closed")
        return body

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._end(stream)

    def _end(self, body: Any) -> None:
        self._bodies.discard(body)
        body.close()


def _read(body: Any, length: int | None = None) -> bytes:
    with translated("reading an object"):
        try:
            data: bytes = body.read(length)
        except (ValueError, OSError) as error:  # it was closed under us
            raise StorageUnavailable("S3: the connection was closed while an object was read") from error
    return data
