"""A bag in a tar archive, read from its beginning to its end, and then file by file.

Only headers are taken from the standard library: what it does with long names, sparse files and links by itself takes
as much memory as an archive asks for, or leads out of it.
"""

import tarfile
from collections.abc import Iterator

from records.bag.archive import PIECE, Bytes, Found, Names
from records.errors import BadBag

_BLOCK = tarfile.BLOCKSIZE
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)
MAX_EXTENSION = 16 << 10
"""Bytes of an extended header: a path and a size need a hundredth of it."""


class TarArchive:
    """Adapter of `records.bag.archive.Archive`."""

    def __init__(self, source: Bytes) -> None:
        self._source = source

    def files(self) -> Iterator[Found]:
        names = Names()
        offset = 0
        extended: dict[str, str] = {}
        while (header := self._header(offset)) is not None:
            offset += _BLOCK
            if header.type == tarfile.XHDTYPE and not extended:
                extended = _extended(self._exactly(offset, header.size, MAX_EXTENSION))
            elif header.type == tarfile.GNUTYPE_LONGNAME and not extended:
                extended = {"path": _text(self._exactly(offset, header.size, MAX_EXTENSION).rstrip(b"\0"))}
            elif header.type in _REGULAR:
                size = _size(extended["size"]) if "size" in extended else header.size
                name = extended.get("path", header.name)
                if offset + size > self._source.size:
                    raise BadBag("the archive ends in the middle of a file")
                yield Found(names.below(name.removeprefix("./")), size, str(offset))
                offset += size + -size % _BLOCK
                extended = {}
                continue
            elif header.type != tarfile.DIRTYPE or header.size:
                raise BadBag(f"{header.name!r} is neither a file nor a folder")
            else:
                names.folder(extended.get("path", header.name).removeprefix("./"))
                extended = {}
            offset += header.size + -header.size % _BLOCK

    def pieces(self, found: Found) -> Iterator[bytes]:
        start = int(found.where)
        for offset in range(start, start + found.size, PIECE):
            yield self._source.read(offset, min(PIECE, start + found.size - offset))

    def close(self) -> None:
        """The source is closed by whoever opened it."""

    def _header(self, offset: int) -> tarfile.TarInfo | None:
        """The header that stands there; None where the archive ends as it should."""
        block = self._source.read(offset, _BLOCK)
        if block == bytes(_BLOCK):
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeError) as error:
            raise BadBag(f"it is no whole tar archive: {error}, {offset:,} bytes from its beginning") from None
        if header.size < 0:
            raise BadBag("a file is declared to have less than no bytes")
        return header

    def _exactly(self, offset: int, size: int, limit: int) -> bytes:
        if size > limit:
            raise BadBag(f"a header in the archive is longer than {limit} bytes")
        data = self._source.read(offset, size)
        if len(data) < size:
            raise BadBag("the archive ends in the middle of a header")
        return data


def _extended(data: bytes) -> dict[str, str]:
    """Records of an extended header (POSIX.1-2001): `length keyword=value` and a line end, each."""
    found: dict[str, str] = {}
    while data:
        digits, _, _ = data.partition(b" ")
        if not digits.isdigit() or len(digits) > 6 or not len(digits) + 3 <= int(digits) <= len(data):
            raise BadBag("a header in the archive is malformed")
        record, data = data[len(digits) + 1 : int(digits)], data[int(digits) :]
        keyword, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise BadBag("a header in the archive is malformed")
        name = _text(keyword)
        if name.startswith("GNU.sparse"):
            raise BadBag("a file in the archive has holes; unpack it and import the folder")
        found[name] = _text(value[:-1])
    return found


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise BadBag("a file's size is no number")
    return int(text)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadBag("a name in the archive is not UTF-8") from None
