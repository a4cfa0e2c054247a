"""Where in S3 the blobs are: a bucket and a prefix, and the keys of objects below it."""

import re
from dataclasses import dataclass
from typing import Self

from blobstore.backend import ObjectName
from blobstore.digest import Digest

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?\Z")
_KEY = re.compile(r"([a-z0-9]+)/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{64})\.([0-9a-f]{32})\Z")
_NAMESPACE = re.compile(r"[a-z0-9]+\Z")
_GENERATION = re.compile(r"[0-9a-f]{32}\Z")

STORE_ID = "store-id"
"""The object below the prefix that says which store the blobs belong to."""

SELF_TEST = "self-test/"
"""What lies below this is made by a self-test, which removes it again, if not by a later one after it was killed."""

LEDGER = ("ledger/", "ledger-bundles/", "ledger-moves/")
"""What lies below these is the ledger of what was erased."""


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and what all keys in it begin with (`""`, or ending in a slash)."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """From `s3://BUCKET` or `s3://BUCKET/PREFIX`. Raises `ValueError`, which says what is wrong."""
        match = _URL.match(url)
        if match is None:
            raise ValueError("write s3://BUCKET or s3://BUCKET/PREFIX; a bucket has 3 to 63 of a-z, 0-9, '.' and '-'")
        steps = (match[2] or "").rstrip("/").split("/")
        if steps != [""] and ("" in steps or "." in steps or ".." in steps):
            raise ValueError("a prefix in S3 has no empty steps, '.' or '..': some stores fold them")
        return cls(match[1], "" if steps == [""] else "/".join(steps) + "/")

    @property
    def url(self) -> str:
        """What `parse` takes."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def key_of(self, name: ObjectName) -> str:
        """The key of an object. Raises `ValueError` for a name that `name_of` would not know."""
        if not _NAMESPACE.match(name.namespace) or not _GENERATION.match(name.generation):
            raise ValueError("a namespace has lower-case letters and digits only, a generation 32 hexadecimal digits")
        digest = name.digest.hex
        return f"{self.prefix}{name.namespace}/{digest[:2]}/{digest[2:4]}/{digest}.{name.generation}"

    def name_of(self, key: str) -> ObjectName | None:
        """The object that a key is of, or None where it is none of ours."""
        match = _KEY.match(key.removeprefix(self.prefix))
        if match is None or not key.startswith(self.prefix) or match[4][:4] != match[2] + match[3]:
            return None
        return ObjectName(match[1], Digest(match[4]), match[5])

    def is_own(self, key: str) -> bool:
        """Whether the key is of something else than a blob that belongs here all the same."""
        name = key.removeprefix(self.prefix)
        return key.startswith(self.prefix) and (name == STORE_ID or name.startswith((SELF_TEST, *LEDGER)))
