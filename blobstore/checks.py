"""Checks of a blob store: the backend's objects against the catalogue's generations, and (deep) the bytes themselves.

What uploads, claims and collections leave behind is checked in `blobstore.remains`. Neither knows a record: whether
anything links a blob is asked of whoever keeps links.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from functools import partial
from itertools import islice

from blobstore.backend import ForeignObject, ObjectName
from blobstore.catalogue import Catalogue, Standing, State
from blobstore.digest import Digest
from blobstore.errors import BlobNotFound, ContentMismatch, StorageUnavailable
from blobstore.findings import BATCH, Finding, Severity, Suspicion, certain
from blobstore.gc import Links
from blobstore.scrub import FUSE, Pace, rehash
from blobstore.store import BlobStore

IGNORED = frozenset({"lost+found"})
"""What a file system makes by itself at its root, where the blobs' folder is a mount of its own."""

Judge = Callable[[Standing], Awaitable[Finding | None]]

_FIRST = Digest("0" * 64)


async def survey(catalogue: Catalogue, namespace: str | None = None) -> AsyncIterator[list[Standing]]:
    """Every generation, or those of one namespace, in the order of names and in pieces."""
    after = None if namespace is None else ObjectName(namespace, _FIRST, "")
    while page := await catalogue.survey(after, BATCH):
        mine = [each for each in page if namespace in (None, each.stored.name.namespace)]
        if mine:
            yield mine
        if len(mine) < len(page):
            return
        after = page[-1].stored.name


async def standings_of(catalogue: Catalogue, namespace: str, digest: Digest) -> list[Standing]:
    """The generations of one blob in any state, in the order of their names."""
    page = await catalogue.survey(ObjectName(namespace, digest, ""), BATCH)
    return [each for each in page if (each.stored.name.namespace, each.stored.name.digest) == (namespace, digest)]


async def volumes(catalogue: Catalogue, subject: str) -> AsyncIterator[Suspicion]:
    """What counts against quotas: is it what there is? `subject` is what findings call the catalogue."""

    async def judge() -> Finding | None:
        wrong = await catalogue.recount(repair=False)
        if not wrong:
            return None
        named = ", ".join(sorted({each.namespace for each in wrong})[:10])
        message = f"what counts against quotas is not what is stored and reserved, for {named}"
        mend = partial(catalogue.recount, repair=True)
        return Finding("wrong_volume", Severity.ERROR, subject, message, "count it anew", mend)

    if await judge() is not None:
        yield judge


