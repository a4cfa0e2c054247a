"""The port to the catalogue: which blobs exist, who holds them, what is on its way and what must go.

Two levels of counting meet here. Inside a connector, links are exact (the record engine keeps them). The catalogue
only says *which holders* have at least one link. The rules that keep both true without a transaction across them:

* **Hold before link.** `hold` commits before the first link does, and raises the holder's version each time.
* **Release after unlink.** A holder goes only by `release`, with the version read before its links were recounted;
  the engine raises its own release epoch in the transaction that recounts, so a writer that held before that and
  commits after it is told to hold again. A crash anywhere leaves a holder too many, never one too few.
* **A generation is live, quarantined or condemned;** at most one is live per blob; a condemned one never comes back.
* **The lease is the fence.** It is committed before the first byte; whoever takes the row away (expiry, erasure)
  has fenced the upload off, because publishing must find the row.
* **A blob moves as a new generation.** Bytes are copied under a lease, into the intake; one step makes the copy live
  where the generation that it was made of still is, and condemns that one, which is kept for those who read it.

All times are UTC seconds since the epoch. Order is the catalogue's own counter, never a clock.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from blobstore.backend import ObjectName
from blobstore.derived import MOST, Derived
from blobstore.digest import Content, Digest
from blobstore.place import MOVED, Contents, Place
from blobstore.quota import NOTHING_BESIDE, WHOLE, Beside, Limit, Volume


class State(StrEnum):
    """What may be done with a generation."""

    LIVE = "live"
    QUARANTINED = "quarantined"  # its bytes do not match; never served; the same bytes uploaded again heal it
    CONDEMNED = "condemned"  # its bytes are being removed; never comes back


@dataclass(frozen=True, slots=True)
class Stored:
    """One generation of a blob. `verified_at`: when its bytes were last hashed.

    `kept_until` (UTC seconds): it was left behind by a move, and its bytes are not removed before. `late_until`: until
    then its bytes may come once more though they were removed, where the backend says that they may (`comes_late`).
    """

    name: ObjectName
    sha256: bytes
    size: int
    state: State
    verified_at: float
    kept_until: float | None = None
    late_until: float | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A link declared at upload, before its record has arrived.

    `slot` names the place that will hold the link; `scope` the group of slots that is erased together. Both are
    opaque here. One holder has at most one claim per slot and blob; claiming again renews it.
    """

    holder: str
    scope: str
    slot: str
    media_type: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class ClaimedBlob:
    """A claim and the blob that it claims."""

    digest: Digest
    claim: Claim


