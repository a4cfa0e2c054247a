"""Small objects beside the blobs, below the same prefix: no listing of blobs shows them, no collection takes them."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from blobstore.backends.s3.client import Client
from blobstore.backends.s3.meaning import ABSENT, PRESENT, translated
from blobstore.backends.s3.place import Place


class S3Notes:
    """Adapter of `blobstore.notes.Notes`. Names are given by this program alone: `Place.is_own` knows their folders."""

    def __init__(self, client: Client, place: Place, options: Mapping[str, str], *, exclusive: bool) -> None:
        """`options` go with each new object (encryption). `exclusive`: the store keeps to `If-None-Match: *`."""
        self._client = client
        self._bucket = place.bucket
        self._prefix = place.prefix
        self._options = {**options, **({"IfNoneMatch": "*"} if exclusive else {})}
        self.exclusive = exclusive
        self.where = place.url

    def read(self, name: str) -> bytes | None:
        with translated(f"reading {name}", ABSENT):
            try:
                data: bytes = self._client.get_object(**self._where(name))["Body"].read()
            except ClientError:
                return None
        return data

    def create(self, name: str, data: bytes) -> bool:
        if not self.exclusive and self.read(name) is not None:
            return False
        try:
            with translated(f"writing {name}", PRESENT):
                self._client.put_object(**self._where(name), **self._options, Body=data)
        except ClientError:
            return False
        return True

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        where = {"Bucket": self._bucket, "Prefix": self._prefix + folder}
        if after:  # SeaweedFS lists nothing after a name that is none of the folder's
            where["StartAfter"] = self._prefix + after
        with translated(f"listing {folder}"):
            pages: Any = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(**where):
                for row in page.get("Contents", ()):
                    yield str(row["Key"]).removeprefix(self._prefix)

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}
