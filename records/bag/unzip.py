"""A bag in a zip archive: its table of contents first, then file by file.

Read here, and not by the standard library, which takes the whole table of contents into memory, however long, and
lets files share bytes with each other: that is how a small archive becomes a large one.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from records.bag.archive import PIECE, Bytes, Found, Names
from records.errors import BadBag

MAX_RATIO = 250
"""Bytes that one compressed byte may become, in a file of over `SMALL` bytes."""

SMALL = 1 << 20

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_UNIX = 3
_ENCRYPTED = 1 | 1 << 6 | 1 << 13
_KIND, _REGULAR, _FOLDER = 0o170000, 0o100000, 0o040000


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the table of contents; `packed` are the bytes that its file takes in the archive."""

    name: str
    method: int
    packed: int
    size: int
    local: int
    kind: int


class ZipArchive:
    """Adapter of `records.bag.archive.Archive`."""

    def __init__(self, source: Bytes) -> None:
        self._source = source

    def files(self) -> Iterator[Found]:
        names = Names()
        free = 0
        for entry in self._entries():
            start = self._data(entry)
            if entry.local < free:
                raise BadBag(f"{entry.name!r} shares bytes with another file, or they are not in order")
            free = start + entry.packed
            if entry.kind == _FOLDER or entry.name.endswith("/"):
                names.folder(entry.name)
                if entry.size or entry.packed:
                    raise BadBag(f"{entry.name!r} is a folder with bytes")
                continue
            if entry.kind not in (0, _REGULAR):
                raise BadBag(f"{entry.name!r} is neither a file nor a folder")
            if entry.size > max(SMALL, MAX_RATIO * entry.packed):
                raise BadBag(f"{entry.name!r} is compressed too much; unpack it and import the folder")
            yield Found(names.below(entry.name), entry.size, f"{start} {entry.packed} {entry.method}")

    def pieces(self, found: Found) -> Iterator[bytes]:
        start, packed, method = map(int, found.where.split())
        if method == _STORED:
            for offset in range(start, start + packed, PIECE):
                yield self._exactly(offset, min(PIECE, start + packed - offset))
            return
        left = found.size
        for piece in self._inflated(start, packed):
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left:
            raise BadBag(f"{found.path} has not as many bytes as are declared")

    def close(self) -> None:
        """The source is closed by whoever opened it."""

    def _inflated(self, start: int, packed: int) -> Iterator[bytes]:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for offset in range(start, start + packed, PIECE):
                coming = self._exactly(offset, min(PIECE, start + packed - offset))
                while coming and not stream.eof:
                    yield stream.decompress(coming, PIECE)
                    coming = stream.unconsumed_tail
            while not stream.eof and (rest := stream.decompress(b"", PIECE)):
                yield rest
        except zlib.error:
            raise BadBag("a file in the archive is compressed badly") from None
        if not stream.eof:
            raise BadBag("a file in the archive is compressed, and has no end")

    def _entries(self) -> Iterator[_Entry]:
        count, offset, stop = self._table()
        for _ in range(count):
            fields = _unpack(_ENTRY, self._exactly(offset, _ENTRY.size), b"PK\1\2")
            made, _, flags, method, _, _, _, packed, size, name, extra, comment, disk, _, attributes, local = fields[1:]
            offset += _ENTRY.size + name + extra + comment
            if offset > stop:
                raise BadBag("the archive's table of contents is cut off")
            text = self._exactly(offset - name - extra - comment, name + extra)
            kind = attributes >> 16 & _KIND if made >> 8 == _UNIX else 0
            if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED) or disk:
                raise BadBag("a file in the archive is encrypted, or compressed in a way that is not taken")
            size, packed, local = _wide(text[name:], size, packed, local)
            if method == _STORED and size != packed:
                raise BadBag("a file in the archive has two sizes")
            yield _Entry(_text(text[:name]), method, packed, size, local, kind)
        if offset != stop:
            raise BadBag("the archive's table of contents is longer than it says")

    def _table(self) -> tuple[int, int, int]:
        """How many entries, where the first of them begins and the last ends."""
        tail = max(self._source.size - _END.size - _MAX_16, 0)
        found = self._source.read(tail, self._source.size - tail).rfind(b"PK\5\6")
        if found < 0:
            raise BadBag("it is no whole zip archive: it has no end")
        end = tail + found
        _, disk, _, here, count, size, offset, comment = _unpack(_END, self._exactly(end, _END.size), b"PK\5\6")
        if end + _END.size + comment != self._source.size or disk or here != count:
            raise BadBag("the archive's end is not where it should be")
        if _MAX_16 in (count, here) or _MAX_32 in (size, offset):
            count, size, offset, end = self._table_64(end)
        if offset + size != end:
            raise BadBag("the archive's table of contents is not where it should be")
        return count, offset, end

    def _table_64(self, end: int) -> tuple[int, int, int, int]:
        locator = self._exactly(max(end - _LOCATOR.size, 0), _LOCATOR.size)
        _, _, where, _ = _unpack(_LOCATOR, locator, b"PK\6\7")
        found = _unpack(_END_64, self._exactly(where, _END_64.size), b"PK\6\6")
        if where + _END_64.size != end - _LOCATOR.size:
            raise BadBag("the archive's end is not where it should be")
        return found[7], found[8], found[9], where

    def _data(self, entry: _Entry) -> int:
        """Where the bytes of a file begin; what stands before them says the same of it."""
        local = _unpack(_LOCAL, self._exactly(entry.local, _LOCAL.size), b"PK\3\4")
        name, extra = local[-2:]
        start = entry.local + _LOCAL.size
        if local[3] != entry.method or _text(self._exactly(start, name)) != entry.name:
            raise BadBag(f"the archive says two things of {entry.name!r}")
        return start + name + extra

    def _exactly(self, offset: int, length: int) -> bytes:
        data = self._source.read(offset, length)
        if len(data) < length:
            raise BadBag("the archive is cut off")
        return data


def _unpack(form: struct.Struct, data: bytes, signature: bytes) -> tuple[int, ...]:
    fields: tuple[int, ...] = form.unpack(data)
    if data[:4] != signature:
        raise BadBag("it is no whole zip archive")
    return fields


def _wide(extra: bytes, size: int, packed: int, local: int) -> tuple[int, int, int]:
    """Sizes and place that do not fit into 32 bits stand in an extra field (of id 1), in this order."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == 1:
            found = []
            for value in (size, packed, local):
                if value == _MAX_32 and len(field) >= 8:
                    value, field = int.from_bytes(field[:8], "little"), field[8:]
                found.append(value)
            size, packed, local = found
    return size, packed, local


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadBag("a name in the archive is not UTF-8") from None
