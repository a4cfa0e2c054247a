"""Mistakes planted into the product, each a change of its text; one whose text is not there any more is an error."""

import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from blobstore.catalogues.sqlite.collection import Collection
from blobstore.catalogues.sqlite.holders import Holders
from blobstore.catalogues.sqlite.schema import let_go
from blobstore.catalogues.sqlite.uploads import Uploads, _claim_live
from blobstore.gc import Collector
from blobstore.sqlite.file import SqliteFile
from blobstore.store import BlobStore
from records.audit.outboxes import Audit
from records.centrals.sqlite.chain import _append
from records.engines.sqlite.erasure import _erase
from records.engines.sqlite.writes import _apply
from records.erasure.erasing import Erasing
from records.writing.ingest import Ingest, Ingests

PACKAGES = ("blobstore", "records")


@dataclass(frozen=True)
class Edit:
    """A piece of text in a function, or in a text that is kept in a module, and what stands there instead."""

    place: Callable[..., Any] | tuple[str, str]
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A mistake: its name, what is edited, the scenario that shows it, and near which step it is looked for first."""

    name: str
    edits: Sequence[Edit]
    scenario: str = ""
    near: str = ""

    def plant(self, patch: pytest.MonkeyPatch) -> None:
        """Make the mistake."""
        functions: dict[str, tuple[Any, str]] = {}
        for edit in self.edits:
            if isinstance(edit.place, tuple):
                module, constant = sys.modules[edit.place[0]], edit.place[1]
                patch.setattr(module, constant, replaced(getattr(module, constant), edit))
            else:
                name = edit.place.__qualname__
                text = functions.get(name, (None, textwrap.dedent(inspect.getsource(edit.place))))[1]
                functions[name] = (edit.place, replaced(text, edit))
        for function, text in functions.values():
            _exchange(patch, function, text)


def replaced(text: str, edit: Edit) -> str:
    assert text.count(edit.old) == 1, f"this stands {text.count(edit.old)} times in {edit.place}: {edit.old}"
    return text.replace(edit.old, edit.new)


def _exchange(patch: pytest.MonkeyPatch, function: Any, text: str) -> None:
    module = sys.modules[function.__module__]
    owner: Any = module
    for name in function.__qualname__.split(".")[:-1]:
        owner = getattr(owner, name)
    made: dict[str, Any] = {}
    exec(compile(text, function.__qualname__, "exec", flags=0, dont_inherit=True), module.__dict__, made)
    (changed,) = made.values()
    name = function.__name__
    patch.setattr(owner, name, changed)
    for other in list(sys.modules.values()):  # who imported it by name
        if other.__name__.startswith(PACKAGES) and getattr(other, name, None) is function:
            patch.setattr(other, name, changed)


MUTANTS = [
    Mutant(
        "the blobs of a batch are held after it was committed",
        [
            Edit(
                Ingest._store,
                "await self._catalogue.hold(self._owner.id, self._holder, wanted, time.time()) if wanted else {}",
                "dict.fromkeys(wanted, 1)",
            ),
            Edit(
                Ingest._store,
                "parsed.rejected += rejected\n",
                "parsed.rejected += rejected\n"
                "        await self._catalogue.hold(self._owner.id, self._holder, wanted, time.time())\n",
            ),
        ],
        "p1: a collection while a batch links what lost its last link",
    ),
    Mutant(
        "a batch is committed whatever was released since its blobs were held",
        [Edit(_apply, "batch.release_epoch not in (None, found.release_epoch)", "False")],
        "p1: a collection while a batch links what lost its last link",
    ),
    Mutant(
        "a holder goes whatever its version is",
        [Edit(Holders.release, "AND version = ?", "AND ? > 0")],
        "p1: a batch links what a collection releases",
        "write release",
    ),
    Mutant(
        "links are counted before the versions of holders are read",
        [
            Edit(
                Collector.release,
                "held = await self._catalogue.holders(namespace, holder, digests)",
                "gone = await self._links.recount(namespace, holder, digests)\n"
                "    held = await self._catalogue.holders(namespace, holder, digests)",
            ),
            Edit(
                Collector.release,
                "await self._links.recount(namespace, holder, [row.digest for row in held])",
                "gone",
            ),
        ],
        "p1: a batch links what a collection releases",
        "Holders.release",
    ),
    Mutant(
        "a hold counts as confirmed before its link is there",
        [Edit(("blobstore.catalogues.sqlite.holders", "_HOLD"), ":version, 0\n", ":version, 1\n")],
        "p1: death in a batch that links",
    ),
    Mutant(
        "holders and claims are not looked for again when a blob is condemned",
        [Edit(Collection.condemn, "AND {UNUSED}", "AND 1")],
        "p1: another connector links what an erasure removes",
        "Collection.condemn",
    ),
    Mutant(
        "the staged copy is dropped before the live one is claimed",
        [
            Edit(
                BlobStore.publish,
                "stored = await self.catalogue.adopt(",
                "if await self.catalogue.find(lease.namespace, content.digest) is not None:\n"
                "        await self.submit(staged.path.unlink)\n"
                "    stored = await self.catalogue.adopt(",
            )
        ],
        "p2: a collection while garbage is uploaded again",
    ),
    Mutant(
        "a condemned generation is claimed by an upload of the same bytes",
        [Edit(_claim_live, "AND state = 'live'", "AND state != 'quarantined'")],
        "p2: garbage is uploaded again while it is collected",
        "Collector._remove",
    ),
    Mutant(
        "of two uploads of the same bytes both become live",
        [Edit(Uploads.publish, "existing = _claim_live(db, lease.namespace, content, claim)\n", "existing = None\n")],
        "p2: the same bytes are uploaded twice at once",
    ),
    Mutant(
        "an upload is published without its lease",
        [
            Edit(
                Uploads.adopt,
                "return ObjectName(lease.namespace, content.digest, lease.id, place)\n",
                "self.__dict__.setdefault('adopted', {})[lease.id] = content\n"
                "        return ObjectName(lease.namespace, content.digest, lease.id, place)\n",
            ),
            Edit(Uploads.publish, "(None, 0) if row is None", "(self.adopted[lease.id], 0) if row is None"),
            Edit(
                Uploads.publish,
                "_end(db, lease)\n",
                "db.execute('DELETE FROM leases WHERE id = ?', (lease.id,))\n"
                "        db.execute('DELETE FROM blobs WHERE generation = ?', (lease.id,))\n",
            ),
        ],
        "p3: a lease runs out while its upload sleeps",
        "write publish",
    ),
    Mutant(
        "leases are not ended by an erasure",
        [
            Edit(
                Collection.fence, "return await self._file.write(lambda db: end_leases(db, where, values))", "return []"
            )
        ],
        "p4: an erasure while an upload goes on",
    ),
    Mutant(
        "the epoch of a batch is ignored",
        [Edit(_apply, "batch.epoch != found.epoch", "False")],
        "p4: an erasure while a batch goes on",
    ),
    Mutant(
        "a batch does not look again whether its instance lives",
        [Edit(Ingests.begin, "await self._registry.require_living(owner, destination.instance)", "pass")],
        "p4: an erasure while a batch goes on",
    ),
    Mutant(
        "former holders are forgotten",
        [Edit(let_go, "db.executemany(_REMEMBER, rows)", "pass")],
        "p4: an erasure of what its connector left before",
        "finish_erasure",
    ),
    Mutant(
        "versions begin anew when an instance was erased",
        [Edit(_erase, "SET floor = version WHERE", "SET floor = 0, version = 0 WHERE")],
        "p6: a batch while an instance is erased",
    ),
    Mutant(
        "versions go back by what an erasure took",
        [
            Edit(
                ("records.engines.sqlite.erasure", "_COUNT_DOWN"),
                "SET records = records - ?,",
                "SET version = version - 1, records = records - ?,",
            )
        ],
        "p6: a batch while a stream is erased",
    ),
    Mutant(
        "events are marked as drained before they are on the spine",
        [
            Edit(
                Audit._drain_records,
                "while events := await engine.outbox(BATCH):\n",
                "while events := await engine.outbox(BATCH):\n"
                "        await engine.drained(events[0].source, events[-1].seq)\n",
            )
        ],
        "p7: death of who drains",
        "Chain.append",
    ),
    Mutant(
        "the spine does not remember what was delivered",
        [Edit(_append, "spine.risen(events, _delivered(db, owner, source))", "events")],
        "p7: two drain at once",
    ),
    Mutant(
        "one request's failure takes others down with it",
        [
            Edit(
                SqliteFile._in_savepoint,
                "if not connection.in_transaction:\n",
                "if connection.in_transaction:\n",
            )
        ],
        "p8: a batch that is refused shares its commit",
        "Writes.apply",
    ),
    Mutant(
        "what a failed request had written is committed",
        [Edit(SqliteFile._in_savepoint, 'connection.execute("ROLLBACK TO request")\n', "pass\n")],
        "p8: an upload that is refused has claimed already",
        "Uploads.adopt",
    ),
    Mutant(
        "a batch does not ask for the release epoch",
        [Edit(Ingest._store, "await self._engine.release_epoch(self._holder) if refs else None", "None")],
        "p10: claims run out while a batch links their blob",
        "Writes.apply",
    ),
    Mutant(
        "claims end with the grace period",
        [Edit(Collection.expire, "(now, limit)", "(now + 8 * 24 * 3600, limit)")],
        "p10: claims live a week whatever the grace",
    ),
    Mutant(
        "an upload again leaves the claim as old as it is",
        [Edit(_claim_live, ", expires_at = excluded.expires_at", "")],
        "p10: an upload again renews the claim",
    ),
    Mutant(
        "claims stay when their record is erased",
        [Edit(Erasing.remove, "await self._drop_claims(owner, target)", "pass")],
        "p10: an erased record's claim goes",
    ),
]
