"""One upload: bytes on their way into the store, until they are published or thrown away."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from blobstore.catalogue import Lease, Stored
from blobstore.digest import Content, Digest
from blobstore.errors import BlobError, ContentMismatch
from blobstore.reservation import Reservation
from blobstore.staging import StagedFile

if TYPE_CHECKING:
    from blobstore.store import BlobStore

BUFFER = 1 << 20
"""Bytes gathered before a worker hashes and writes them: one hop per MiB instead of one per network read."""

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
        self, store: "BlobStore", lease: Lease, slot: Slot, staged: StagedFile, reservation: Reservation
    ) -> None:
        self._store = store
        self._lease = lease
        self._reservation = reservation
        self._slot = slot
        self._staged = staged
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._received = 0
        self._writing: asyncio.Future[None] | None = None
        self._finishing: asyncio.Task[Stored] | None = None

    async def write(self, data: bytes) -> None:
        """Take the next bytes. Waits while the disk is behind, so the sender is held back too.

        Raises `OverQuota` or another `OutOfSpace` where there is no room for them, `LeaseLost`, `StorageUnavailable`.
        """
        self._pieces.append(data)
        self._gathered += len(data)
        self._received += len(data)
        if self._gathered >= BUFFER:
            await self._flush()

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

    async def _flush(self) -> None:
        await self._written()
        if self._pieces:
            await self._reservation.cover(self._received)
            pieces, self._pieces, self._gathered = self._pieces, [], 0
            self._writing = self._store.submit(self._staged.append, pieces)

    async def _written(self) -> None:
        if self._writing is not None:
            # Shielded and kept: whoever goes away must not let the file be closed while a worker is still in it.
            await asyncio.shield(self._writing)
            self._writing = None
            self._reservation.written = self._staged.size

    async def _finish(self, expected: Expected) -> Stored:
        try:
            await self._take_rest()
            content = self._staged.content()
            expected.check(content)
            return await self._store.publish(self._lease, self._slot, self._staged, content)
        except BaseException:
            await self._discard()
            raise

    async def _take_rest(self) -> None:
        """Of what is little only the digests are needed now: it is written in the thread that puts it in place."""
        await self._written()
        await self._reservation.cover(self._received)
        pieces, self._pieces = self._pieces, []
        if self._gathered <= LITTLE:
            self._staged.take(pieces)
        else:
            await self._store.submit(self._staged.append, pieces)

    async def _discard(self) -> None:
        """Staged file first, lease after: a file without a lease would be debris, a lease without a file is nothing."""
        with suppress(Exception):  # the worker's error was raised to whoever wrote; here only its end matters
            await self._written()
        with suppress(BlobError):  # what cannot be removed now is debris once its lease is gone
            await self._store.submit(self._staged.discard)
        await self._store.end(self._lease)
