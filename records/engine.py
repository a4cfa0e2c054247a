"""The port to where records live: one owner's records, their links to blobs, and what happened to them.

What holds for every engine (keys, schemas, grants, holding blobs, the spine) is done above. An engine keeps
transactions: each method is one atomic and durable step, and any number of processes may call at once. Engines agree
on every answer, byte for byte.

Raises `StorageUnavailable` when the database does not answer; nothing was written then. What names a connector (or a
partition, or a target, of one) that has left this engine or is not yet here raises `Moved`, whether it reads or
writes; what names none answers for all that is here, marked or not.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeVar

from blobstore.catalogue import Numbering
from blobstore.digest import Digest
from records.model import (
    Batch,
    Changes,
    Erased,
    Keep,
    Link,
    Linking,
    Order,
    OutboxEvent,
    Outcome,
    Page,
    Partition,
    PartitionStats,
    PlacedLink,
    Position,
    StoredRecord,
    Target,
)
from records.sums import Sums
from records.transfer import Item, Mark, Piece, State

T = TypeVar("T")

LEAP = 1 << 30
"""Versions that a partition leaps over: more changes than anybody made since a backup. There is room for 1,000."""

NOTHING_OWED: Mapping[str, int] = MappingProxyType({})


class Engine(Protocol):
    """The records of one owner."""

    # -- writing ---------------------------------------------------------------------------------------------------

    async def epoch(self, partition: Partition) -> int:
        """How often the partition was fenced or erased, alone or with its instance or connector; 0 at first."""
        ...

    async def release_epoch(self, connector: str) -> int:
        """How often holders of this connector were released; read it before holding what a batch will link."""
        ...

    async def apply(self, batch: Batch) -> list[Outcome]:
        """Commit the mutations in order; one outcome each.

        A `Put` of the same content (`history.same_content`) as the record there is `UNCHANGED` and makes no version; in
        an append-only batch any `Put` on a key that exists is. Whatever changes takes the partition's next version. A
        record's links are replaced with it, in the same transaction; a digest that lost its last link in the connector
        is noted as unlinked. A `Delete` removes content and links and leaves a tombstone; on an absent key it is
        `ABSENT`. Of every state that is superseded (a tombstone too) it is remembered what the batch's recorder makes
        of it, from which version it was and until which; a record that is changed has its revisions brought up to date.
        Raises `Fenced` or `Released` when an epoch differs; nothing is written then.
        """
        ...

    # -- reading ---------------------------------------------------------------------------------------------------

    async def get(
        self, partitions: Collection[Partition], keys: Collection[str], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        """The records with one of these keys, in the order of partitions and keys.

        It stops with the record that takes their data beyond `max_bytes`.
        """
        ...

    async def page(
        self,
        partitions: Collection[Partition],
        order: Order,
        after: Position | None,
        limit: int,
        *,
        max_bytes: int | None = None,
        keep: Keep | None = None,
    ) -> Page:
        """Up to `limit` (1 or more) records of all these partitions in one order, from the first beyond `after`.

        Only records that `keep` wants are among them. It may stop early, and tells where it did (see `Page`): after
        looking at some thousand records or some megabytes, or with the record that takes the page's data beyond
        `max_bytes`.
        Ascending: by (sort key, key, partition); descending: present cursor fields first, then absent ones, and
        within each of the two (cursor, key, partition) descending.
        """
        ...

    async def changes(
        self,
        partition: Partition,
        since: int,
        after: int,
        horizon: int,
        limit: int,
        *,
        max_bytes: int | None = None,
        owed: Mapping[str, int] = NOTHING_OWED,
    ) -> Changes:
        """Keys whose state came to be beyond version `after` and up to `horizon`, each with what it was at `since`.

        Of the keys in `owed` it is what they were at the version that stands there. At most `limit` (1 or more) keys,
        and it may stop early as `page` does; all of it is seen at one moment. A key that has changed again beyond the
        horizon is not shown, but told of as overtaken. `since` 0 is before everything: then tombstones are left
        out, and nothing was before. `since` <= `after` <= `horizon`. For what was forgotten (`since` below the
        partition's floor, and not 0) the answer means nothing.

        A tombstone is told of whether or not the key was there at `since`: where nothing is remembered of it, it came
        and went in between.
        """
        ...

    async def visit(
        self, partitions: Collection[Partition], see: Callable[[Iterable[tuple[StoredRecord, Sequence[Link]]]], T]
    ) -> T:
        """What `see` makes of every record of these partitions, each with its links in the order of their pointers.

        They come one by one in the order of partitions and keys, and all of one connector are seen at one moment, for
        which the engine holds a snapshot: `see` runs on the engine's threads and waits for nobody. What it raises is
        raised here.
        """
        ...

    async def sample(
        self, partition: Partition, versions: Collection[int], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        """For each of these versions the first record of the partition that has it or a later one, where there is one.

        Each record once, in the order of their versions. What it costs does not depend on how many there are. It stops
        with the record that takes their data beyond `max_bytes`.
        """
        ...

    async def stats(self, connector: str | None = None) -> dict[Partition, PartitionStats]:
        """Every partition that was ever written to (of one connector), in constant time each.

        Raises `SourceDown`, with what the others hold, where all are asked for and one does not answer.
        """
        ...

    async def sums(self, connector: str | None = None) -> dict[str, Sums]:
        """Of every connector (or of one) that has a record, what its records are and link, summed up.

        They are kept up to date in the steps that change records and links, never counted. Raises as `stats`.
        """
        ...

    # -- links -----------------------------------------------------------------------------------------------------

    async def links_of(
        self,
        digest: Digest,
        after: tuple[Partition, str, str] | None = None,
        limit: int = 100,
        *,
        connector: str | None = None,
    ) -> list[PlacedLink]:
        """Links to a blob in the order (connector, instance, stream, key, pointer), beyond `after`.

        Where a connector is named, its own; no other is asked, or need answer.
        """
        ...

    async def linkers(self, digests: Collection[Digest]) -> dict[Digest, str]:
        """The first connector that links each of the blobs; those without any link are left out.

        Raises `Partly` where some connectors do not answer and others do.
        """
        ...

    async def links_in(self, partition: Partition, key: str) -> list[PlacedLink]:
        """The links of one record in the order of their pointers."""
        ...

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, dict[str, int]]]:
        """Blobs that the connector links, beyond `after` in the order of digests: how many links each stream has."""
        ...

    async def first_links(
        self, target: Target, after: tuple[Partition, str, str] | None, limit: int
    ) -> list[PlacedLink]:
        """Of each blob that the target links the first link in it, in the order of (partition, key, pointer), beyond
        `after`."""
        ...

    async def linking(self, target: Target, digests: Collection[Digest]) -> list[Linking]:
        """Which partitions of the target's connector link these blobs, in the order of digests and partitions."""
        ...

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        """Replace the links of the record with this version; False, and nothing done, where there is none such.

        Nothing else of the record changes, its version neither: this mends links that are not those of its data. As
        with `apply`, blobs are held first, digests that lost their last link are noted, and `Released` is raised when
        the connector's release epoch differs.
        """
        ...

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        """Raise the connector's release epoch and give back those that have no link in it, in one transaction."""
        ...

    async def unlinked(self, limit: int, connector: str | None = None) -> list[tuple[str, Digest]]:
        """(connector, digest) noted as having lost its last link, in that order; each needs a recount and a release.

        Of one connector, where it is named.

        One that has been linked again since is among them: the recount tells.
        """
        ...

    async def notes(self, connector: str, digests: Collection[Digest]) -> list[int]:
        """The numbers of the notes that these have as unlinked.

        A digest that loses its last link again is noted again, under another number; none is ever used twice.
        """
        ...

    async def forget_notes(self, notes: Collection[int]) -> None:
        """What they asked for was done; one that was made again since is another note. Absent is no error."""
        ...

    # -- erasure ---------------------------------------------------------------------------------------------------

    async def fence(self, connector: str, instance: str | None) -> None:
        """Raise the epoch of an instance, or of every instance of the connector: batches begun before fail."""
        ...

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        """Remove up to `limit` records of the target, content, links and past, in the order of partitions and keys.

        One record or one stream leave tombstones, and keep those that are there: clients with a change token must
        learn of it. That the records were there, and at which consent time, stays remembered (`history.redacted`), and
        nothing else. An instance or a connector leaves nothing, but its partitions keep their versions, and their
        floors rise to them: older tokens are too old. After the records it is the turn of old tombstones (of an
        instance or a connector), and then of what is remembered, the oldest first; they count towards `limit` too.
        Digests that lost their last link in
        the connector are given back, and noted as unlinked. Call again until finished.

        With the id of an `erasure` it is remembered, in the same step, how many records it took and whether it is
        finished with this instance. The step that finishes raises the epochs of the streams that it covers, so that a
        batch begun before is wholly gone or fails; one record's erasure raises none. From then on calls with this id
        and this instance change nothing: what is written later is not touched, however often an erasure is resumed.
        """
        ...

    async def erased(self, erasure: str) -> dict[Partition, int]:
        """How many records the erasure with this id took from each partition that lost any."""
        ...

    async def forget(self, before: float, limit: int) -> int:
        """Drop what is remembered of states superseded, and tombstones made, before `before` (UTC seconds).

        Partition by partition, the oldest first; a partition's floor rises to the version of the last that went, so
        that all a token from there on needs is still there. Up to about `limit` rows; how many went. What has left, or
        is not yet here, is left alone.
        """
        ...

    async def sanitize(self, timeout: float) -> bool:
        """Make what was erased unreadable in every file of the engine, within `timeout` seconds.

        False when a reader's snapshot stood in the way all that time; call again later.
        """
        ...

    async def leap(self) -> None:
        """Records came back from a backup: versions that were given out after it must never be given out again.

        Every partition takes one version, `LEAP` above the highest that any has (or had leapt to), and its floor rises
        to it; one that is first written to later begins there. So change tokens from before are all too old.
        """
        ...

    # -- moving ----------------------------------------------------------------------------------------------------

    async def connectors(self) -> list[str]:
        """All of which anything is kept here, in order."""
        ...

    async def marks(self, connector: str | None = None) -> list[Mark]:
        """In the order of connectors; of one (or `transfer.NEW`), where it is named: then no other is asked."""
        ...

    async def mark(self, mark: Mark) -> None:
        """Put the mark on its connector (`transfer.NEW`: all that nothing is kept of), in the place of any it has."""
        ...

    async def unmark(self, connector: str) -> None:
        """Take its mark away: it is served here. None there is no error."""
        ...

    def regardless(self) -> "Engine":
        """The same engine, but what is asked through this one takes no notice of marks."""
        ...

    async def extract(
        self, connector: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        """What `see` makes of the connector and of all that came to its partitions beyond their versions in `since`.

        Items come one by one in the order of partitions and versions, all as they are at one moment, for which the
        engine holds a snapshot; `see` may stop early, runs on the engine's threads and waits for nobody. What it raises
        is raised here. Marks do not matter.
        """
        ...

    async def leave(
        self, connector: str, to: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        """`extract`, and in the same step the connector is marked `LEFT`: no change comes after what `see` saw.

        Writers wait meanwhile. What `see` raises undoes it.
        """
        ...

    async def load(self, source: str, piece: Piece) -> bool:
        """Add a piece to the copy of its connector, which is marked `COMING` in the same step.

        False, and nothing done, where it does not go on from what is here, or is from before a disturbance that the
        copy, or a `discard`, knows of. Loading a piece again, also an older one, changes nothing. Raises `ValueError`
        when the connector is served here.
        """
        ...

    async def discard(self, connector: str, disturbances: int, limit: int) -> bool:
        """Remove up to about `limit` rows of a connector that is not served here; True when nothing of it is left.

        Until then no piece is loaded, and then none from before so many disturbances. Its mark stays; without one it is
        marked `COMING`. Call `sanitize` after. Raises `ValueError` when the connector is served here.
        """
        ...

    # -- events ----------------------------------------------------------------------------------------------------

    async def outbox(self, limit: int) -> list[OutboxEvent]:
        """The oldest events of one source that have not been drained; none just when no source has any.

        A source is an outbox: events have an order within it, and it has the same name in every process. One that does
        not answer waits, and others do not wait for it: once they have none, `SourceDown` is raised.
        """
        ...

    async def numbering(self) -> Mapping[str, Numbering]:
        """The numbers of every outbox by its source, each as they are at one moment."""
        ...

    async def bind(self, name: str) -> str:
        """The name of whose records these are: the first that is told is kept, and given back from then on."""
        ...

    async def drained(self, source: str, seq: int) -> None:
        """Events of this source up to and with `seq` are on the spine; nothing where there is no such source."""
        ...

    async def note(self, event: bytes) -> None:
        """Put an event into the outbox by itself."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with its files and with counters that disagree with rows; empty when sound."""
        ...

    async def resum(self, *, repair: bool) -> list[str]:
        """Sums that are not what rows add up to, in a sentence each; with `repair` they are set right.

        Work in proportion to all that is kept. Where `check` finds something, this tells nothing more.
        """
        ...

    async def close(self) -> None:
        """Let go of files and connections. Harmless when called twice."""
        ...


class Engines(Protocol):
    """Opens the engine of an owner; the topology's one entrance."""

    async def of(self, owner: str) -> Engine:
        """The engine that holds this owner's records; the same object again while it is open."""
        ...

    async def find(self, owner: str) -> Engine | None:
        """As `of`, but makes nothing: None where no engine was ever made, so that there is no record and no link.

        Any text may be asked for.
        """
        ...

    async def close(self) -> None:
        """Close every engine."""
        ...
