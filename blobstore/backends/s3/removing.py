"""Removing objects for good: every version of them, and every upload of theirs that was never finished."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from blobstore.backends.s3.client import ABSENT, Client, translated
from blobstore.errors import StorageUnavailable

BATCH = 1000
"""Objects that S3 deletes by one request, at most."""

LISTINGS = 16
"""Keys whose versions are asked for at once."""

_GONE = ABSENT | {"NoSuchUpload", "NoSuchVersion"}


class Remover:
    """Removes objects from one bucket. `versioned`: it keeps old versions of them unless each is deleted."""

    def __init__(self, client: Client, bucket: str, prefix: str, *, versioned: bool) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._versioned = versioned

    def remove(self, keys: Collection[str]) -> None:
        """Nothing of them is left when this returns. Raises `StorageUnavailable`, which says what stays and why."""
        if not keys:
            return
        self._give_up_uploads(set(keys))
        self._delete([{"Key": key} for key in sorted(set(keys))] if not self._versioned else self._versions(set(keys)))

    def uploads(self) -> Iterator[tuple[str, str]]:
        """(key, id) of every upload in parts that was begun and not finished."""
        with translated("listing unfinished uploads"):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for upload in page.get("Uploads", ()):
                    yield upload["Key"], upload["UploadId"]

    def _give_up_uploads(self, keys: set[str]) -> None:
        for key, upload in list(self.uploads()):
            if key in keys:
                with translated("giving up an upload", _GONE):
                    self._abort(key, upload)

    def _abort(self, key: str, upload: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
        except self._client.exceptions.NoSuchUpload:
            return

    def _versions(self, keys: set[str]) -> list[dict[str, str]]:
        """What is deleted of a bucket with versions: each of them, and each mark of a deletion."""

        def of(key: str) -> list[dict[str, str]]:
            found: list[dict[str, str]] = []
            with translated("listing versions"):
                for page in self._client.get_paginator("list_object_versions").paginate(
                    Bucket=self._bucket, Prefix=key
                ):
                    rows = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                    found += [{"Key": key, "VersionId": row["VersionId"]} for row in rows if row["Key"] == key]
            return found

        with ThreadPoolExecutor(min(LISTINGS, len(keys)), thread_name_prefix="s3-list") as pool:
            return [version for versions in pool.map(of, sorted(keys)) for version in versions]

    def _delete(self, objects: Sequence[dict[str, str]]) -> None:
        for start in range(0, len(objects), BATCH):
            batch = list(objects[start : start + BATCH])
            with translated("deleting objects"):
                answer: dict[str, Any] = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": batch, "Quiet": True}
                )
            # The request may succeed and the deletions in it fail.
            kept = [each for each in answer.get("Errors", ()) if each.get("Code") not in _GONE]
            if kept:
                why = f"{kept[0].get('Code')} {kept[0].get('Message', '')}".strip()
                raise StorageUnavailable(f"S3 did not delete {len(kept)} of {len(batch)} objects: {why}")