class BlobChecks:
    """Checks of one store.

    `namespaces` asks the layer above for those that exist; `catalogue` is what findings call the catalogue.
    """

    def __init__(
        self, store: BlobStore, links: Links, namespaces: Callable[[], Awaitable[Collection[str]]], catalogue: str
    ) -> None:
        self._store = store
        self._backend = store.backend
        self._catalogue = store.catalogue
        self._subject = catalogue
        self._links = links
        self._namespaces = namespaces
        self._known: Collection[str] = ()
        self._strangers: set[str] = set()
        self._there = 0
        self._missing = 0

    async def files(self) -> AsyncIterator[Suspicion]:
        """The catalogue's own files."""
        for line in await self._catalogue.check():
            message = f"the catalogue is damaged ({line}); restore it from a backup"
            yield certain(Finding("damaged_file", Severity.ERROR, self._subject, message))

    async def generations(self) -> AsyncIterator[Suspicion]:
        """Every generation: is its object there, may it be served, and is it known whether somebody uses it?"""
        async for page in survey(self._catalogue):
            for namespace in await self._new_strangers({each.stored.name.namespace for each in page}):
                yield partial(self._judge_namespace, namespace)
            mine = [each for each in page if each.stored.name.namespace in self._known]
            for standing, size in zip(mine, await self._sizes(mine), strict=True):
                self._there += size is not None
                self._missing += size is None
                if await self._judge(standing, size) is not None:
                    yield partial(self._again, standing.stored.name, self._measure_and_judge)

    async def contents(self, pace: Pace) -> AsyncIterator[Suspicion]:
        """The bytes of every live generation, after `generations`, which names those whose length is wrong already."""
        async for page in survey(self._catalogue):
            for standing in page:
                known = standing.stored.name.namespace in self._known
                if known and await self._judge_bytes(standing, pace) is not None:
                    yield partial(self._again, standing.stored.name, self._judge_all)

    async def objects(self) -> AsyncIterator[Suspicion]:
        """Everything in the backend's space that no generation and no lease explains."""
        listing = self._backend.list()
        while batch := await self._store.ask(lambda: list(islice(listing, BATCH))):
            names = [entry[0] for entry in batch if isinstance(entry, tuple)]
            for namespace in await self._new_strangers({name.namespace for name in names}):
                yield partial(self._judge_namespace, namespace)
            for name in await self._without_row([name for name in names if name.namespace in self._known]):
                yield partial(self._unexplained, name)
            for entry in batch:
                if isinstance(entry, ForeignObject) and entry.where not in IGNORED:
                    yield certain(_foreign(entry))

    async def _new_strangers(self, namespaces: set[str]) -> set[str]:
        """Those that do not exist and were not named before."""
        if not namespaces.issubset(self._known):
            self._known = set(await self._namespaces())
        strangers = namespaces.difference(self._known, self._strangers)
        self._strangers |= strangers
        return strangers

    async def _judge_namespace(self, namespace: str) -> Finding | None:
        if namespace in await self._namespaces():
            return None
        message = "blobs of an owner that is not known here; nobody can read or erase them: restore the central store"
        return Finding("unknown_namespace", Severity.ERROR, f"blobs/{namespace}", message)

    # -- one generation --------------------------------------------------------------------------------------------

    async def _again(self, name: ObjectName, judge: Judge) -> Finding | None:
        """Judge the generation as it is now; None when it changes meanwhile: somebody is at it."""
        standing = await self._standing(name)
        finding = None if standing is None else await judge(standing)
        after = await self._standing(name)
        moved = standing is None or after is None or after.stored != standing.stored
        return None if moved else finding

    async def _standing(self, name: ObjectName) -> Standing | None:
        standings = await standings_of(self._catalogue, name.namespace, name.digest)
        return next((each for each in standings if each.stored.name == name), None)

    async def _sizes(self, page: Sequence[Standing]) -> list[int | None]:
        names = [each.stored.name for each in page]
        return await self._store.ask_each(lambda some: [self._backend.size(name) for name in some], names)

    async def _judge_all(self, standing: Standing) -> Finding | None:
        return await self._judge_bytes(standing, Pace()) or await self._measure_and_judge(standing)

    async def _measure_and_judge(self, standing: Standing) -> Finding | None:
        return await self._judge(standing, (await self._sizes([standing]))[0])

    async def _judge(self, standing: Standing, size: int | None) -> Finding | None:
        stored = standing.stored
        if stored.state is State.CONDEMNED and stored.kept_until is not None:
            return None  # a move left it behind, for those who read it
        if stored.state is State.CONDEMNED and size is None and (stored.late_until or 0.0) > time.time():
            return None  # it is gone, and its row stays for as long as it may come late
        if stored.state is State.CONDEMNED:
            message = "condemned, but not removed yet; a collection removes it"
            return _found("condemned_left", standing, message, Severity.DEBRIS)
        if stored.state is State.QUARANTINED:
            return await self._judge_mark(standing) or _quarantined(standing)
        if size is None:
            return self._bad(standing, "missing_file", "its bytes are not there")
        if size != stored.size:
            return self._bad(standing, "wrong_size", f"{size} bytes are there, {stored.size} were stored")
        return await self._judge_mark(standing)

    async def _judge_bytes(self, standing: Standing, pace: Pace) -> Finding | None:
        stored = standing.stored
        if stored.state is not State.LIVE:
            return None
        try:
            content = await rehash(self._store, stored, pace)
        except (BlobNotFound, ContentMismatch):
            return None
        except StorageUnavailable as error:
            return _found("unreadable", standing, f"its bytes cannot be read ({error}); try again, look at the disk")
        if content.digest != stored.name.digest:
            return self._bad(standing, "digest_mismatch", f"its bytes are those of {content.digest} now")
        if content.sha256 != stored.sha256:
            return self._bad(standing, "sha256_mismatch", "the catalogue has another SHA-256 than that of its bytes")
        return None

    async def _judge_mark(self, standing: Standing) -> Finding | None:
        used = bool(standing.holders or standing.claims)
        if used == (standing.orphaned_at is None):
            return None
        name = standing.stored.name
        mend = partial(self._catalogue.remark, name.namespace, [name.digest], time.time())
        if used:
            message = "counted as an orphan, but somebody holds or claims it"
            return _found("orphan_mark", standing, message, repair="take the mark away", mend=mend)
        if await self._links.linked(name.namespace, [name.digest]):
            return None  # a lost holder: named where links are checked, and mended by holding it again
        message = "nobody holds it, yet it is not counted as an orphan: no collection would find it"
        return _found("orphan_unmarked", standing, message, repair="count it as an orphan from now on", mend=mend)

    def _bad(self, standing: Standing, kind: str, message: str) -> Finding:
        """Bytes that must not be served. Quarantined, the blob takes the same bytes again; live, it would not."""
        repair = "quarantine it; uploading the same bytes again heals it"
        mend = partial(self._quarantine, standing.stored.name)
        return _found(kind, standing, message, repair=repair, mend=mend)

    async def _quarantine(self, name: ObjectName) -> None:
        if self._missing >= FUSE and not self._there:
            raise StorageUnavailable("no blob at all can be found: is the disk there? Nothing is quarantined")
        await self._catalogue.quarantine(name)

    # -- one object ------------------------------------------------------------------------------------------------

    async def _without_row(self, names: Sequence[ObjectName]) -> list[ObjectName]:
        known = await asyncio.gather(*(self._catalogue.generations(name.namespace, name.digest) for name in names))
        return [name for name, rows in zip(names, known, strict=True) if all(row.name != name for row in rows)]

    async def _unexplained(self, name: ObjectName) -> Finding | None:
        # Leases before generations before the object: an upload ends its lease with the row, a collection removes
        # the object before the row.
        leased = any(lease.id == name.generation for lease in await self._catalogue.leases())
        if leased or not await self._without_row([name]):
            return None
        if (size := await self._store.ask(self._backend.size, name)) is None:
            return None
        if any(gone.name == name for gone in await self._catalogue.gone(name.namespace, name.digest)):
            return self._late(name, size)
        message = (
            f"generation {name.generation} in {name.namespace}: {size} bytes that the catalogue does not know;"
            " it is never touched: restore the catalogue that knows it, or remove it by hand"
        )
        return Finding("unknown_file", Severity.ERROR, str(name.digest), message)

    def _late(self, name: ObjectName, size: int) -> Finding:
        """A generation never comes back, so nobody can need these bytes.

        An upload to S3 was fenced off and its process died: the bytes that it had sent arrived after their removal.
        """

        async def remove() -> None:
            await self._store.ask(self._backend.remove, [name])

        message = f"generation {name.generation} in {name.namespace}: {size} bytes that came after they were removed"
        return Finding("late_file", Severity.DEBRIS, str(name.digest), message, "remove them again", remove)


def _found(
    kind: str,
    standing: Standing,
    message: str,
    severity: Severity = Severity.ERROR,
    *,
    repair: str | None = None,
    mend: Callable[[], Awaitable[object]] | None = None,
) -> Finding:
    name = standing.stored.name
    where = f"generation {name.generation} in {name.namespace}: {message}"
    return Finding(kind, severity, str(name.digest), where, repair, mend)


def _quarantined(standing: Standing) -> Finding:
    if standing.holders or standing.claims:
        message = "its bytes are lost or damaged, and records need them; upload the same bytes again to heal it"
        return _found("quarantined", standing, message)
    message = "its bytes are lost or damaged, and nobody needs them; a collection removes it"
    return _found("quarantined", standing, message, Severity.DEBRIS)


def _foreign(entry: ForeignObject) -> Finding:
    message = "not a blob, and not made by this program; it is never touched: remove it by hand if it is not needed"
    return Finding("foreign_file", Severity.ERROR, f"blobs/{entry.where}", message)
