"""Moving all blobs to another place, while everybody goes on.

New bytes go to the new place first. Then each live blob elsewhere is copied through staging, hashed on the way, put
under a fresh generation, read back, and made live in place of what it was copied from. A crash leaves what a lease
names, and collection finds; to go on is to run it again. What is left behind is kept for a while for those who read it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from blobstore.backend import Backend, ForeignObject, ObjectName
from blobstore.backends.places import Places
from blobstore.backends.where import Where
from blobstore.catalogue import Lease, Stored
from blobstore.digest import Content
from blobstore.errors import BlobNotFound, ContentMismatch, LeaseLost, StorageUnavailable, WrongStore
from blobstore.place import Place
from blobstore.scrub import PIECE, Bad, Judge, Pace, Verdict, rehash
from blobstore.staged import StagedFile
from blobstore.store import BlobStore

AT_ONCE = 8
"""Blobs that are copied at the same time; so much disk do they need together as the largest of them."""

PAGE = 64
"""Blobs asked of the catalogue at a time."""

KEEP_SECONDS = 3600.0
"""So long what was left behind is kept: for downloads that began there, and addresses that were given out."""

STRAGGLERS_SECONDS = 30.0
"""So long uploads are waited for that began to put their bytes into the old place."""

IGNORED = frozenset({"lost+found"})

Told = Callable[[int], None]
"""Hears of bytes that were copied."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a migration did; sizes in bytes.

    `gone` went, or were moved by another, meanwhile. `bad` could not be copied: their bytes are not what was stored.
    `left` live blobs and uploads are in other places still.
    """

    blobs: int
    bytes: int
    gone: int
    bad: Sequence[Bad]
    left: int


def try_place(where: Where, directory: Path, store_id: str, places: Sequence[Place]) -> Backend:
    """Open the place and look whether blobs may be moved there; blocks, and leaves nothing there.

    `places` are those that the store has used already. Raises `WrongStore` where it has the bytes of another store, or
    foreign ones, or lies within one of those or around it, `StorageUnavailable` where it is not fit for blobs. The
    caller closes it.
    """
    known = any(place.location == where.location for place in places)
    if not known:
        for place in places:
            _require_apart(where.location, place.location)
    backend = where.open(directory)
    try:
        owner = backend.bound()
        if owner not in (None, store_id):
            raise WrongStore(f"{where.location} has the blobs of another store; name a place that is empty")
        if known:
            return backend
        for entry in backend.list():
            if not (isinstance(entry, ForeignObject) and entry.where in IGNORED):
                found = entry.where if isinstance(entry, ForeignObject) else str(entry[0].digest)
                raise WrongStore(f"{where.location} is not empty ({found} is there); name a place that is")
    except BaseException:
        backend.close()
        raise
    return backend


async def take_in(store: BlobStore, directory: Path, where: Where) -> Place:
    """From here on new bytes go there, whichever process receives them. Raises as `try_place`."""
    catalogue = store.catalogue
    store_id, places = await catalogue.store_id(), await catalogue.places()

    def bind() -> None:
        backend = try_place(where, directory, store_id, places)
        try:
            if backend.bind(store_id) != store_id:
                raise WrongStore(f"{where.location} has the blobs of another store")
        finally:
            backend.close()

    await asyncio.to_thread(bind)
    place = await catalogue.take_in(where.location, where.options, time.time())
    if isinstance(store.backend, Places):
        store.backend.learn(await catalogue.places())
    return place


def _require_apart(one: str, other: str) -> None:
    """Of places one inside the other each would take the other's objects for foreign ones, or for its own."""
    first, second = one + "/", other + "/"
    if first.startswith(second) or second.startswith(first):
        raise WrongStore(f"{one} and {other}, where blobs of this store are, lie one inside the other; name another")


class _Outcome(Enum):
    MOVED = auto()
    GONE = auto()
    BAD = auto()