@dataclass(frozen=True, slots=True)
class Lease:
    """Protects bytes on their way. Its id is the generation of the blob that it may become.

    `process` names the staging folder of the process that receives the bytes. `content` is known once all bytes are,
    and `place`, where they go, with it. `reserved` bytes are put aside for it. `slot` is that of the claim that it
    becomes. `copies` is the generation that a move copies under it; then it is no upload's.
    """

    id: str
    namespace: str
    holder: str
    scope: str
    process: str
    expires_at: float
    content: Content | None = None
    reserved: int = 0
    slot: str = ""
    place: int = 0
    copies: str | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """`holder` has, or may have, links to the blob. `confirmed` when links were seen committed after its last hold."""

    digest: Digest
    holder: str
    version: int
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Condemned:
    """A generation whose bytes must go, and why.

    `garbage <collection's id>`, `erasure <id>`; `abandoned` and `duplicate`: an upload that was never, or need not be,
    published; `healed`: a damaged copy that a good one replaced; `moved`: what a move left behind, or made in vain.
    """

    name: ObjectName
    size: int
    reason: str
    process: str | None = None
    """Set when it was taken from an upload that was publishing it: its staging file lies in this process's folder."""
    order: int = field(default=0, compare=False)
    """When it was condemned, by the catalogue's own counter."""
    late_until: float | None = field(default=None, compare=False)
    """As in `Stored`: it is not to be buried before."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What is remembered of a removed generation: enough to explain it, nothing of its content."""

    name: ObjectName
    size: int
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Pin:
    """A process copies what is stored in `namespace` (None: in all): its garbage stays until then (UTC seconds).

    `process` is the staging folder of that process, as in a `Lease`: with it ends the pin.
    """

    id: str
    namespace: str | None
    process: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Removal:
    """Generations of one namespace that were removed for one reason, counted; sizes in bytes."""

    namespace: str
    reason: str
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CatalogueEvent:
    """Something that happened in a namespace; `seq` grows and is never used twice."""

    seq: int
    namespace: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Numbering:
    """An outbox by its numbers: the last that was drained, and the last that was given (0: none)."""

    drained: int
    given: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """A live or quarantined generation without holder or claim, and since when (UTC seconds)."""

    stored: Stored
    since: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Orphans that a collection would remove, in blobs and bytes, beside the bytes of all that is stored."""

    blobs: int
    bytes: int
    stored: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A generation and what it stands on: how many hold and claim its blob, and since when it counts as an orphan."""

    stored: Stored
    holders: int
    claims: int
    orphaned_at: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """A blob, seen by who is about to let go of it for some of its slots. `size` counts all bytes that it takes.

    `others` are those who hold or claim it beside; `held`: the holder holds it, `covered`: it claims it for one of
    these slots; `scopes`: those of its claims for other slots.
    """

    digest: Digest
    size: int
    others: frozenset[str]
    held: bool
    covered: bool
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a namespace holds, in blobs and bytes; live generations only, each counted once.

    `shared_bytes` is what those who hold a blob together would take in addition if each of them had a copy of its own.
    """

    blobs: int
    bytes: int
    orphan_blobs: int
    orphan_bytes: int
    shared_bytes: int


def removals(removed: Iterable[Condemned]) -> list[Removal]:
    """The generations, counted by namespace and reason, in that order; of copies that moves made nothing is told."""
    groups: dict[tuple[str, str], list[int]] = {}
    for each in removed:
        if each.reason == MOVED:
            continue
        groups.setdefault((each.name.namespace, each.reason), []).append(each.size)
    return [Removal(*group, len(sizes), sum(sizes)) for group, sizes in sorted(groups.items())]


class Catalogue(Protocol):
    """The catalogue of one store. Every method is one atomic, durable step; any number of processes may call at once.

    Raises `StorageUnavailable` when the database does not answer.
    """

    async def store_id(self) -> str:
        """The random id of this store, made when the catalogue was."""
        ...

    # -- uploads ---------------------------------------------------------------------------------------------------

    async def lease(self, lease: Lease, beside: Beside = NOTHING_BESIDE) -> int:
        """Commit the lease and reserve its bytes; only then may its first byte be written. What `reserved` says then.

        Raises `OverQuota` where the limits of its namespace and holder have no room for them beside what is stored
        and reserved at this moment, `LargerThanQuota` where they never had; `Uncounted` where there are limits and
        `beside` is `UNCOUNTED`.
        """
        ...

    async def reserve(self, lease: Lease, size: int, beside: Beside = NOTHING_BESIDE) -> None:
        """Have so many bytes reserved under the lease, no matter how many were before. Raises as `lease`.

        Raises `LeaseLost` when the lease is gone. After an error as many are reserved as before.
        """
        ...

    async def renew(self, process: str, expires_at: float) -> None:
        """Put off the expiry of every lease of one process.

        With it until when bytes may come of leases that were taken from it while it published, and that it has not
        abandoned yet.
        """
        ...

    async def adopt(
        self, lease: Lease, content: Content, claim: Claim, event: bytes | None = None
    ) -> Stored | ObjectName:
        """All bytes are in: claim the live generation of this content if there is one and end the lease (rule P2).

        When none is live, the name to put the bytes under, in the place that is the intake now: it is noted on the
        lease, so that whatever is published there can be found after a crash. Raises `LeaseLost` when the lease is
        gone.

        `event` goes into the outbox in the same step, here where the upload ends, else where it is published.
        """
        ...

    async def publish(
        self, lease: Lease, claim: Claim, now: float, event: bytes | None = None, late_until: float | None = None
    ) -> Stored:
        """The bytes are durable under the lease's generation: turn lease into live blob and claim (rule P3).

        They may come once more, should they be removed, until `late_until`. Where another upload was first, its
        generation is claimed and given back, and this lease's generation is condemned. Raises `LeaseLost` when the
        lease is gone.
        """
        ...

    async def abandon(self, lease: Lease, late_until: float | None = None) -> None:
        """End a lease whose upload failed; the caller has removed its staging file. Absent is no error.

        Where its content was noted, its object may be there: it is condemned, if it is not already because somebody
        took the lease. None of its bytes comes any more, or not after `late_until`; what is said first holds.
        """
        ...

    # -- holders ---------------------------------------------------------------------------------------------------

    async def hold(self, namespace: str, holder: str, digests: Collection[Digest], now: float) -> Mapping[Digest, int]:
        """Hold each blob that is live and that this holder already holds or claims (rule P1): the sizes of those."""
        ...

    async def settle(self, namespace: str, holder: str, links: Iterable[tuple[Digest, Sequence[str]]]) -> None:
        """Links were committed: confirm their holders and drop the claims for these slots that they fulfil.

        Where the holder's row is gone nothing is dropped.
        """
        ...

    async def holders(self, namespace: str, holder: str, digests: Collection[Digest]) -> list[Holder]:
        """The holder rows that exist, with the versions that `release` wants back."""
        ...

    async def unconfirmed(self, limit: int) -> list[tuple[str, Holder]]:
        """(namespace, holder) rows whose links were never seen committed: a writer is busy, or died there."""
        ...

    async def release(self, namespace: str, holders: Collection[Holder], now: float) -> int:
        """Drop each holder that still has the version given; how many went. An orphan does not get younger."""
        ...

    async def former(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Digest]:
        """Blobs that the holder let go of and no other holds or claims now, in the order of digests, beyond `after`.

        Who lets go of a blob (`release`, `drop_claims`, `expire`) is remembered in the same step, until no generation
        of the blob is left: so an erasure knows whose an orphan was. The holder may hold it again meanwhile.
        """
        ...

    async def forget_former(self, namespace: str, holder: str, limit: int) -> int:
        """Forget up to `limit` blobs that the holder let go of, whoever holds them now; how many."""
        ...

    async def rehold(self, namespace: str, holder: str, digests: Collection[Digest]) -> None:
        """Links to these blobs were found that no row speaks of: hold them, whatever the catalogue believed.

        Unconfirmed, as after `hold`: they were found a moment ago, and who lost them since may have been released
        before this. The next collection asks for them once more.
        """
        ...

    # -- events ----------------------------------------------------------------------------------------------------

    async def outbox(self, limit: int) -> list[CatalogueEvent]:
        """The oldest events that have not been drained; each belongs on its namespace's audit log."""
        ...

    async def numbering(self) -> Numbering:
        """The numbers of the outbox, as they are at one moment."""
        ...

    async def drained(self, seq: int) -> None:
        """Events up to and with `seq` are where they belong."""
        ...

    # -- erasure and collection ------------------------------------------------------------------------------------

    async def fence(self, namespace: str, holder: str, scope: str | None, beginning: str = "") -> list[Lease]:
        """Take away a holder's leases (all, of a scope, or for slots that begin so): uploads under way fail.

        The leases that went. What they may be publishing is condemned; it may come late until they are abandoned.
        """
        ...

    async def drop_claims(
        self, namespace: str, holder: str, *, scope: str | None, beginning: str = "", now: float
    ) -> set[Digest]:
        """Drop a holder's claims (all, of a scope, or for slots that begin so); the blobs that they claimed."""
        ...

    async def expire(self, now: float, dead_processes: Collection[str], limit: int = 1000) -> int:
        """Drop expired claims, at most `limit`, and pins and leases that have expired or are of dead processes.

        What such leases may have left is condemned, and may come late for `LATE_SECONDS`. What moves left behind is
        kept no longer once its time is over, where no pin holds it.

        How many claims and leases went: below `limit` when none is left that has expired.
        """
        ...

    async def pin(self, pin: Pin) -> None:
        """From here on no garbage of its namespace is condemned, until `unpin`, or an `expire` after its time or end.

        What was live before this, and is not erased, quarantined or healed meanwhile, keeps its bytes. Pinning again
        with the same id renews it, also where it had expired.
        """
        ...

    async def unpin(self, pin: str) -> None:
        """Its copy is made. Absent is no error."""
        ...

    async def pins(self) -> list[Pin]:
        """Every pin in the order of ids; expired ones until `expire` has dropped them."""
        ...

    async def orphans(
        self, namespace: str | None, before: float, limit: int, after: Orphan | None = None
    ) -> list[Orphan]:
        """Live and quarantined generations without holder and claim since before `before`, beyond `after`.

        In the order of (since, name).
        """
        ...

    async def forecast(self, namespace: str | None, before: float) -> Forecast:
        """What `orphans` would list, counted, beside all that is stored: of a namespace, or of the whole store.

        Work in proportion to the orphans alone.
        """
        ...

    async def condemn(
        self, namespace: str, digests: Collection[Digest], reason: str, before: float | None = None
    ) -> list[Condemned]:
        """Condemn those that have no holder and no claim now (and were orphaned before `before`), in one statement.

        Quarantined generations of the same blobs go with them, and what moves left behind of them is kept no longer;
        copies of them that are on their way are fenced off; what was derived of them is gone with this step. With
        `before` they are garbage, which a pin holds back; without, they are erased, which nothing does.
        """
        ...

    async def condemned(self, limit: int, after: Condemned | None = None) -> list[Condemned]:
        """What must be removed, in the order in which it was condemned, beyond `after`; not what is kept still."""
        ...

    async def may_come(self, namespace: str, holder: str | None, reason: str, now: float) -> bool:
        """Whether bytes may come late of what is condemned for this reason, or was taken from the holder's uploads.

        None: from anybody's. Copies that moves make are of any holder.
        """
        ...

    async def buried(
        self, names: Collection[ObjectName], now: float, event: Callable[[Removal], bytes | None] | None = None
    ) -> list[Condemned]:
        """The bytes are durably gone: forget the generations, remember the reasons. Those that this call forgot.

        Of any number of callers one is told of each. `event` says, for each namespace and reason, what goes into the
        outbox in the same step. Of copies that moves left behind, or made in vain, nothing is remembered or told.
        """
        ...

    async def quarantine(self, name: ObjectName) -> bool:
        """The bytes do not match: stop serving them. False when the generation is no longer live."""
        ...

    async def verified(self, names: Collection[ObjectName], now: float) -> None:
        """The bytes were hashed and match."""
        ...

    # -- places ------------------------------------------------------------------------------------------------------

    async def first_place(self, location: str, options: Mapping[str, str]) -> list[Place]:
        """Where no place is known yet, this is the first, and the intake. As `places`."""
        ...

    async def places(self) -> list[Place]:
        """Every place in the order of ids."""
        ...

    async def take_in(self, location: str, options: Mapping[str, str], now: float) -> Place:
        """From here on new bytes go there, whoever receives them; the place is made where it is not known."""
        ...

    async def elsewhere(self, place: int, after: ObjectName | None, limit: int) -> list[Stored]:
        """Live generations whose bytes are not in that place, in the order of names, from the first above `after`."""
        ...

    async def copy(self, lease: Lease, of: ObjectName) -> ObjectName | None:
        """Commit a lease for a copy of this generation, and say under which name to put it: its place is the intake.

        What is to be written is known, and noted, from the start. None, and no lease, where the generation is not
        live, or in the intake already.
        """
        ...

    async def moved(self, lease: Lease, now: float, kept_until: float, late_until: float | None = None) -> bool:
        """The copy is durable and verified: where what it was made of is live still, it is live instead.

        `late_until` as in `publish`. The other is condemned then, and kept until the time given; holders, claims and
        marks stay as they are. Else the copy is condemned, and this is False. Raises `LeaseLost` when the lease is
        gone.
        """
        ...

    async def gather(self, location: str, options: Mapping[str, str]) -> None:
        """All bytes are in this one place now, whatever was known before: for who restores a store elsewhere."""
        ...

    async def shorten(self, until: float) -> None:
        """What moves left behind is kept until then at the most (UTC seconds)."""
        ...

    async def contents(self) -> list[Contents]:
        """What is in each place, in the order of (place, state, kept). Work in proportion to all blobs."""
        ...

    async def leave_places(self, before: float) -> list[Place]:
        """Forget places that ceased to be the intake before then, and in which nothing is or may come; which those are.

        Work in proportion to all blobs, and none where only one place is known.
        """
        ...

    # -- what was made of blobs ------------------------------------------------------------------------------------

    async def keep_derived(self, namespace: str, digest: Digest, derived: Derived, most: int = MOST) -> None:
        """Keep what was made of a blob, in place of what was of this kind; nothing where no generation is live.

        It goes with the blob (`condemn`); of a namespace that keeps more than `most` the oldest go at once.
        """
        ...

    async def derived(self, namespace: str, digest: Digest, kind: str) -> Derived | None:
        """What is kept of this kind; None where there is none, or no generation is live."""
        ...

    # -- questions -------------------------------------------------------------------------------------------------

    async def find(self, namespace: str, digest: Digest) -> Stored | None:
        """The live generation."""
        ...

    async def live(self, namespace: str, digests: Collection[Digest]) -> list[Stored]:
        """The live generations of these blobs, in the order of their digests; those without any are left out."""
        ...

    async def find_sha256(self, namespace: str, sha256: bytes) -> Stored | None:
        """The live generation of the blob with this SHA-256."""
        ...

    async def generations(self, namespace: str, digest: Digest) -> list[Stored]:
        """All generations that still exist in any state."""
        ...

    async def holders_of(self, namespace: str, digest: Digest) -> list[Holder]:
        """Everyone who holds the blob."""
        ...

    async def claims_of(self, namespace: str, digest: Digest) -> list[ClaimedBlob]:
        """Every claim on the blob."""
        ...

    async def claims_by(
        self, namespace: str, holder: str, limit: int, after: tuple[str, Digest] | None = None
    ) -> list[ClaimedBlob]:
        """A holder's claims in the order of (slot, digest), from the first above `after`."""
        ...

    async def gone(self, namespace: str, digest: Digest) -> list[Gone]:
        """What is remembered of removed generations of the blob."""
        ...

    async def removed(self, namespace: str, reason: str, after: ObjectName | None, limit: int) -> list[Gone]:
        """What is remembered of generations removed for this reason, in the order of names, from above `after`."""
        ...

    async def walk(self, after: ObjectName | None, limit: int) -> list[Stored]:
        """Every generation in the order of names, from the first above `after`."""
        ...

    async def stalest(self, before: float, limit: int) -> list[Stored]:
        """Live generations last verified before `before`, stalest first."""
        ...

    async def held(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Holder]:
        """A holder's rows in the order of digests, from the first above `after`."""
        ...

    async def claimed(
        self, namespace: str, holder: str, beginnings: Collection[str], after: Digest | None, limit: int
    ) -> list[Digest]:
        """Blobs that the holder claims for slots that begin like one of these, by digest, beyond `after`."""
        ...

    async def shares(
        self, namespace: str, holder: str, beginnings: Collection[str], digests: Collection[Digest]
    ) -> list[Share]:
        """Who else has these blobs, and for what else the holder claims them than slots with one of these beginnings.

        In the order of digests; blobs with no generation but condemned ones are left out.
        """
        ...

    async def leases(self, ids: Collection[str] | None = None) -> list[Lease]:
        """Every lease there is, or those of them that have one of these ids."""
        ...

    async def sanitize(self, timeout: float) -> bool:
        """Make what was deleted unreadable in every file of the catalogue; False when `timeout` seconds did not do."""
        ...

    async def totals(self, namespace: str) -> Totals:
        """What the namespace holds; kept up to date, never summed up."""
        ...

    # -- quotas ----------------------------------------------------------------------------------------------------

    async def limit(self, limit: Limit) -> None:
        """Set a limit, in place of the one that names the same. What is stored already stays, whatever it exceeds."""
        ...

    async def unlimit(self, namespace: str, holder: str) -> bool:
        """Take away the limit that names these; False where there is none."""
        ...

    async def limits(self) -> list[Limit]:
        """Every limit, in the order of namespaces and holders."""
        ...

    async def volume(self, namespace: str, holder: str = WHOLE) -> Volume:
        """What counts against the quota of a namespace, or of a holder in it; kept up to date, never summed up."""
        ...

    async def volumes(self) -> list[Volume]:
        """Those that have anything stored or reserved, without their limits, in the order of namespaces and holders."""
        ...

    async def reserved(self) -> int:
        """Bytes that all leases together have reserved."""
        ...

    async def recount(self, *, repair: bool) -> list[Volume]:
        """Volumes that are not what their rows add up to, as they should be; with `repair` they are set right.

        Likewise totals: where only they are wrong, the volume of their whole namespace stands for them.
        """
        ...

    # -- checks ----------------------------------------------------------------------------------------------------

    async def survey(self, after: ObjectName | None, limit: int) -> list[Standing]:
        """As `walk`, each with what it stands on, all seen at one moment."""
        ...

    async def parties(self) -> list[tuple[str, str]]:
        """(namespace, holder) of everyone who holds or claims anything, in order."""
        ...

    async def remark(self, namespace: str, digests: Collection[Digest], now: float) -> None:
        """Set the marks of these right: an orphan that has none becomes one at `now`, one that is used is none."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with the catalogue's files; empty when they are sound."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. Harmless when called twice."""
        ...
