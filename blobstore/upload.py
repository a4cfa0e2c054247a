"""One upload: bytes on their way into the store, until they are published or thrown away."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from mmap import mmap
from typing import TYPE_CHECKING, Self

from blobstore.catalogue import Lease, Stored
from blobstore.digest import Content, Digest
from blobstore.errors import BlobError, ContentMismatch
from blobstore.reservation import Reservation
from blobstore.spans import span
from blobstore.staged import Bytes, StagedFile

if TYPE_CHECKING:
    from blobstore.store import BlobStore

BUFFER = 1 << 20
"""Bytes that are hashed and written at once. An upload has two such pieces of memory: one fills while one is used."""

BUFFERS = 16 << 20
"""Bytes of all of them; where many upload each gets smaller ones."""

LEAST = 256 << 10
"""Bytes of the smallest, however many upload."""

DRAWN = 8 << 20
"""Bytes that a thread reads, hashes and writes before others may have it."""

LITTLE = 64 << 10
"""Bytes that are hashed at once: a thread would take longer to begin than they take."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the sender declared of the bytes; None where it declared nothing."""

    size: int | None = None
    sha256: bytes | None = None
    digest: Digest | None = None

    def check(self, content: Content) -> None:
        """Raise `ContentMismatch` where what arrived is something else."""
        if self.size is not None and content.size != self.size:
            raise ContentMismatch(f"{content.size} bytes arrived, {self.size} were declared")
        if self.sha256 is not None and content.sha256 != self.sha256:
            raise ContentMismatch("the bytes that arrived have another SHA-256 than was declared")
        if self.digest is not None and content.digest != self.digest:
            raise ContentMismatch("the bytes that arrived have another BLAKE3 digest than was declared")


@dataclass(frozen=True, slots=True)
class Slot:
    """The place that will hold the link: who, in which group that is erased together, which place, of what type."""

    holder: str
    scope: str
    slot: str
    media_type: str
    event: Callable[[Content], bytes] | None = None
    """Says, for the audit log above, what was stored; kept in the catalogue's outbox in the same step as the claim."""


