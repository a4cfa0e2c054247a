"""What must hold on a disk after a power cut, run as a command on each crash state.

Each line of CRASH_MARKS is `kept <digest>` or `gone <digest>`, the last one for a digest counts.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

from blobstore.backend import ObjectName
from blobstore.backends.filesystem import FilesystemBackend
from blobstore.digest import Digest, Hasher
from blobstore.resumable import Resumables
from blobstore.store import BlobStore
from tests.fakes.stores import OWNER, SLOT, content_of, read_all

SENT = random.Random(1).randbytes(200_000)
"""What resumable uploads bring."""


def marked() -> tuple[set[str], set[str]]:
    """Digests that were acknowledged as stored, and as removed."""
    last = {}
    for line in Path(os.environ["CRASH_MARKS"]).read_text().splitlines():
        what, digest = line.split()
        last[digest] = what
    return {each for each in last if last[each] == "kept"}, {each for each in last if last[each] == "gone"}


def backend_holds(root: Path) -> None:
    """Published is there with all its bytes, removed is not, and no name has other bytes than its own."""
    kept, gone = marked()
    if not root.exists():
        assert not kept, "the root is gone"
        return
    backend = FilesystemBackend(root)
    there = set()
    for entry in backend.list():
        assert isinstance(entry, tuple), f"foreign: {entry}"
        assert hashed(backend, entry[0]) == entry[0].digest, "a name with other bytes"
        there.add(entry[0].digest.hex)
    assert kept <= there, f"lost: {kept - there}"
    assert not gone & there, f"back again: {gone & there}"


def hashed(backend: FilesystemBackend, name: ObjectName) -> Digest:
    reader = backend.open(name)
    hasher = Hasher()
    while piece := reader.read(hasher.size, 1 << 20):
        hasher.update(piece)
    reader.close()
    return hasher.finish().digest


async def store_holds(directory: Path) -> None:
    """What was acknowledged is served, what was removed is in no file, what is served matches."""
    kept, gone = marked()
    store = await BlobStore.open(directory)
    for digest in kept:
        data = await read_all(store, Digest(digest))
        assert content_of(data).digest.hex == digest, "other bytes"
    for stored in await store.catalogue.walk(None, 10_000):
        if await store.catalogue.find(OWNER, stored.name.digest) == stored:
            assert store.backend.size(stored.name) == stored.size, "a live blob without its bytes"
    there = {entry[0].digest.hex for entry in store.backend.list() if isinstance(entry, tuple)}
    assert not gone & there, f"back again: {gone & there}"
    known = {each.name.digest.hex for each in await store.catalogue.walk(None, 10_000)}
    dead = set(store.staging.dead())
    assert {lease.process for lease in await store.catalogue.leases()} <= dead, "a lease that does not look over"
    leased = {lease.content.digest.hex for lease in await store.catalogue.leases() if lease.content}
    assert there <= known | leased, "a file that nothing explains"
    await store.close()


async def uploads_hold(directory: Path) -> None:
    """A resumable upload has come as far as was acknowledged, with the bytes that were sent, and can be gone on with.

    Marks are `<bytes that had come> <id>`.
    """
    marks = [line.split() for line in Path(os.environ["CRASH_MARKS"]).read_text().splitlines()]
    acknowledged = {id: int(offset) for offset, id in marks}
    store = await BlobStore.open(directory)
    uploads = Resumables(store, lambda lease, about: SLOT)
    for process in store.staging.dead():
        store.staging.bury(process)
    for id, offset in acknowledged.items():
        progress = await uploads.find(OWNER, id)
        assert progress.offset >= offset, f"{id} has come to {progress.offset}, acknowledged was {offset}"
        if progress.about is not None:
            assert store.staging.path(store.staging.process_of(id), id).read_bytes()[:offset] == SENT[:offset]
            async with await uploads.resume(OWNER, id) as upload:
                await upload.write(SENT[upload.offset :])
                assert (await upload.finish()).name.digest == content_of(SENT).digest
        elif progress.done is not None:
            assert progress.done.digest == content_of(SENT).digest
    if acknowledged:
        assert await read_all(store, content_of(SENT).digest) == SENT
    assert await store.catalogue.leases(acknowledged) == []
    await store.close()


if __name__ == "__main__":
    place = Path(os.environ["CRASH_DIR"]) / "data"
    if sys.argv[1] == "backend":
        backend_holds(place)
    elif sys.argv[1] == "uploads":
        asyncio.run(uploads_hold(place))
    else:
        asyncio.run(store_holds(place))
