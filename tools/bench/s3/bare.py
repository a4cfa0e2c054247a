"""What blobs in S3 are measured against: boto3 as it comes, with the hashing and the fsync that a service owes."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from blobstore.backends.s3.place import Place
from blobstore.backends.where import Where
from blobstore.digest import Hasher
from tools.bench.litter import strangers

_PIECE = 1 << 20
_BATCH = 1000


class Bare:
    """A client with boto3's own settings, in the bucket that the server uses, under keys of its own."""

    def __init__(self, where: Where, scratch: Path) -> None:
        self._scratch = scratch
        self._bucket, _, prefix = where.location.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}-bare/"
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=where.endpoint,
            region_name=where.region,
            verify=where.ca_bundle,
            config=Config(read_timeout=600),  # a small machine that does both ends takes long
        )

    def upload(self, path: Path) -> None:
        """Copy the file while both digests are computed, fsync it, send it."""
        copy = self._scratch / f"bare-{path.name}"
        hasher = Hasher()
        with path.open("rb") as source, copy.open("wb") as target:
            while piece := source.read(_PIECE):
                hasher.update(piece)
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
        hasher.finish()
        self._client.upload_file(str(copy), self._bucket, self._prefix + path.name)
        copy.unlink()

    def download(self, name: str) -> None:
        """All of an object, in parts that come side by side."""
        self._client.download_fileobj(self._bucket, self._prefix + name, _Nowhere())

    def put(self, keys: list[str], data: bytes) -> None:
        """Small objects."""

        def one(key: str) -> None:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, keys))

    def own(self, count: int) -> list[str]:
        """Keys that the server has nothing to do with, in as many folders as its own: some stores keep these apart."""
        place = Place(self._bucket, self._prefix)
        return [place.key_of(name) for name, *_ in strangers("bench", count)]

    def delete(self, keys: list[str]) -> None:
        """In batches as large as S3 takes them."""
        for start in range(0, len(keys), _BATCH):
            objects = [{"Key": key} for key in keys[start : start + _BATCH]]
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            assert not answer.get("Errors"), answer


class _Nowhere(io.RawIOBase):
    """Takes bytes at any offset, and forgets them."""

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return offset

    def write(self, data: Any) -> int:
        return len(data)
