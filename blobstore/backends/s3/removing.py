"""Removing objects for good: every version of them, and every upload of theirs that was never finished."""

import os.path
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from blobstore.backends.s3.bucket import SIDE_BY_SIDE, Bucket
from blobstore.backends.s3.meaning import ABSENT, code_of, refusal, translated

BATCH = 1000
"""Objects that S3 deletes by one request, at most."""

APART = 125
"""Objects that are worth a request of their own, side by side with others: most stores delete one after the other."""

_GONE = ABSENT | {"NoSuchUpload", "NoSuchVersion"}


class Remover:
    """Removes objects from one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._client = bucket.client
        self._bucket = bucket.name
        self._versions = bucket.versions
        self._threads = bucket.threads

    def remove(self, keys: Collection[str]) -> None:
        """Nothing of them is left when this returns. Raises `StorageUnavailable`, which says what stays and why."""
        wanted = sorted(set(keys))
        for start in range(0, len(wanted), BATCH):
            self._remove(wanted[start : start + BATCH])

    def left(self, keys: Sequence[str]) -> list[str]:
        """Those of which anything is there: an object, a version, the mark of a deletion, an unfinished upload."""
        if not keys:
            return []
        unfinished = {key for key, _ in self.uploads(os.path.commonpath(keys))}
        return [key for key in keys if key in unfinished or self._versions.there(key)]

    def uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        """(key, id) of every upload in parts that was begun and not finished, of keys that begin so."""
        for upload in self._uploads(prefix):
            yield upload["Key"], upload["UploadId"]

    def older(self, prefix: str, time: datetime) -> set[str]:
        """Keys that begin so of which anything is there, if not finished, that was made before this."""
        made = [(row["Key"], row["LastModified"]) for row in self._versions.all(prefix)]
        made += [(upload["Key"], upload["Initiated"]) for upload in self._uploads(prefix)]
        return {key for key, at in made if at < time}

    def _uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        with translated("listing unfinished uploads"):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                yield from page.get("Uploads", ())

    def _remove(self, keys: Sequence[str]) -> None:
        self._give_up_uploads(keys)
        if not self._versions.kept:
            self._delete([{"Key": key} for key in keys])
        # Asked after the deletion: versions may have been switched on a moment before it.
        if self._versions.kept or self._versions.ask():
            self._delete([version for found in self._threads.map(self._versions.of, keys) for version in found])

    def _give_up_uploads(self, keys: Sequence[str]) -> None:
        wanted = set(keys)
        for key, upload in list(self.uploads(os.path.commonpath(keys))):
            if key in wanted:
                with translated("giving up an upload"):
                    self._abort(key, upload)

    def _abort(self, key: str, upload: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
        except ClientError as error:
            if code_of(error) not in _GONE:
                raise

    def _delete(self, objects: Sequence[dict[str, str]]) -> None:
        size = min(BATCH, max(APART, -(-len(objects) // SIDE_BY_SIDE)))
        batches = [objects[start : start + size] for start in range(0, len(objects), size)]
        if len(batches) == 1:
            self._delete_at_once(batches[0])
            return
        for under_way in [self._threads.submit(self._delete_at_once, batch) for batch in batches]:
            under_way.result()

    def _delete_at_once(self, batch: Sequence[dict[str, str]]) -> None:
        with translated("deleting objects"):
            answer: dict[str, Any] = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": batch})
        self._versions.notice(answer)
        # The request may succeed and the deletions in it fail.
        kept = [each for each in answer.get("Errors", ()) if each.get("Code") not in _GONE]
        if kept:
            doing = f"deleting objects, {len(kept)} of {len(batch)} are kept"
            raise refusal(doing, str(kept[0].get("Code", "")), str(kept[0].get("Message", "")))
