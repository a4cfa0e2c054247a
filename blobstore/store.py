"""The blob store: one way in for every byte, one way out, above any backend and any catalogue.

In: lease → staging file → publish. What a crash leaves at any point is found by its lease (`blobstore.gc`).
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from blobstore.backend import Backend, ObjectName, Reader
from blobstore.backends.filesystem import FilesystemBackend
from blobstore.catalogue import Catalogue, Claim, Lease, Stored
from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.digest import Content, Digest
from blobstore.durable import write_durably
from blobstore.errors import BlobError, BlobNotFound, ContentMismatch, LeaseLost, WrongStore
from blobstore.sqlitefile import file_lock
from blobstore.staging import StagedFile, Staging

T = TypeVar("T")
P = ParamSpec("P")

BUFFER = 1 << 20
"""Bytes gathered before a worker hashes and writes them: one hop per MiB instead of one per network read."""

LEASE_SECONDS = 300.0
RENEW_SECONDS = 60.0
CLAIM_SECONDS = 7 * 24 * 3600.0
IO_THREADS = 8


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

    def __init__(self, store: "BlobStore", lease: Lease, slot: Slot, staged: StagedFile) -> None:
        self._store = store
        self._lease = lease
        self._slot = slot
        self._staged = staged
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._writing: asyncio.Future[None] | None = None
        self._finishing: asyncio.Task[Stored] | None = None

    async def write(self, data: bytes) -> None:
        """Take the next bytes. Waits while the disk is behind, so the sender is held back too."""
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= BUFFER:
            await self._flush()

    async def finish(self, expected: Expected | None = None) -> Stored:
        """Publish the bytes, or claim those that are stored already; durable when this returns.

        Raises `ContentMismatch` (nothing is kept), `LeaseLost` (fenced off), `OutOfSpace`, `StorageUnavailable`.
        """
        await self._flush()
        await self._written()
        # Shielded: a caller that goes away half-way through publishing must not leave a file without its row.
        self._finishing = self._store._keep(self._finish(expected or Expected()))
        return await asyncio.shield(self._finishing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        if self._finishing is None:
            await asyncio.shield(self._store._keep(self._discard()))
        else:
            # Whoever awaited `finish` was told of its error; here only its end is waited for.
            await asyncio.wait([self._finishing])

    async def _flush(self) -> None:
        await self._written()
        if self._pieces:
            pieces, self._pieces, self._gathered = self._pieces, [], 0
            self._writing = self._store._submit(self._staged.append, pieces)

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def _finish(self, expected: Expected) -> Stored:
        try:
            content = await self._store._submit(self._staged.seal)
            expected.check(content)
            return await self._store._publish(self._lease, self._slot, self._staged, content)
        finally:
            await self._discard()

    async def _discard(self) -> None:
        """Staged file first, lease after: a file without a lease would be debris, a lease without a file is nothing."""
        with suppress(Exception):  # the worker's error was raised to whoever wrote; here only its end matters
            await self._written()
        await self._store._submit(self._staged.discard)
        await self._store.catalogue.abandon(self._lease)
        self._store._active.discard(self._lease.id)


class OpenBlob:
    """A blob open for reading. An asynchronous context manager."""

    def __init__(self, store: "BlobStore", stored: Stored, reader: Reader) -> None:
        self._store = store
        self._reader = reader
        self.stored = stored

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.stored.size

    def fileno(self) -> int | None:
        """A descriptor fit for sendfile at any offset, or None."""
        return self._reader.fileno()

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; fewer only at the end of the blob. Keep `length` at a few MiB."""
        data = await self._store._submit(self._reader.read, offset, length)
        if len(data) < min(length, self.size - offset):
            raise ContentMismatch("the stored bytes end too early")
        return data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._reader.close()


