"""A bag as a tar archive: which bytes stand where follows from its contents, so it can be sent from any offset.

Tag files come first, then the data in the order of their paths: whoever reads it from its beginning knows the digests
before the files. A header depends on path and size alone: no time, no owner, mode 0644.
"""

import tarfile
from collections.abc import Iterator

from records.bag import layout
from records.bag.contents import Contents, Member
from records.bag.reading import MemberReader

MEDIA_TYPE = "application/x-tar"
_FIRST = (layout.DECLARATION, layout.INFO, layout.README, *layout.TAG_MANIFESTS, *layout.MANIFESTS)
_BLOCK = tarfile.BLOCKSIZE


class Tar:
    """The archive of these contents as a sequence of bytes, made when they are asked for. Calls block."""

    def __init__(self, contents: Contents, reader: MemberReader) -> None:
        """Say where each member stands: once for these contents."""
        self._contents = contents
        self._reader = reader
        offset = 0
        for member in ordered(contents):
            contents.place(offset, member.path)
            offset += len(header(member)) + member.size + -member.size % _BLOCK
        end = offset + 2 * _BLOCK
        self.size = end + -end % tarfile.RECORDSIZE

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; fewer only at the end. Raises as `MemberReader.read`."""
        stop = min(offset + length, self.size)
        if offset >= stop:
            return b""
        pieces: list[bytes] = []
        for start, member in self._contents.placed(offset, stop):
            head = header(member)
            body, end = start + len(head), start + len(head) + member.size
            pieces.append(head[max(offset - start, 0) : max(stop - start, 0)])
            first, last = max(body, offset), min(end, stop)
            if first < last:
                pieces.append(self._reader.read(member, first - body, last - first))
            pieces.append(bytes(max(min(end + -end % _BLOCK, stop) - max(end, offset), 0)))
        return b"".join(pieces).ljust(stop - offset, b"\0")  # the archive ends with zeros


def ordered(contents: Contents) -> Iterator[Member]:
    """The members in the order in which archives have them."""
    for path in _FIRST:
        yield contents.member(path)
    yield from contents.members(layout.DATA)


def header(member: Member) -> bytes:
    """What stands before a member's bytes: one block, or three where its path or size needs them."""
    info = tarfile.TarInfo(f"{layout.ROOT}/{member.path}")
    info.size = member.size
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT)
