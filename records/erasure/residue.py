"""The residue scan: after an erasure no file of the service shows any of it (I8), or the receipt says which one does.

Before anything goes, samples are taken and kept with the erasure, sealed under a key of one use, so that they survive
a crash and are no residue themselves; key and samples are overwritten when the scan is over. When all is gone every
file under the data directory is searched for them: databases, their logs, staging, what is quarantined and whatever
else lies there. Stored blobs are judged by name: what such a file holds is what the digest in its name says, so a blob
that went has left nothing where no file has its name. A store of S3 is asked for older versions and unfinished uploads
of that name, too; what is foreign or quarantined there is not read.

A sample that a living row shows as well is somebody else's too, and proves nothing: it is counted as shared. So are
windows of a blob that stays because others hold it, and what an upload that is under way brings anew.
"""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from blobstore.backend import ForeignObject, ObjectName
from blobstore.catalogue import State
from blobstore.digest import Digest
from blobstore.searching import search
from blobstore.store import BlobStore
from blobstore.tracing import Found, Search
from records.central import Central, Owner
from records.engine import Engines
from records.erasure.report import Place, Residue
from records.erasure.sampling import Going, Sample, Sampler
from records.layout import BLOBS, owner_of, storage_class

SILENT = ("spine", "outbox", "noted", "delivered", "checkpoints", "erasures", "gone")
"""Tables that must never show what an owner stored, so that their rows excuse nothing."""

_NONCE = bytes(12)  # each key seals one text
_PAGE = 500


class Tables(Protocol):
    """What is not in files of the directory, but in tables of a database server; a table is told of as a file."""

    async def search(self, samples: Sequence[bytes], owner: str | None) -> Found:
        """Where the samples are shown (living or not); in rows of one owner alone where one is named."""
        ...

    async def living(self, samples: Sequence[bytes]) -> set[int]:
        """The numbers of those that rows show which are there to stay."""
        ...


@dataclass(frozen=True, slots=True)
class _Scope:
    """How far a scan goes, and why the erasure's blobs were removed."""

    whole: bool
    reason: str