class Upload:
    """Bytes on their way. An asynchronous context manager: what was not finished inside it is discarded."""

    def __init__(
        self,
        store: "BlobStore",
        lease: Lease,
        slot: Slot,
        staged: StagedFile,
        reservation: Reservation,
        uploads: int,
    ) -> None:
        """It is the `uploads`-th of those under way."""
        self._store = store
        self.lease = lease
        self._reservation = reservation
        self._slot = slot
        self._staged = staged
        self._buffer = _share(uploads)
        self._filling: memoryview | None = None
        self._filled = 0
        self._used: memoryview | None = None
        """What is being hashed and written, or was last."""
        self._received = 0
        self._using: asyncio.Task[object] | None = None
        self._finishing: asyncio.Task[Stored] | None = None

    async def write(self, data: Bytes) -> None:
        """Take the next bytes. Raises as `came`."""
        view = memoryview(data)
        while view:
            room = self.room()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            await self.came(count)
            view = view[count:]

    def room(self) -> memoryview:
        """Memory for the next bytes. Whoever has put some there, from its beginning on, says so by `came`."""
        if self._filling is None:
            # Pages of its own: aligned, so that they may go to the disk as they are, and given back when all is over.
            self._filling = memoryview(mmap(-1, self._buffer))
        return self._filling[self._filled :]

    async def came(self, count: int) -> None:
        """So many bytes came into `room`. Waits while the disk is behind, so the sender is held back too.

        Raises `OverQuota` or another `OutOfSpace` where there is no room for them, `LeaseLost`, `StorageUnavailable`.
        """
        self._filled += count
        self._received += count
        if self._filled == self._buffer:
            await self._use()

    async def draw(self, read: Callable[[memoryview], int]) -> None:
        """Take all that `read` gives, which puts bytes into memory and says how many: 0 at the end.

        For what no sender has to be waited for: one thread reads, hashes and writes many pieces in one go. Nothing else
        is given to such an upload. Raises as `came`, and what `read` raises.
        """
        into = self.room()
        read_on = True
        while read_on:
            self._using = drawing = self._store.keep(self._draw(read, into))
            read_on = await asyncio.shield(drawing)  # kept: the file stays open while a worker is in it
            await self._reservation.cover(self._received)

    async def finish(self, expected: Expected | None = None) -> Stored:
        """Publish the bytes, or claim those that are stored already; durable when this returns.

        Raises `ContentMismatch` (nothing is kept), `LeaseLost` (fenced off), `OutOfSpace`, `StorageUnavailable`.
        """
        # Shielded: a caller that goes away half-way through publishing must not leave a file without its row.
        self._finishing = self._store.keep(self._finish(expected or Expected()))
        return await asyncio.shield(self._finishing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        if self._finishing is None:
            await asyncio.shield(self._store.keep(self._discard()))
        else:
            # Whoever awaited `finish` was told of its error; here only its end is waited for.
            await asyncio.wait([self._finishing])

    async def _draw(self, read: Callable[[memoryview], int], into: memoryview) -> bool:
        """What was read and had no room before, and more; whether there is more still."""
        room = min(DRAWN, self._reservation.bytes - self._received)
        drawn, self._filled = await self._store.submit(_drawn, self._staged, read, into, self._filled, room)
        self._received += drawn
        self._reservation.written = self._staged.size
        return self._filled > 0

    async def _use(self) -> None:
        """Begin to hash and write what came, once that is done with what came before."""
        await self._was_used()
        await self._reservation.cover(self._received)
        if self._filling is not None:
            full, self._filling = self._filling[: self._filled], self._used
            self._used, self._filled = full, 0
            self._using = self._store.keep(self._hash_and_write(full))

    async def _hash_and_write(self, data: memoryview) -> None:
        """Side by side: neither changes anything that the other sees. Both have ended when this has."""
        both = (self._store.submit(self._staged.hash, data), self._store.submit(self._staged.write, data))
        for outcome in await asyncio.gather(*both, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _was_used(self) -> None:
        if self._using is not None:
            # Shielded and kept: whoever goes away must not let the file be closed while a worker is still in it.
            await asyncio.shield(self._using)
            self._using = None
            self._reservation.written = self._staged.size

    async def _finish(self, expected: Expected) -> Stored:
        try:
            await self._take_rest()
            content = self._staged.content()
            expected.check(content)
            with span("publish"):
                return await self._store.publish(self.lease, self._slot, self._staged, content)
        except BaseException:
            await self._discard()
            raise

    async def _take_rest(self) -> None:
        if self._filled > LITTLE or self._filling is None:
            await self._use()
        else:
            # Only the digests are needed now: it is written in the thread that puts it in place.
            await self._was_used()
            await self._reservation.cover(self._received)
            self._staged.take(self._filling[: self._filled])
        await self._was_used()

    async def _discard(self) -> None:
        """Staged file first, lease after: a file without a lease would be debris, a lease without a file is nothing."""
        with suppress(Exception):  # the worker's error was raised to whoever wrote; here only its end matters
            await self._was_used()
        with suppress(BlobError):  # what cannot be removed now is debris once its lease is gone
            await self._store.submit(self._staged.discard)
        await self._store.end(self.lease)


def _drawn(
    staged: StagedFile, read: Callable[[memoryview], int], into: memoryview, left: int, room: int
) -> tuple[int, int]:
    """In a thread: take the `left` bytes of `into`, then more while there is room; bytes read, and left there now."""
    drawn = 0
    while True:
        staged.append([into[:left]])
        left = _full(read, into)
        drawn += left
        if not left or drawn > room:
            return drawn, left


def _full(read: Callable[[memoryview], int], into: memoryview) -> int:
    """Read until `into` is full, or nothing comes any more; bytes read."""
    filled = 0
    while filled < len(into) and (count := read(into[filled:])):
        filled += count
    return filled


def _share(uploads: int) -> int:
    """How large the pieces of memory are of whoever comes as the `uploads`-th, in bytes.

    >>> [_share(count) >> 10 for count in (1, 8, 9, 16, 17, 1000)]
    [1024, 1024, 512, 512, 256, 256]
    """
    size = BUFFER
    while size > LEAST and 2 * size * uploads > BUFFERS:
        size //= 2
    return size
