"""A bag as a zip archive: for who cannot open a tar. Not compressed, so that the same data are the same bytes.

Its table of contents is written last and kept in memory until then, so there are no more files in it than every reader
takes. It is made from its beginning to its end only.
"""

from collections.abc import AsyncIterator
from zipfile import ZIP64_LIMIT, ZIP_STORED, ZipFile, ZipInfo

from records.bag import layout
from records.bag.contents import Member
from records.bag.export import Export
from records.errors import Invalid

MAX_FILES = 65_535
PIECE = 1 << 20
_REGULAR = 0o100644 << 16
_UNIX = 3


async def zip_of(export: Export) -> AsyncIterator[bytes]:
    """The archive in pieces. Raises `Invalid` before the first for a bag of more than `MAX_FILES`."""
    if export.files > MAX_FILES:
        raise Invalid(f"the bag has {export.files:,} files, a zip archive may have {MAX_FILES:,}; export a .tar")
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_STORED) as archive:
        async for member in export.members():
            with archive.open(_info(member), "w", force_zip64=member.size >= ZIP64_LIMIT) as file:
                for offset in range(0, member.size, PIECE):
                    file.write(await export.read_member(member, offset, min(PIECE, member.size - offset)))
                    yield sink.taken()
    yield sink.taken()


class _Sink:
    """What is written, until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def close(self) -> None:
        """There is nothing to close."""

    def taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces = []
        return data


def _info(member: Member) -> ZipInfo:
    """A header that depends on the path alone: no time, mode 0644."""
    info = ZipInfo(f"{layout.ROOT}/{member.path}")
    info.create_system = _UNIX
    info.external_attr = _REGULAR
    return info
