"""Reading an object of S3: ranges as they are asked for, and one stream for whoever reads on and on."""

import threading
from typing import Any

from botocore.exceptions import ClientError

from blobstore.backends.s3.client import ABSENT, Client, translated
from blobstore.backends.s3.links import Signer
from blobstore.errors import BlobNotFound, StorageUnavailable

WINDOW = 64 << 20
"""Bytes that a stream asks for at once: the store sends them as they are taken, nothing is held here."""

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

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        if not length:
            return b""
        if not self._lock.acquire(blocking=False):
            return self._range(offset, length)  # somebody else is in the stream
        try:
            reads_on, self._next = offset == self._next, offset + length
            return self._streamed(offset, length) if reads_on else self._range(offset, length)
        finally:
            self._lock.release()

    def fileno(self) -> None:
        return None

    def path(self) -> None:
        return None

    def link(self, seconds: int, media_type: str, disposition: str) -> str:
        return self._signer.link(self._where["Key"], seconds, media_type, disposition)

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _streamed(self, offset: int, length: int) -> bytes:
        """From the stream, as far as it reaches; a stream that breaks is begun anew where it broke."""
        pieces: list[bytes] = []
        failures = 0
        while length:
            try:
                if self._stream is None or self._at != offset or self._at == self._stop:
                    self._begin(offset, length)
                piece = self._take(min(length, self._stop - self._at))
            except StorageUnavailable:
                self.close()
                failures += 1
                if failures == TRIES:
                    raise
                continue
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _begin(self, offset: int, length: int) -> None:
        self.close()
        # The first piece alone where nothing was read yet: whoever wants the beginning may want no more.
        span = length if offset == 0 else max(length, min(WINDOW, self.size - offset))
        self._stream = self._get(offset, span)
        self._at, self._stop = offset, offset + span

    def _take(self, length: int) -> bytes:
        with translated("reading an object"):
            piece: bytes = self._stream.read(length)
        if not piece:
            raise StorageUnavailable("S3 ended an object too early")
        self._at += len(piece)
        return piece

    def _range(self, offset: int, length: int) -> bytes:
        failures = 0
        while True:
            try:
                with translated("reading an object"):
                    data: bytes = self._get(offset, length).read()
                if len(data) == length:
                    return data
                raise StorageUnavailable("S3 sent another length than was asked for")
            except StorageUnavailable:
                failures += 1
                if failures == TRIES:
                    raise

    def _get(self, offset: int, length: int) -> Any:
        with translated("reading an object", ABSENT):
            try:
                answer = self._client.get_object(**self._where, Range=f"bytes={offset}-{offset + length - 1}")
            except ClientError as error:
                raise BlobNotFound(self._where["Key"]) from error
        if answer["ContentLength"] != length:
            answer["Body"].close()
            raise StorageUnavailable("S3 sent another range than was asked for")
        return answer["Body"]
