"""Blobs as objects of an S3-compatible store: keys below a prefix of a bucket, never given twice.

Everything goes through boto3 and blocks; the store runs it in threads. Nothing is copied or renamed within S3: what is
staged goes straight to its final key.
"""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from blobstore.backend import ForeignObject, ObjectName
from blobstore.backends.s3.abilities import Abilities, self_test
from blobstore.backends.s3.bucket import THREADS, Bucket
from blobstore.backends.s3.client import Access
from blobstore.backends.s3.links import Signer
from blobstore.backends.s3.meaning import translated
from blobstore.backends.s3.notes import S3Notes
from blobstore.backends.s3.place import STORE_ID, Place
from blobstore.backends.s3.publishing import Publisher
from blobstore.backends.s3.reader import S3Reader
from blobstore.backends.s3.removing import Remover
from blobstore.errors import BlobNotFound, StorageUnavailable
from blobstore.notes import Notes

__all__ = ["Access", "Place", "S3Backend"]


class S3Backend:
    """Adapter of `blobstore.backend.Backend`. Make one with `connect`."""

    threads = THREADS

    def __init__(
        self, bucket: Bucket, place: Place, abilities: Abilities, options: Mapping[str, str], signer: Signer
    ) -> None:
        self._bucket = bucket
        self._signer = signer
        self._place = place
        self._abilities = abilities
        self._publisher = Publisher(bucket, options, conditional=abilities.conditional)
        self._remover = Remover(bucket)
        self._readers: weakref.WeakSet[S3Reader] = weakref.WeakSet()
        self._notes = S3Notes(bucket.client, place, options, exclusive=abilities.exclusive)

    @classmethod
    def connect(cls, place: Place, access: Access, options: Mapping[str, str] | None = None) -> Self:
        """Try whether the store can do what blobs need, and use it. `options` go with each new object (encryption).

        Raises `StorageUnavailable`, which says what is wrong.
        """
        bucket = Bucket(access, place.bucket)
        try:
            bucket.versions.ask()
            abilities = self_test(bucket, place, options or {})
            return cls(bucket, place, abilities, options or {}, Signer(access, place.bucket))
        except BaseException:
            bucket.close()
            raise

    @property
    def lacks(self) -> Sequence[str]:
        return self._abilities.lacks

    def bind(self, store_id: str) -> str:
        there = self.bound()
        if there is None:
            self._notes.create(STORE_ID, store_id.encode())
            there = self.bound()
        if there is None:
            raise StorageUnavailable("S3 does not give back the store's id that was written")
        return there

    def bound(self) -> str | None:
        written = self._notes.read(STORE_ID)
        return None if written is None else written.decode("utf-8", "replace")

    def is_empty(self) -> bool:
        """Whether no key is in the place but those of its own. Deleted objects of a bucket with versions count not."""
        with translated("listing objects"):
            pages: Any = self._bucket.client.get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self._place.bucket, Prefix=self._place.prefix)
            return not any(not self._place.is_own(row["Key"]) for page in found for row in page.get("Contents", ()))

    def publish(self, name: ObjectName, staged: Path) -> bool:
        return self._publisher.publish(self._place.key_of(name), staged)

    def comes_late(self, name: ObjectName) -> bool:
        """A request that is on its way gets there, whatever becomes of its sender."""
        return True

    def open(self, name: ObjectName) -> S3Reader:
        size = self.size(name)
        if size is None:
            raise BlobNotFound(str(name.digest))
        reader = S3Reader(self._bucket.client, self._bucket.name, self._place.key_of(name), size, self._signer)
        self._readers.add(reader)
        return reader

    def size(self, name: ObjectName) -> int | None:
        return self._publisher.size(self._place.key_of(name))

    def remove(self, names: Sequence[ObjectName]) -> None:
        self._remover.remove({self._place.key_of(name) for name in names})

    def left(self, names: Sequence[ObjectName]) -> list[ObjectName]:
        keys = {self._place.key_of(name): name for name in names}
        return [keys[key] for key in self._remover.left(list(keys))]

    def list(self) -> Iterator[tuple[ObjectName, int] | ForeignObject]:
        """What was begun in parts and not finished counts as well, with no bytes."""
        seen = ""  # versions of one key follow each other
        self._bucket.versions.ask()
        for row in self._bucket.versions.all(self._place.prefix):
            key = row["Key"]
            if key == seen or self._place.is_own(key):
                continue
            seen = key
            yield self._entry(key, row.get("Size", 0))
        for key in {key for key, _ in self._remover.uploads(self._place.prefix)}:
            if not self._place.is_own(key) and self._publisher.size(key) is None:
                yield self._entry(key, 0)

    def notes(self) -> Sequence[Notes | None]:
        return [self._notes]

    def close(self) -> None:
        """Wait for what is under way, at most as long as one request may take. Whoever is reading fails."""
        for reader in list(self._readers):
            reader.close()
        self._bucket.close()

    def _entry(self, key: str, size: int) -> tuple[ObjectName, int] | ForeignObject:
        name = self._place.name_of(key)
        return (name, size) if name is not None else ForeignObject(key.removeprefix(self._place.prefix), size)
