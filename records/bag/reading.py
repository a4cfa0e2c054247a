"""The bytes of a bag's members, wherever they are, checked on the way where all of a file goes out in order."""

from dataclasses import dataclass

from blobstore.backend import Backend, ObjectName, Reader
from blobstore.digest import Digest, Hasher
from blobstore.errors import BlobNotFound, ContentMismatch
from records.bag.contents import Contents, Member, Source


@dataclass(slots=True)
class _Open:
    """A blob that is being read; `hasher` has seen its first `position` bytes, None where some were left out."""

    name: ObjectName
    reader: Reader
    hasher: Hasher | None
    position: int = 0


class CopyGone(Exception):
    """The copy of a blob that the contents name is not there any more."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(str(digest))
        self.digest = digest


class MemberReader:
    """Reads members. Calls block; one thread at a time. `close` it whatever happens."""

    def __init__(self, contents: Contents, backend: Backend) -> None:
        self._contents = contents
        self._backend = backend
        self._open: _Open | None = None

    def read(self, member: Member, offset: int, length: int) -> bytes:
        """Exactly these bytes, which the member has; keep `length` at a few MiB.

        Raises `CopyGone`, and `ContentMismatch` where the bytes of a blob are not those of its digest.
        """
        if member.source is not Source.BLOB:
            return self._contents.read(member, offset, length)
        blob = self._opened(member)
        data = blob.reader.read(offset, length)
        if len(data) < length:
            raise _changed(member)
        self._check(blob, member, offset, data)
        return data

    def close(self) -> None:
        """Let go of the blob that was read last. Harmless when called twice."""
        blob, self._open = self._open, None
        if blob is not None:
            blob.reader.close()

    def _opened(self, member: Member) -> _Open:
        name = self._contents.object_name(member)
        if self._open is None or self._open.name != name:
            self.close()
            try:
                reader = self._backend.open(name)
            except BlobNotFound:
                raise CopyGone(name.digest) from None
            self._open = _Open(name, reader, Hasher())
            if reader.size != member.size:
                raise _changed(member)
        return self._open

    def _check(self, blob: _Open, member: Member, offset: int, data: bytes) -> None:
        if offset == 0:
            blob.hasher, blob.position = Hasher(), 0
        if blob.hasher is None or blob.position != offset:
            blob.hasher = None
            return
        blob.hasher.update(data)
        blob.position += len(data)
        if blob.position == member.size and blob.hasher.finish() != member.content:
            raise _changed(member)


def _changed(member: Member) -> ContentMismatch:
    return ContentMismatch(
        f"the stored bytes of {member.content.digest} are not what they were: `blobstore doctor` tells"
    )