class Migration:
    """Moves all blobs to `place`, which is the intake, at most `rate` bytes per second. Run it once."""

    def __init__(
        self, store: BlobStore, place: Place, *, rate: float, keep: float = KEEP_SECONDS, told: Told = lambda _: None
    ) -> None:
        self._store = store
        self._catalogue = store.catalogue
        self._place = place
        self._pace = Pace(rate)
        self._keep = keep
        self._told = told
        self._judge = Judge(store)
        self._judging = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._ending = False
        self._blobs = self._bytes = self._gone = 0

    async def run(self) -> Moved:
        """Move what there is, and what comes to other places meanwhile.

        Raises `StorageUnavailable`, `OutOfSpace`; what was moved stays so.
        """
        try:
            left = await self._until_nothing_is_left()
            await self._judge.settle()
        finally:
            self._ending = True  # whatever is under way ends at its next piece
        return Moved(self._blobs, self._bytes, self._gone, self._judge.bad, left)

    async def _until_nothing_is_left(self) -> int:
        deadline = None
        while True:
            # Uploads before blobs: what was one and is the other by then is seen as a blob.
            uploads = await self._uploads_elsewhere()
            blobs = await self._pass()
            if not uploads and not blobs:
                return len(self._judge.undecided)
            if not blobs:
                deadline = deadline or time.monotonic() + STRAGGLERS_SECONDS
                if time.monotonic() > deadline:
                    return uploads + len(self._judge.undecided)
                await asyncio.sleep(0.2)

    async def _uploads_elsewhere(self) -> int:
        leases = await self._catalogue.leases()
        noted = [each for each in leases if each.content and each.copies is None and each.place != self._place.id]
        dead = await asyncio.to_thread(self._store.staging.dead, {each.process for each in noted})
        return sum(each.process not in dead for each in noted)

    async def _pass(self) -> int:
        """Go through all blobs once; how many were worth trying."""
        tried, after = 0, None
        while page := await self._catalogue.elsewhere(self._place.id, after, PAGE):
            await self._require_intake()
            after = page[-1].name
            undecided = self._judge.undecided
            wanted = [each for each in page if each.name not in undecided]
            tried += len(wanted)
            outcomes = await asyncio.gather(*map(self._in_turn, wanted), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
        return tried

    async def _require_intake(self) -> None:
        """Two who move to different places would go on for ever."""
        if not any(place.id == self._place.id and place.intake for place in await self._catalogue.places()):
            raise StorageUnavailable("somebody moves the blobs to yet another place; this migration ends here")

    async def _in_turn(self, stored: Stored) -> None:
        async with self._slots:
            # Shielded and kept: a copy that nobody waits for any more ends its lease all the same.
            outcome = await asyncio.shield(self._store.keep(self._move(stored)))
        if outcome is _Outcome.MOVED:
            self._blobs += 1
            self._bytes += stored.size
        self._gone += outcome is _Outcome.GONE

    async def _move(self, stored: Stored) -> _Outcome:
        lease = self._store.leases.new(stored.name.namespace)
        name = await self._catalogue.copy(lease, stored.name)
        if name is None:
            return _Outcome.GONE
        staged: StagedFile | None = None
        try:
            if name.place == self._place.id:
                staged = await self._store.submit(self._store.staging.create, lease.id)
                return await self._move_through(staged, lease, stored, name)
            return _Outcome.GONE
        except LeaseLost:
            await self._give_up(name, late=self._store.leases.late_until(lease) is not None)
            return _Outcome.GONE
        finally:
            if staged is not None:
                await self._store.submit(staged.discard)
            await self._store.end(lease)

    async def _move_through(self, staged: StagedFile, lease: Lease, stored: Stored, name: ObjectName) -> _Outcome:
        verdict = await self._fill(staged, stored)
        async with self._judging:
            await self._judge.hear(stored, verdict)
        if verdict is not Verdict.GOOD:
            return _Outcome.BAD
        late_until = await self._store.put_in_place(lease, name, staged)
        await self._read_back(lease, stored, name)
        now = time.time()
        if not await self._catalogue.moved(lease, now, now + self._keep, late_until):
            await self._give_up(name, late=late_until is not None)
            return _Outcome.GONE
        return _Outcome.MOVED

    async def _fill(self, staged: StagedFile, stored: Stored) -> Verdict:
        """Stage the bytes; what they are when they are read."""
        try:
            async with await self._store.open_stored(stored) as blob:
                offset = 0
                while offset < stored.size:
                    if self._ending:
                        raise LeaseLost("the migration has ended")
                    piece = await blob.read(offset, PIECE)
                    offset += len(piece)
                    try:
                        await self._store.submit(staged.append, [piece])
                    except StorageUnavailable as error:
                        raise _StagingError(str(error)) from error
                    self._told(len(piece))
                    await self._pace.spend(len(piece))
        except BlobNotFound:
            live = await self._catalogue.find(stored.name.namespace, stored.name.digest)
            if live is None or live.name != stored.name:
                raise LeaseLost("the blob went meanwhile") from None
            return Verdict.MISSING
        except ContentMismatch:
            return Verdict.MISMATCH
        except _StagingError:
            raise
        except StorageUnavailable:
            return Verdict.UNREADABLE
        content = staged.content()
        return Verdict.GOOD if content == _content(stored) else Verdict.MISMATCH

    async def _read_back(self, lease: Lease, stored: Stored, name: ObjectName) -> None:
        copy = Stored(name, stored.sha256, stored.size, stored.state, 0.0)
        try:
            content = await rehash(self._store, copy, Pace())
        except (BlobNotFound, ContentMismatch):
            content = None
        if content != _content(stored):
            if not await self._catalogue.leases([lease.id]):
                raise LeaseLost("the blob was erased while its copy was read back")
            raise StorageUnavailable(f"{self._place.location} does not give back the bytes that were put there")

    async def _give_up(self, name: ObjectName, *, late: bool) -> None:
        """The blob went, or was moved by another, while it was copied: nothing of the copy stays.

        Where it may come late, the collector looks for it again.
        """
        await self._store.ask(self._store.backend.remove, [name])
        if not late:
            await self._catalogue.buried([name], time.time())


class _StagingError(StorageUnavailable):
    """The staging folder, and not what is copied, cannot be used."""


def _content(stored: Stored) -> Content:
    return Content(stored.name.digest, stored.sha256, stored.size)
