"""Resumable uploads that are parts: put together into one blob, and found again by whoever asks for the same."""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing

from blobstore.catalogue import Lease, Stored
from blobstore.errors import UploadNotFound, translated
from blobstore.reservation import Count, nothing_beside
from blobstore.resumable.folder import Done, place
from blobstore.resumable.progress import Progress
from blobstore.resumable.resumed import ResumedUpload
from blobstore.resumable.uploads import Resumables
from blobstore.threads import to_the_end
from blobstore.upload import Expected, Slot, Upload


async def join(
    uploads: Resumables,
    namespace: str,
    slot: Slot,
    parts: Sequence[str],
    count: Count = nothing_beside,
    leased: Callable[[], Awaitable[None]] | None = None,
    expected: Expected | None = None,
) -> Progress:
    """Store the bytes of parts that are whole, one after the other; they are no parts of anything else then.

    Whoever asks for the same again, because the answer was lost, is answered the same. `leased` is called once there is
    a lease; where it raises nothing is stored. Raises `UploadNotFound` where one is none, `UploadBusy`, `OutOfSpace`,
    `StorageUnavailable`, `LeaseLost`, `ContentMismatch` where they are not what was `expected`.
    """
    try:
        if (joined := await _joined(uploads, namespace, slot, parts)) is None:
            return await _join(uploads, namespace, slot, parts, count, leased, expected)
    except UploadNotFound:
        # Whoever asked for the same before may have come to the end of it only now.
        if (joined := await _joined(uploads, namespace, slot, parts)) is None:
            raise
    if expected is not None and joined.done is not None:
        expected.check(joined.done.content)
    return joined


async def _join(
    uploads: Resumables,
    namespace: str,
    slot: Slot,
    parts: Sequence[str],
    count: Count,
    leased: Callable[[], Awaitable[None]] | None,
    expected: Expected | None,
) -> Progress:
    async with AsyncExitStack() as holding:
        held: dict[str, ResumedUpload] = {}
        for id in sorted(parts):  # in whatever order others name them: nobody waits for who waits for him
            part = held[id] = await holding.enter_async_context(await uploads.resume(namespace, id))
            if not part.about.partial or part.offset != part.about.length:
                raise UploadNotFound(f"{id} is not a part, or not whole")
        files = [held[id] for id in parts]
        size = sum(each.offset for each in files)
        await uploads.store.disk.require_room(size)
        covered = all(each.lease.holder == slot.holder for each in files)  # else its own limit has a say
        known = None if covered else size
        async with await uploads.store.receive(namespace, slot, known, count, covered=covered) as upload:
            if leased is not None:
                await leased()
            for each in files:
                await _copy(uploads, each, upload)
            stored = await upload.finish(expected)
        done = await _note(uploads, upload.lease, stored, tuple(parts))
        for part in files:
            await part.was_joined(done, upload.lease.id)
    return Progress(upload.lease.id, stored.size, stored.size, done=done)


async def _copy(uploads: Resumables, part: ResumedUpload, into: Upload) -> None:
    """All bytes of a part, in its order."""
    submit, path = uploads.store.submit, uploads.folder(part.id).path
    try:
        with translated("staging", FileNotFoundError):
            file = await to_the_end(submit(path.open, "rb", buffering=0))
            with closing(file):
                while count := await to_the_end(submit(file.readinto, into.room())):
                    await into.came(count)
    except FileNotFoundError:  # its time was over
        raise UploadNotFound(part.id) from None


async def _joined(uploads: Resumables, namespace: str, slot: Slot, parts: Sequence[str]) -> Progress | None:
    """What was made of just these parts, for this slot, before."""
    first = await uploads.store.submit(uploads.folder(parts[0]).done)
    if first is None or first[0].whole is None:
        return None
    joined = await uploads.find(namespace, first[0].whole)
    wanted = tuple(parts), place(joined.id, slot.holder, slot.slot)
    return joined if joined.done is not None and (joined.done.parts, joined.done.place) == wanted else None


async def _note(uploads: Resumables, lease: Lease, stored: Stored, parts: tuple[str, ...]) -> Done:
    store = uploads.store
    whose = (lease.namespace, stored.name.digest, stored.sha256.hex(), stored.size)
    done = Done(*whose, place(lease.id, lease.holder, lease.slot), parts)

    def note() -> None:
        folder = uploads.folder(lease.id)
        lock = store.staging.keep(store.staging.process_of(lease.id))
        try:
            folder.ending(done)
            folder.ended()
        finally:
            os.close(lock)

    await store.submit(note)
    return done
