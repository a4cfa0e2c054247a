"""What a store of S3 can do, found by trying it: a store that lacks something is told of at start, not years later."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import ClientError

from blobstore.backends.s3.bucket import Bucket
from blobstore.backends.s3.meaning import ABSENT, PRESENT, UNABLE, code_of, translated
from blobstore.backends.s3.parts import receipt
from blobstore.backends.s3.place import SELF_TEST, Place
from blobstore.backends.s3.removing import Remover
from blobstore.errors import BlobError, StorageUnavailable

_BYTES = bytes(range(256)) * 4

LEFT_AFTER = timedelta(hours=1)
"""What is older, by the store's own clock, is of a self-test whose process was killed in it."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """`conditional`: a key that is taken is not given again. `exclusive`: nor to two who ask at the same moment."""

    conditional: bool
    exclusive: bool

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the operator should know of this store, in words."""
        if self.exclusive:
            return ()
        return (
            "this store of S3 does not keep to `If-None-Match: *`: of two new stores that are given one prefix at the"
            " same moment, both may take it for theirs until one of them looks again",
        )


def self_test(bucket: Bucket, place: Place, options: Mapping[str, str]) -> Abilities:
    """Put, look at, read back, read a part of, list and delete objects of the test's own, one of them made in parts.

    What earlier ones left that were killed is deleted as well. Raises `StorageUnavailable`, which names what the store
    cannot do.
    """
    return _Test(bucket, place, options).run()


class _Test:
    def __init__(self, bucket: Bucket, place: Place, options: Mapping[str, str]) -> None:
        self._client = bucket.client
        self._options = dict(options)
        self._remover = Remover(bucket)
        self._versions = bucket.versions
        self._folder = place.prefix + SELF_TEST
        self._where = {"Bucket": place.bucket, "Key": self._folder + secrets.token_hex(8)}
        self._of_parts = {**self._where, "Key": self._where["Key"] + "-parts"}
        self._began = datetime.min  # by the store's clock

    def run(self) -> Abilities:
        try:
            self._require("store an object", self._put)
            self._require("tell an object's length", self._is_long)
            self._require("give an object back as it was stored", lambda: self._read() == _BYTES)
            self._require("give a part of an object", lambda: self._read("bytes=100-199") == _BYTES[100:200])
            self._require("list objects", self._is_listed)
            self._require("take an object in parts, and list it while it is unfinished", self._takes_parts)
            conditional = self._refuses_a_second()
            exclusive = conditional and not self._only_looks()
            left = self._remover.older(self._folder, self._began - LEFT_AFTER)
        except BaseException:
            with suppress(BlobError):
                self._delete()
            raise
        self._require("delete objects", lambda: self._delete(left))
        return Abilities(conditional, exclusive)

    def _require(self, what: str, ability: Callable[[], bool]) -> None:
        with translated(f"self-test: {what}"):
            able = ability()
        if not able:
            raise StorageUnavailable(f"this store of S3 is not fit for blobs: it does not {what}")

    def _put(self) -> bool:
        self._client.put_object(**self._where, **self._options, Body=_BYTES)
        return True

    def _is_long(self) -> bool:
        return bool(self._client.head_object(**self._where)["ContentLength"] == len(_BYTES))

    def _read(self, span: str | None = None) -> bytes:
        data: bytes = self._client.get_object(**self._where, **({"Range": span} if span else {}))["Body"].read()
        return data

    def _is_listed(self) -> bool:
        listed = self._client.list_objects_v2(Bucket=self._where["Bucket"], Prefix=self._where["Key"])
        found = {each["Key"]: each["LastModified"] for each in listed.get("Contents", ())}
        self._began = found.get(self._where["Key"], datetime.min)
        return list(found) == [self._where["Key"]]

    def _takes_parts(self) -> bool:
        upload = self._client.create_multipart_upload(**self._of_parts, **self._options)["UploadId"]
        listed = list(self._remover.uploads(self._of_parts["Key"]))
        part = self._client.upload_part(**self._of_parts, UploadId=upload, PartNumber=1, Body=_BYTES)
        parts = {"Parts": [receipt(1, part)]}
        self._client.complete_multipart_upload(**self._of_parts, UploadId=upload, MultipartUpload=parts)
        return listed == [(self._of_parts["Key"], upload)]

    def _refuses_a_second(self) -> bool:
        with translated("self-test: storing under a key that is taken"):
            try:
                self._client.put_object(**self._where, **self._options, Body=b"second", IfNoneMatch="*")
            except ClientError as error:
                if code_of(error) not in PRESENT | UNABLE:
                    raise
                return code_of(error) in PRESENT
        return False

    def _only_looks(self) -> bool:
        """Whether it looks if a key is taken, and then writes: of eight at once several win.

        OpenStack's Swift does, and Ceph where a bucket keeps versions.
        """
        headers = self._client.head_object(**self._where)["ResponseMetadata"]["HTTPHeaders"]
        return "x-openstack-request-id" in headers or (self._versions.kept and "x-rgw-object-type" in headers)

    def _delete(self, left: Iterable[str] = ()) -> bool:
        self._remover.remove([self._where["Key"], self._of_parts["Key"], *left])
        try:
            self._client.head_object(**self._where)
        except ClientError as error:
            if code_of(error) not in ABSENT:
                raise
            return True
        return False
