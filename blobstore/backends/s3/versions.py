"""Whether a bucket keeps old versions of what is deleted, and which there are."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from blobstore.backends.s3.client import Client
from blobstore.backends.s3.meaning import UNABLE, code_of, translated


class Versions:
    """Of one bucket. What was once switched on can be suspended, but never undone: old versions stay until deleted."""

    def __init__(self, client: Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self.kept = False
        """Whether the bucket is known to keep them."""

    def ask(self) -> bool:
        """Ask the store; a store that cannot be asked keeps none. Raises `StorageUnavailable`."""
        with translated("asking whether the bucket keeps versions"):
            try:
                status = self._client.get_bucket_versioning(Bucket=self._bucket).get("Status")
            except ClientError as error:
                if code_of(error) not in UNABLE:
                    raise
                status = None
        self.kept = self.kept or status is not None
        return self.kept

    def notice(self, deletion: Mapping[str, Any]) -> None:
        """See from what a deletion did that versions are kept now: it left marks instead of deleting.

        Amazon's buckets may say so only a quarter of an hour after they were switched on; Swift's deletions never do.
        """
        if any(each.get("DeleteMarker") and not each.get("VersionId") for each in deletion.get("Deleted", ())):
            self.kept = True

    def of(self, key: str) -> list[dict[str, str]]:
        """What has to be deleted for the key to be gone: each version, and each mark of a deletion."""
        return [{"Key": key, "VersionId": row["VersionId"]} for row in self.below(key) if row["Key"] == key]

    def there(self, key: str) -> bool:
        """Whether the key has an object or, where versions are kept, any of these."""
        if self.kept:
            return bool(self.of(key))
        with translated("looking at an object"):
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        return any(row["Key"] == key for row in found.get("Contents", ()))

    def all(self, prefix: str) -> Iterator[dict[str, Any]]:
        """All that is there of keys that begin so: objects or, where versions are kept, what `below` gives."""
        if self.kept:
            yield from self.below(prefix)
            return
        with translated("listing objects"):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                yield from page.get("Contents", ())

    def below(self, prefix: str) -> Iterator[dict[str, Any]]:
        """All versions and marks of keys that begin so; those of one key follow each other."""
        with translated("listing versions"):
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix):
                rows = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                yield from sorted(rows, key=lambda row: str(row["Key"]))
