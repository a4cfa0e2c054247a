"""The erasure ledger: what was erased, kept where no backup goes, so that no backup brings it back.

One line per erasure, durable before its first row goes, without content: ids, and where one record was erased the
keyed digest of its key. A restore erases again what the ledger names beyond where it was at the snapshot, and the
snapshot's central store has never heard of: that erasure was begun after the snapshot, so whatever of its target is in
the snapshot is older. No clock decides. What stood there before and is unknown all the same was erased in another
directory, a copy that was restored to try it: the data of the snapshot were never meant.

A line is a JSON object `{"entry": …, "hash": …}`; the hash covers the entry's text and the hash of the line before, and
the first line names the store. So a line that was changed or taken out is found. A cut-off end is not, by the ledger
alone: each snapshot remembers how far it had come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from blobstore.digest import derive
from blobstore.errors import Damaged, WrongStore

NAME = "erasures.ledger"
"""Its file in a data directory, unless it is kept elsewhere."""

MAX_LINE = 256 << 20
"""Bytes: an erasure names every instance of a connector, and a bag may bring 100,000."""

_CONTEXT = "blobstore 2026-11 line of an erasure ledger"
_GENESIS = bytes(32).hex()


class Entry(msgspec.Struct, frozen=True):
    """One erasure: its id and time, and what it covers (`report.Covered`); `record` is the digest of a key."""

    erasure: str
    requested_at: str
    kind: Literal["record", "stream", "instance", "connector", "owner"]
    owner: str
    connector: str | None = None
    instances: tuple[str, ...] = ()
    stream: str | None = None
    record: str | None = None
    consent_field: str | None = None
    everywhere: bool = False


class _First(msgspec.Struct, frozen=True):
    ledger_of: str


class _Line(msgspec.Struct, frozen=True):
    entry: msgspec.Raw
    hash: str


class Position(msgspec.Struct, frozen=True):
    """How far a ledger has come: its lines, and the hash of the last."""

    lines: int
    hash: str


@dataclass(frozen=True, slots=True)
class Read:
    """A ledger as it was read: of which store, its entries, what they were written as, and the hashes of its lines."""

    store: str
    entries: list[Entry]
    texts: list[bytes]
    hashes: list[str]

    def reaches(self, position: Position) -> bool:
        """Whether it has come so far, along the same lines."""
        return 0 < position.lines <= len(self.hashes) and self.hashes[position.lines - 1] == position.hash

    def beyond(self, position: Position) -> list[Entry]:
        """The entries that came after it."""
        return self.entries[position.lines - 1 :]  # the first line is no entry


class Ledger(Protocol):
    """The ledger of one store. Any number of processes, on as many machines as see it, may write to it at once.

    Every method raises `Damaged` where a line is not what was written, `StorageUnavailable` where the medium does not
    answer, or where the ledger is not the one any more that was opened.
    """

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    async def append(self, texts: Sequence[bytes]) -> None:
        """Put entries on the ledger, durably and in this order, each as the text that it was written as.

        Once, however often, and by however many at once: one whose erasure is on it already is passed over.
        """
        ...

    async def has(self, erasure: str) -> bool:
        """Whether the erasure is on it now."""
        ...

    async def position(self) -> Position:
        """How far it has come now, all of it read and found right."""
        ...

    async def read(self) -> Read:
        """All of it."""
        ...

    async def follow(self) -> None:
        """Be where the bytes are by now, with all that was written before. Nothing is lost where nobody asks for it."""
        ...


async def write(ledger: Ledger, entry: Entry) -> None:
    """Put the erasure on the ledger, durably. Raises as `Ledger.append`."""
    await ledger.append([msgspec.json.encode(entry)])


class Chain:
    """The lines of a ledger, one after the other, each held against the one before; remembers ids, and no line."""

    def __init__(self, name: str, store: str | None = None) -> None:
        """`name` is what messages call the ledger. Of a ledger of another store than `store` no line is taken."""
        self._name = name
        self.store = store or ""
        self.first = ""
        """The hash of the first line, which names the store."""
        self.lines = 0
        self.hash = _GENESIS
        """Of the last line."""
        self.ids = set[str]()

    def take(self, line: bytes) -> tuple[Entry, bytes] | None:
        """The next line's entry and its text; None for the first line. Raises `Damaged`, `WrongStore`."""
        try:
            read = msgspec.json.decode(line, type=_Line)
            text = bytes(read.entry)
            if read.hash != _hash(self.hash, text):
                raise self.damaged()
            taken = None
            if self.lines:
                taken = msgspec.json.decode(text, type=Entry), text
                self.ids.add(taken[0].erasure)
            else:
                self._begin(msgspec.json.decode(text, type=_First).ledger_of, read.hash)
        except msgspec.MsgspecError as error:
            raise self.damaged() from error
        self.lines, self.hash = self.lines + 1, read.hash
        return taken

    def next(self, text: bytes) -> bytes:
        """The line that an entry of this text is, were it the next; without its end."""
        return msgspec.json.encode(_Line(msgspec.Raw(text), _hash(self.hash, text)))

    def lacks(self, text: bytes) -> bool:
        """Whether no line that was taken has the erasure of this entry."""
        return msgspec.json.decode(text, type=Entry).erasure not in self.ids

    def ends_with(self, line: bytes | None) -> bool:
        """Whether this is the last line that was taken."""
        return line is not None and self.hash.encode() in line[-100:]

    @property
    def position(self) -> Position:
        """How far it has come."""
        return Position(self.lines, self.hash)

    def damaged(self) -> Damaged:
        """What is to be raised where the next line is not what was written."""
        number = self.lines + 1
        return Damaged(
            f"{self._name} was changed at line {number}, or a line before it was taken out; bring back a copy"
        )

    def _begin(self, store: str, found: str) -> None:
        if self.store and store != self.store:
            raise WrongStore(f"{self._name} is the erasure ledger of another store")
        self.store, self.first = store, found


def first(store: str) -> bytes:
    """The first line of the ledger of a store; without its end."""
    return Chain("").next(msgspec.json.encode(_First(store)))


def _hash(previous: str, text: bytes) -> str:
    return derive(_CONTEXT, bytes.fromhex(previous) + text).hex()
