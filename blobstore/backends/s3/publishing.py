"""Putting a staged file under its key: by one request, or in parts that go side by side."""

import io
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from blobstore.backends.s3.client import ABSENT, PRESENT, Client, code_of, translated
from blobstore.backends.s3.slices import Slice
from blobstore.errors import BlobError, StorageUnavailable
from blobstore.errors import translated as translated_here

SMALL = 1 << 20
"""Bytes up to which a file is read before it is sent: a stream costs one more round trip."""

PART = 16 << 20
"""Bytes of a part, and of a file from which on it goes in parts."""

MOST_PARTS = 10_000
PARTS = 8
"""Parts under way at once, of all files together."""

_PUBLICATION = "publication"
_OF_A_PART = ("ETag", "ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256")


class Publisher:
    """Puts objects into one bucket. Any number of threads may publish at once."""

    def __init__(self, client: Client, bucket: str, options: Mapping[str, str], *, conditional: bool) -> None:
        """`options` go with each new object (encryption). `conditional`: the store keeps to `If-None-Match: *`."""
        self._client = client
        self._bucket = bucket
        self._options = dict(options)
        self._condition = {"IfNoneMatch": "*"} if conditional else {}
        self._parts = ThreadPoolExecutor(PARTS, thread_name_prefix="s3-part")

    def publish(self, key: str, staged: Path) -> None:
        """All the bytes of the file are under the key when this returns; after a failure all or none.

        Raises `FileNotFoundError` and `FileExistsError` as `Backend.publish` says.
        """
        with translated_here("staging", FileNotFoundError):
            descriptor = os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if (size >= PART or not self._condition) and self.size(key) is not None:
                raise FileExistsError(key)
            # Whose the object is that a repeated request finds in its place: ours, or another's.
            publication = secrets.token_hex(16)
            fixed = {"Bucket": self._bucket, "Key": key, "Metadata": {_PUBLICATION: publication}, **self._options}
            try:
                with translated("storing an object", PRESENT):
                    if size < PART:
                        self._put(fixed, descriptor, size)
                    else:
                        self._put_in_parts(fixed, descriptor, size)
            except ClientError as error:
                if self._publication(key) != publication:
                    raise FileExistsError(key) from error
        finally:
            os.close(descriptor)

    def size(self, key: str) -> int | None:
        """Bytes of the object, or None where there is none."""
        head = self._head(key)
        return None if head is None else int(head["ContentLength"])

    def close(self) -> None:
        """Wait for the parts that are under way."""
        self._parts.shutdown()

    def _put(self, fixed: dict[str, Any], descriptor: int, size: int) -> None:
        body: io.RawIOBase | bytes = Slice(descriptor, 0, size)
        if size <= SMALL:
            body = os.pread(descriptor, size, 0)
        self._client.put_object(**fixed, **self._condition, Body=body, ContentLength=size)

    def _put_in_parts(self, fixed: dict[str, Any], descriptor: int, size: int) -> None:
        upload = self._client.create_multipart_upload(**fixed)
        of = {"Bucket": fixed["Bucket"], "Key": fixed["Key"], "UploadId": upload["UploadId"]}
        try:
            parts = self._send(of, descriptor, size)
            self._client.complete_multipart_upload(**of, **self._condition, MultipartUpload={"Parts": parts})
        except BaseException:
            with (
                suppress(BlobError),
                translated("giving up an upload", ABSENT | {"NoSuchUpload"}),
                suppress(ClientError),
            ):
                self._client.abort_multipart_upload(**of)
            raise
        if self.size(fixed["Key"]) != size:
            raise StorageUnavailable("S3 acknowledged an object of another length than was sent")

    def _send(self, of: dict[str, Any], descriptor: int, size: int) -> list[dict[str, Any]]:
        def send(number: int, offset: int, length: int) -> dict[str, Any]:
            with closing(Slice(descriptor, offset, length)) as body:
                sent = self._client.upload_part(**of, PartNumber=number, Body=body, ContentLength=length)
            sums = {
                name: value for name, value in sent.items() if name.startswith("Checksum") and name != "ChecksumType"
            }
            return {"PartNumber": number, "ETag": sent["ETag"], **sums}

        under_way = [self._parts.submit(send, *part) for part in _parts(size)]
        try:
            return [each.result() for each in under_way]
        except BaseException:
            for each in under_way:
                each.cancel()
            wait(under_way)  # they read from the descriptor
            raise

    def _publication(self, key: str) -> str | None:
        head = self._head(key)
        return None if head is None else head["Metadata"].get(_PUBLICATION)

    def _head(self, key: str) -> Any:
        with translated("looking at an object", ABSENT):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code_of(error) not in ABSENT:
                    raise
        # The same answer comes where there is no bucket, and that must never look like an empty one.
        with translated("looking at the bucket", ABSENT):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if code_of(error) not in ABSENT:
                    raise
                raise StorageUnavailable("S3 has no such bucket; make it, or name another") from error
        return None


def _parts(size: int) -> Iterator[tuple[int, int, int]]:
    """(number, offset, length) of each part, all alike but the last."""
    length = max(PART, -(-size // MOST_PARTS))
    for number, offset in enumerate(range(0, size, length), 1):
        yield number, offset, min(length, size - offset)
