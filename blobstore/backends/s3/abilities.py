"""What a store of S3 can do, found by trying it: a store that lacks something is told of at start, not years later."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from blobstore.backends.s3.client import ABSENT, PRESENT, Client, code_of, translated
from blobstore.backends.s3.place import SELF_TEST, Place
from blobstore.backends.s3.removing import Remover
from blobstore.errors import StorageUnavailable

_BYTES = bytes(range(256)) * 4


@dataclass(frozen=True, slots=True)
class Abilities:
    """`conditional`: a key that is taken is not given again. `versioned`: what is deleted stays as an old version."""

    conditional: bool
    versioned: bool

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the operator should know of this store, in words."""
        if self.conditional:
            return ()
        return (
            "this store of S3 does not keep to `If-None-Match: *`: of two new stores that are given one prefix at the"
            " same moment, both may take it for theirs until one of them looks again",
        )


def self_test(client: Client, place: Place, options: Mapping[str, str]) -> Abilities:
    """Put, look at, read back, read a part of, list and delete an object of the test's own.

    Raises `StorageUnavailable`, which names what the store cannot do.
    """
    return _Test(client, place, options).run()


class _Test:
    def __init__(self, client: Client, place: Place, options: Mapping[str, str]) -> None:
        self._client = client
        self._place = place
        self._options = dict(options)
        self._where = {"Bucket": place.bucket, "Key": f"{place.prefix}{SELF_TEST}{secrets.token_hex(8)}"}
        self._versioned = self._is_versioned()

    def run(self) -> Abilities:
        self._require("store an object", self._put)
        try:
            self._require("tell an object's length", self._is_long)
            self._require("give an object back as it was stored", lambda: self._read() == _BYTES)
            self._require("give a part of an object", lambda: self._read("bytes=100-199") == _BYTES[100:200])
            self._require("list objects", self._is_listed)
            self._require("list unfinished uploads", self._lists_uploads)
            return Abilities(self._refuses_a_second(), self._versioned)
        finally:
            self._require("delete an object", self._delete)

    def _require(self, what: str, ability: Callable[[], bool]) -> None:
        try:
            able = ability()
        except ClientError as error:
            with translated(f"self-test: {what}"):
                raise error
        if not able:
            raise StorageUnavailable(f"this store of S3 is not fit for blobs: it does not {what}")

    def _is_versioned(self) -> bool:
        try:
            with translated("asking whether the bucket keeps versions", {"NotImplemented", "501"}):
                return self._client.get_bucket_versioning(Bucket=self._place.bucket).get("Status") is not None
        except ClientError:
            return False

    def _put(self) -> bool:
        with translated("self-test: storing an object"):
            self._client.put_object(**self._where, **self._options, Body=_BYTES)
        return True

    def _is_long(self) -> bool:
        return bool(self._client.head_object(**self._where)["ContentLength"] == len(_BYTES))

    def _read(self, span: str | None = None) -> bytes:
        data: bytes = self._client.get_object(**self._where, **({"Range": span} if span else {}))["Body"].read()
        return data

    def _is_listed(self) -> bool:
        listed = self._client.list_objects_v2(Bucket=self._place.bucket, Prefix=self._where["Key"])
        return [each["Key"] for each in listed.get("Contents", ())] == [self._where["Key"]]

    def _lists_uploads(self) -> bool:
        self._client.list_multipart_uploads(Bucket=self._place.bucket, Prefix=self._where["Key"])
        return True

    def _refuses_a_second(self) -> bool:
        try:
            with translated("self-test: storing under a key that is taken", PRESENT | {"NotImplemented", "501"}):
                self._client.put_object(**self._where, **self._options, Body=b"second", IfNoneMatch="*")
        except ClientError as error:
            return code_of(error) in PRESENT
        return False

    def _delete(self) -> bool:
        Remover(self._client, self._place.bucket, self._where["Key"], versioned=self._versioned).remove(
            [self._where["Key"]]
        )
        with translated("self-test: looking for a deleted object", ABSENT):
            try:
                self._client.head_object(**self._where)
            except ClientError as error:
                return code_of(error) in ABSENT
        return False