class Residues:
    """Takes samples before an erasure, and looks for them after it."""

    def __init__(
        self, directory: Path, tables: Tables | None, blobs: BlobStore, central: Central, engines: Engines
    ) -> None:
        """`tables`: where all databases are files of the directory, there are none."""
        self._directory = directory
        self._tables = tables
        self._blobs = blobs
        self._central = central
        self._engines = engines

    async def take(self, owner: Owner, going: Sequence[Going], texts: Iterable[bytes] = ()) -> Sequence[Sample]:
        """Samples of what an erasure is about to take, and of `texts`: what is gone cannot be sampled."""
        engine = await self._engines.of(owner.id)
        sampler = Sampler(owner.id, engine, self._blobs, self._central, secrets.token_bytes(32))
        return await sampler.take(going, texts)

    async def keep(self, erasure: str, samples: Sequence[Sample]) -> None:
        """Keep them sealed with the erasure; durable when this returns. Where some are kept, those stay."""
        key = ChaCha20Poly1305.generate_key()
        text = msgspec.msgpack.encode(samples)
        await self._central.keep_samples(erasure, key, ChaCha20Poly1305(key).encrypt(_NONCE, text, erasure.encode()))

    async def are_kept(self, erasure: str) -> bool:
        """Whether samples are kept with the erasure, if only none of nothing."""
        return await self._central.samples(erasure) is not None

    async def scan(
        self, owner: Owner, erasure: str, *, whole: bool, reason: str, again: Callable[[], Awaitable[object]]
    ) -> Residue:
        """Search every file. `reason` is why the erasure's blobs were removed.

        `whole`: also other owners' databases, what is quarantined, and what is foreign among the stored blobs: work
        that grows with the store, and that one record is not worth. Where there is residue `again` is awaited and all
        searched once more before it is reported: what others wrote and took back meanwhile is not ours.
        """
        samples, scope = await self._samples(erasure), _Scope(whole, reason)
        looked = await self._look(owner, samples, scope)
        if looked.result == "residue":
            await again()
            looked = await self._look(owner, samples, scope)
        return looked

    async def forget(self, erasure: str) -> None:
        """The samples and their key go; unreadable after the central store's next `sanitize`."""
        await self._central.drop_samples(erasure)

    async def _samples(self, erasure: str) -> list[Sample]:
        kept = await self._central.samples(erasure)
        if kept is None:
            return []
        key, sealed = kept
        text = ChaCha20Poly1305(key).decrypt(_NONCE, sealed, erasure.encode())
        return msgspec.msgpack.decode(text, type=list[Sample])

    async def _look(self, owner: Owner, samples: Sequence[Sample], scope: _Scope) -> Residue:
        stays = {blob: await self._stays(owner, blob) for blob in sorted({each.blob for each in samples if each.blob})}
        sought = [each.text for each in samples if not stays.get(each.blob or "")]
        kinds = await self._paths(owner, scope) if sought else {}
        found = await self._search(sought, kinds, None if scope.whole else owner.id)
        named, kept = await self._removed(owner, scope.reason)
        places = [*await self._left(found, kinds), *(Place("blobs", _path(name), 0) for name in kept)]
        sound: Literal["clean", "nothing_sought"] = "clean" if sought or named else "nothing_sought"
        return Residue(
            result="residue" if places else "incomplete" if found.unread else sound,
            samples=len(samples),
            shared=len(samples) - len(sought) + len(found.living),
            files=found.files,
            bytes=found.bytes,
            named=named,
            classes=dict(Counter(kinds.values())),
            found=dict(Counter(place.kind for place in places)),
            unread=len(found.unread),
            places=places,
        )

    async def _paths(self, owner: Owner, scope: _Scope) -> dict[str, str]:
        """What is to be searched, each with the class of its storage."""
        found = await asyncio.to_thread(lambda: dict(_files(self._directory, owner.id, whole=scope.whole)))
        if scope.whole:
            found |= {path: "quarantine" async for path in self._quarantined(owner) if self._is_file(path)}
            found |= {path: "other" for path in await self._blobs.ask(self._foreign) if self._is_file(path)}
        return found

    async def _search(self, sought: Sequence[bytes], kinds: dict[str, str], owner: str | None) -> Found:
        """Files, and the tables of this owner (None: all tables), which are added to `kinds`."""
        if not sought:
            return Found(0, 0, [], [], [])
        databases = [path for path, kind in kinds.items() if kind == "databases"]
        files = await search(Search(str(self._directory), sought, list(kinds), databases, SILENT))
        if self._tables is None:
            return files
        rows = await self._tables.search(sought, owner)
        kinds |= dict.fromkeys((hit.path for hit in rows.hits), "databases")
        hits = [*files.hits, *rows.hits]
        suspected = sorted({hit.sample for hit in hits})
        living = await self._tables.living([sought[number] for number in suspected]) if suspected else ()
        stays = sorted({*files.living, *(suspected[number] for number in living)})
        return Found(files.files + rows.files, files.bytes + rows.bytes, hits, stays, files.unread)

    async def _stays(self, owner: Owner, blob: str) -> bool:
        rows = await self._blobs.catalogue.generations(owner.id, Digest(blob))
        return any(row.state is not State.CONDEMNED for row in rows)

    async def _left(self, found: Found, kinds: Mapping[str, str]) -> list[Place]:
        """The places of what was found, but for uploads that are under way: these bring it anew."""
        residue = found.residue
        if any(kinds[hit.path] == "staging" for hit in residue):
            leases = {lease.id for lease in await self._blobs.catalogue.leases()}
            residue = [hit for hit in residue if kinds[hit.path] != "staging" or Path(hit.path).stem not in leases]
        return [Place(kinds[hit.path], hit.path, hit.offset) for hit in residue]

    async def _removed(self, owner: Owner, reason: str) -> tuple[int, list[ObjectName]]:
        """How many stored blobs were removed for this reason, and those whose names are there all the same."""
        count, kept, after = 0, list[ObjectName](), None
        while page := await self._blobs.catalogue.removed(owner.id, reason, after, _PAGE):
            names = [gone.name for gone in page]
            kept += await self._blobs.left(names)
            count, after = count + len(names), names[-1]
        return count, kept

    async def _quarantined(self, owner: Owner) -> AsyncIterator[str]:
        """Files that hold something else than their names say."""
        after = ObjectName(owner.id, Digest("0" * 64), "")
        while page := await self._blobs.catalogue.walk(after, _PAGE):
            for stored in page:
                if stored.name.namespace != owner.id:
                    return
                if stored.state is State.QUARANTINED:
                    yield _path(stored.name)
            after = page[-1].name

    def _is_file(self, path: str) -> bool:
        """Not so where the bytes are in S3, which is asked for names alone."""
        return (self._directory / path).exists()

    def _foreign(self) -> list[str]:
        """What lies among the stored blobs and is none."""
        return [f"blobs/{entry.where}" for entry in self._blobs.backend.list() if isinstance(entry, ForeignObject)]


def _path(name: ObjectName) -> str:
    digest = name.digest.hex
    return f"blobs/{name.namespace}/{digest[:2]}/{digest[2:4]}/{digest}.{name.generation}"


def _files(directory: Path, owner: str, *, whole: bool) -> Iterator[tuple[str, str]]:
    """(path, class) of every file but the stored blobs; of databases with records the owner's, or all."""
    for folder, folders, names in os.walk(directory):
        here = Path(folder).relative_to(directory)
        if here == Path():
            folders[:] = [name for name in folders if name != BLOBS]
        for name in names:
            path = here / name
            if (directory / path).is_symlink():
                continue  # a name; what it leads to is no file of the service
            kind = storage_class(path)
            others = kind in ("databases", "logs") and owner_of(path) not in (None, owner)
            if whole or not others:
                yield str(path), kind
