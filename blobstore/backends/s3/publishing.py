"""Putting a staged file under its key: by one request, or in parts that go side by side."""

import io
import os
import secrets
from collections.abc import Mapping
from concurrent.futures import wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from blobstore.backends.s3.bucket import Bucket
from blobstore.backends.s3.meaning import ABSENT, PRESENT, code_of, translated
from blobstore.backends.s3.parts import PART, parts_of, receipt
from blobstore.backends.s3.slices import Slice
from blobstore.errors import BlobError, StorageUnavailable
from blobstore.errors import translated as translated_here

SMALL = 1 << 20
"""Bytes up to which a file is read before it is sent: a stream costs one more round trip."""

_PUBLICATION = "publication"
_NO_UPLOAD = frozenset({"NoSuchUpload"})


class Publisher:
    """Puts objects into one bucket. Any number of threads may publish at once."""

    def __init__(self, bucket: Bucket, options: Mapping[str, str], *, conditional: bool) -> None:
        """`options` go with each new object (encryption). `conditional`: the store keeps to `If-None-Match: *`."""
        self._client = bucket.client
        self._bucket = bucket.name
        self._threads = bucket.threads
        self._options = dict(options)
        self._condition = {"IfNoneMatch": "*"} if conditional else {}

    def publish(self, key: str, staged: Path) -> bool:
        """All the bytes of the file are under the key when this returns; after a failure all or none.

        True: a request was repeated, and the store may still be busy with the first. Raises `FileNotFoundError` and
        `FileExistsError` as `Backend.publish` says.
        """
        with translated_here("staging", FileNotFoundError):
            descriptor = os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if (size >= PART or not self._condition) and self._look(key) is not None:
                raise FileExistsError(key)
            # Whose the object is that a repeated request finds in its place: ours, or another's.
            publication = secrets.token_hex(16)
            fixed = {"Bucket": self._bucket, "Key": key, "Metadata": {_PUBLICATION: publication}, **self._options}
            try:
                with translated("storing an object", PRESENT | _NO_UPLOAD):
                    put = self._put if size < PART else self._put_in_parts
                    repeated = put(fixed, descriptor, size)
            except ClientError as error:
                self._require_ours(key, publication, error)
                repeated = True
            if size >= PART and self.size(key) != size:
                raise StorageUnavailable("S3 acknowledged an object of another length than was sent")
            return repeated
        finally:
            os.close(descriptor)

    def size(self, key: str) -> int | None:
        """Bytes of the object, or None where there is none."""
        head = self._head(key)
        return None if head is None else int(head["ContentLength"])

    def _put(self, fixed: dict[str, Any], descriptor: int, size: int) -> bool:
        body: io.RawIOBase | bytes = Slice(descriptor, 0, size)
        if size <= SMALL:
            body = os.pread(descriptor, size, 0)
        return _was_repeated(self._client.put_object(**fixed, **self._condition, Body=body, ContentLength=size))

    def _put_in_parts(self, fixed: dict[str, Any], descriptor: int, size: int) -> bool:
        upload = self._client.create_multipart_upload(**fixed)
        of = {"Bucket": fixed["Bucket"], "Key": fixed["Key"], "UploadId": upload["UploadId"]}
        try:
            parts = self._send(of, descriptor, size)
            put = {**of, **self._condition, "MultipartUpload": {"Parts": parts}}
            completed = self._client.complete_multipart_upload(**put)
        except ClientError:
            # Where no answer came, none would come to this either: the collection of the lease gives it up.
            with suppress(BlobError, ClientError), translated("giving up an upload"):
                self._client.abort_multipart_upload(**of)
            raise
        return _was_repeated(upload) or _was_repeated(completed)

    def _send(self, of: dict[str, Any], descriptor: int, size: int) -> list[dict[str, Any]]:
        def send(number: int, offset: int, length: int) -> dict[str, Any]:
            with closing(Slice(descriptor, offset, length)) as body:
                sent = self._client.upload_part(**of, PartNumber=number, Body=body, ContentLength=length)
            return receipt(number, sent)

        under_way = [self._threads.submit(send, *part) for part in parts_of(size)]
        try:
            return [each.result() for each in under_way]
        except BaseException:
            for each in under_way:
                each.cancel()
            wait(under_way)  # they read from the descriptor
            raise

    def _require_ours(self, key: str, publication: str, error: ClientError) -> None:
        """Whether the object is ours after all: the answer to the request that made it was lost, this is a later one's.

        Raises `FileExistsError` where it is another's, `StorageUnavailable` where there is none.
        """
        head = self._look(key)
        if head is None:
            raise StorageUnavailable(f"S3 did not store an object: {code_of(error)}") from error
        if head["Metadata"].get(_PUBLICATION) != publication:
            raise FileExistsError(key) from error

    def _look(self, key: str) -> Any:
        with translated("looking at an object"):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code_of(error) not in ABSENT:
                    raise
        return None

    def _head(self, key: str) -> Any:
        head = self._look(key)
        if head is not None:
            return head
        # The same answer comes where there is no bucket, and that must never look like an empty one.
        with translated("looking at the bucket", ABSENT):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if code_of(error) not in ABSENT:
                    raise
                raise StorageUnavailable("S3: there is no such bucket: make it, or name another") from error
        return None


def _was_repeated(answer: Mapping[str, Any]) -> bool:
    """Whether a request before the one that was answered may be with the store still."""
    return bool(answer["ResponseMetadata"]["RetryAttempts"])
