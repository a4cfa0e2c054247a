"""What can go wrong with bytes.

BlobError
├── InvalidBlobId        the text is not the id of any blob
├── BlobNotFound         no live blob of that id in this namespace
├── ContentMismatch      the bytes are not what was declared, or what was stored
├── LeaseLost            the upload was fenced off: its lease expired or its scope was erased
├── UploadNotFound       no resumable upload of that id, or its time is over
├── UploadBusy           somebody else is sending to that resumable upload at this moment
├── OutOfSpace           the disk is full, or fuller than its floor allows
│   ├── LargerThanRoom   one upload for which there is not room enough, though the disk is not full
│   └── OverQuota        a quota is used up; something must go first
│       └── LargerThanQuota  one upload that its quota could never hold
├── StorageUnavailable   a disk, a database or a store does not answer; trying again may help
│   ├── Damaged          a database file is not what was written; trying again does not help
│   ├── Missing          a part of a store is gone; an empty one in its place would be taken for the truth
│   ├── NewerVersion     a database file was made by a newer version of this program
│   ├── Moved            what was asked for is kept elsewhere now, or not yet here: find out where, and repeat
│   ├── MovedAway        all of a store is in another database now
│   └── WrongStore       parts that do not belong together: of different stores, or of different times of one
└── FuseBlown            a collection would remove suspiciously much; nothing was removed
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class BlobError(Exception):
    """Base of all errors of this package."""


class InvalidBlobId(BlobError, ValueError):
    """The text is not the id of any blob."""


class BlobNotFound(BlobError, LookupError):
    """No live blob of that id in this namespace."""


class ContentMismatch(BlobError):
    """The bytes are not what was declared (upload) or what was stored (read, scrub)."""


class LeaseLost(BlobError):
    """The upload was fenced off before it was published; nothing of it is kept."""


class UploadNotFound(BlobError, LookupError):
    """No resumable upload of that id in this namespace, or its time is over; nothing of it is kept."""


class UploadBusy(BlobError):
    """Somebody else is sending to that resumable upload, or it is being put in place; trying again helps."""


class OutOfSpace(BlobError):
    """There is no room for the bytes; nothing of them is kept."""


class LargerThanRoom(OutOfSpace):
    """One upload is larger than all the room that is left; the disk is not full."""


class OverQuota(OutOfSpace):
    """The bytes do not fit into what their owner, or the source that brings them, may keep; the message says more."""


class LargerThanQuota(OverQuota):
    """One upload is larger than its whole quota: no erasure would make room for it."""


class StorageUnavailable(BlobError):
    """A disk, a database or a store does not answer; nothing was acknowledged and trying again may help."""


class Damaged(StorageUnavailable):
    """A database file is not what was written to it, or is no database at all."""


class Missing(StorageUnavailable):
    """A part of a store is gone, and it was not made anew: an empty one would be taken for the truth."""


class NewerVersion(StorageUnavailable):
    """A database file was made by a newer version of this program, which alone may write it."""


class Moved(StorageUnavailable):
    """What was asked for is kept elsewhere now, or is not here yet. Nothing was written: find out where, and repeat."""


class MovedAway(StorageUnavailable):
    """All of a store is in another database now. Nothing was written: find out where, and repeat."""


class WrongStore(StorageUnavailable):
    """Parts of different stores, or of different times of one: to delete anything by them would lose data."""


class FuseBlown(BlobError):
    """A collection would remove so much that something is probably wrong; it removed nothing."""


@contextmanager
def translated(what: str, *passing: type[OSError]) -> Iterator[None]:
    """Turn what the operating system says of `what` into this package's errors; those in `passing` stay as they are."""
    try:
        yield
    except passing:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpace(f"{what}: no space left on the device") from error
        raise StorageUnavailable(f"{what}: {error.strerror}") from error