class BlobStore:
    """Blobs of many namespaces in one backend, known to one catalogue. Make one with `open`."""

    def __init__(self, backend: Backend, catalogue: Catalogue, staging: Staging) -> None:
        self.backend = backend
        self.catalogue = catalogue
        self.staging = staging
        self._pool = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="blob-io")
        self._active: set[str] = set()
        self._background: set[asyncio.Task[object]] = set()
        self._renewal: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, directory: Path) -> Self:
        """Open, or make, a store on the filesystem with its catalogue in SQLite.

        Raises `WrongStore` when the directory's blobs belong to another catalogue.
        """
        catalogue = await SqliteCatalogue.open(directory / "catalogue.db")
        backend = FilesystemBackend(directory / "blobs")
        staging = await asyncio.to_thread(Staging.open, directory / "staging")
        store = cls(backend, catalogue, staging)
        await _check_store_id(directory / "store-id", await catalogue.store_id())
        return store

    async def receive(self, namespace: str, slot: Slot) -> Upload:
        """Begin an upload: commit its lease, make its staging file."""
        lease = Lease(
            id=secrets.token_hex(16),
            namespace=namespace,
            holder=slot.holder,
            scope=slot.scope,
            process=self.staging.process,
            expires_at=time.time() + LEASE_SECONDS,
        )
        self._active.add(lease.id)
        self._start_renewal()
        try:
            await self.catalogue.lease(lease)
            staged = await self._submit(self.staging.create, lease.id)
        except BaseException:
            self._active.discard(lease.id)
            await asyncio.shield(self._keep(self.catalogue.abandon(lease)))
            raise
        return Upload(self, lease, slot, staged)

    async def put(
        self, namespace: str, slot: Slot, chunks: AsyncIterable[bytes], expected: Expected | None = None
    ) -> Stored:
        """Receive all the chunks and publish them; see `Upload.finish`."""
        async with await self.receive(namespace, slot) as upload:
            async for chunk in chunks:
                await upload.write(chunk)
            return await upload.finish(expected)

    async def open_blob(self, namespace: str, digest: Digest) -> OpenBlob:
        """Open the live generation. Raises `BlobNotFound`."""
        stored = await self.catalogue.find(namespace, digest)
        if stored is None:
            raise BlobNotFound(str(digest))
        return await self.open_stored(stored)

    async def open_stored(self, stored: Stored) -> OpenBlob:
        """Open this generation, whatever its state. Raises `BlobNotFound` when its bytes are not there."""
        return OpenBlob(self, stored, await self._submit(self.backend.open, stored.name))

    async def close(self) -> None:
        """Wait for what is being published, then let go of everything. Harmless when called twice."""
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        while self._background:
            await asyncio.wait(self._background)
        await self.catalogue.close()
        await asyncio.to_thread(self.staging.close)
        self._pool.shutdown(wait=True)

    # -- for uploads and readers -----------------------------------------------------------------------------------

    def _submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, lambda: call(*args, **kwargs))

    async def _publish(self, lease: Lease, slot: Slot, staged: StagedFile, content: Content) -> Stored:
        claim = Claim(slot.holder, slot.scope, slot.slot, slot.media_type, time.time() + CLAIM_SECONDS)
        event = None if slot.event is None else slot.event(content)
        stored = await self.catalogue.adopt(lease, content, claim, event)
        if stored is not None:
            return stored
        name = ObjectName(lease.namespace, content.digest, lease.id)
        try:
            await self._submit(self.backend.publish, name, staged.path)
        except FileNotFoundError:
            raise LeaseLost("the upload was fenced off while it was published") from None
        try:
            stored = await self.catalogue.publish(lease, claim, time.time(), event)
        except LeaseLost:
            await self._submit(self.backend.remove, [name])
            raise
        if stored.name != name:  # another upload of the same bytes was first; ours is condemned
            await self._submit(self.backend.remove, [name])
            await self.catalogue.buried([name], time.time())
        return stored

    def _keep(self, work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
        """Run to the end even when the caller goes away; `close` waits for it."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _start_renewal(self) -> None:
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if self._active:
                # An upload whose renewal fails is fenced off in time; the next round may still save it.
                with suppress(BlobError):
                    await self.catalogue.renew(self.staging.process, time.time() + LEASE_SECONDS)


async def _check_store_id(path: Path, store_id: str) -> None:
    """The data directory and the catalogue must carry the same id (the first opening writes it)."""

    def check() -> None:
        with file_lock(path.with_name(path.name + ".lock")):
            if not path.exists():
                write_durably(path, store_id.encode())
            elif path.read_text() != store_id:
                raise WrongStore("the blobs in this directory belong to another catalogue; restore the right one")

    await asyncio.to_thread(check)
