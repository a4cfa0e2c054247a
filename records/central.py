"""The port to what is the owner's and not one connector's: who may act, connectors, instances, sync state, spine.

It is central in every topology. Each method is one atomic, durable step; any number of processes may call at once.
A method that takes an `event` chains that body to the owner's spine in the same step, where it changes anything.
Owners are named by an internal id (`owner`, made here, safe in a path); the subject's own name is only looked up.
Times are UTC, RFC 3339 with microseconds and `Z`. Raises `StorageUnavailable` when the database does not answer. For
an owner that was not made here whatever writes raises `Unknown`, and whatever reads finds nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from records.shards import Home, Left, Shards


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner: internal id and the name of the subject; once it is erased, what stands for the name."""

    id: str
    subject: str
    erased_at: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """What a token resolves to. `digest` names it; the token itself is never stored. Times as everywhere here.

    `grant` is the grant that a client's token stands for; None for an owner's.
    """

    digest: bytes
    kind: str
    owner: Owner
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    label: str | None = None
    grant: str | None = None


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant that was made here. `document` is its JSON text as it is shown; it never changes."""

    id: str
    owner: Owner
    client: str
    connector: str
    document: bytes
    created_at: str
    expires_at: str | None
    revoked_at: str | None


@dataclass(frozen=True, slots=True)
class About:
    """What an event of the spine is about, to be found by it: a disclosure names a grant, a connector, maybe a blob."""

    grant: str | None = None
    connector: str | None = None
    blob: str | None = None

    def covers(self, noted: "About") -> bool:
        """Whether what was noted is about all that this names."""
        pairs = ((self.grant, noted.grant), (self.connector, noted.connector), (self.blob, noted.blob))
        return all(wanted in (None, said) for wanted, said in pairs)


@dataclass(frozen=True, slots=True)
class Connector:
    """A registered connector; `manifest` is its JSON text as registered. Erased ones are kept but take no writes."""

    id: str
    manifest: bytes
    registered_at: str
    erased_at: str | None


@dataclass(frozen=True, slots=True)
class Instance:
    """One account of a connector. An erased instance is never written to again."""

    id: str
    connector: str
    is_default: bool
    created_at: str
    erased_at: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept here of a living connector and goes with it: its manifest, and by living instance its global sync
    state by stream.
    """

    manifest: bytes
    states: Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class SpineEvent:
    """One link of an owner's audit chain: `hash` covers the other four members (`records.audit.spine`)."""

    seq: int
    at: str
    body: bytes
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was signed of an owner's spine when event `seq` was its head; `document` is JSON text, without content."""

    seq: int
    made_at: str
    document: bytes


@dataclass(frozen=True, slots=True)
class ErasureJob:
    """An erasure from the moment it is decided. `target` and `result` are JSON texts; no content in either.

    `state` is `running` until nothing more is to be done, then `done`. `connector` alone: it goes as a whole;
    with `instance`: that instance does; neither: what goes is less (a stream, a record), and nothing is marked erased.
    With `owner_digest` all of the owner goes; it stands for the subject's name from then on. `resumed` counts how often
    it was taken up again after it was cut off. `receipt` is a signed document's JSON text.
    """

    id: str
    owner: str
    target: bytes
    state: str
    requested_at: str
    completed_at: str | None
    result: bytes | None
    connector: str | None = None
    instance: str | None = None
    owner_digest: str | None = None
    resumed: int = 0
    receipt: bytes | None = None


class Central(Protocol):
    """The central store of one server."""

    # -- owners and tokens -----------------------------------------------------------------------------------------

    async def ensure_owner(self, subject: str, now: str) -> Owner:
        """The owner of that name, made on first use; one and the same for everybody who asks at once.

        The name of one who was erased makes a new owner.
        """
        ...

    async def owners(self) -> list[Owner]:
        """All owners in the order of their subjects, erased ones under what stands for their names."""
        ...

    async def add_token(self, token: Token, event: bytes) -> None:
        """Durable when this returns. Raises `Conflict` when there is one with this digest, or the owner was erased."""
        ...

    async def token(self, digest: bytes) -> Token | None:
        """Also expired and revoked ones: the caller decides what that means."""
        ...

    async def tokens(self) -> list[Token]:
        """All tokens of all owners, oldest first; of the same age in the order in which they were added."""
        ...

    async def revoke_token(self, digest: bytes, now: str, event: bytes) -> bool:
        """False when there is no such token; revoking again changes nothing and is true."""
        ...

    # -- grants ----------------------------------------------------------------------------------------------------

    async def add_grant(self, grant: StoredGrant, token: Token, event: bytes) -> None:
        """A grant and its client's token in one step. Raises `Conflict` as `add_token`, and when the grant is there."""
        ...

    async def grant(self, grant: str) -> StoredGrant | None:
        """One grant of any owner, also an expired or revoked one."""
        ...

    async def grants(self, owner: str) -> list[StoredGrant]:
        """The owner's grants, oldest first; of the same age in the order in which they were added."""
        ...

    async def latest_grants(self, owner: str, after: str | None, limit: int) -> list[StoredGrant]:
        """The same the other way round: newest first, beyond the one with the id `after`; nothing beyond an unknown."""
        ...

    async def revoke_grant(self, owner: str, grant: str, now: str, event: bytes) -> bool:
        """False when the owner has no such grant; revoking again changes nothing and is true. Its sync state goes."""
        ...

    # -- connectors and instances ----------------------------------------------------------------------------------

    async def register(self, owner: str, connector: str, manifest: bytes, now: str, event: bytes) -> bool:
        """Add or replace the manifest; True when the connector was not there, or was erased.

        An erased one lives again; its erased instances stay erased. Replacing keeps `registered_at`. Raises `Conflict`
        when the owner was erased.
        """
        ...

    async def connector(self, owner: str, connector: str) -> Connector | None:
        """One connector, erased or not."""
        ...

    async def connectors(self, owner: str) -> list[Connector]:
        """The owner's connectors in the order of their ids, erased ones included."""
        ...

    async def ensure_default_instance(self, owner: str, connector: str, fresh_id: str, now: str) -> Instance:
        """The connector's living default instance; made with `fresh_id` when there is none.

        Raises `Unknown` when the connector is not registered, `Conflict` when it was erased.
        """
        ...

    async def add_instance(self, owner: str, instance: Instance) -> Instance:
        """Add a named instance; gives back the one that is there already (living or erased) instead.

        Ids are unique per owner: the one there may belong to another connector. Raises `Unknown` when the connector
        is not registered, `Conflict` when it was erased, or has another living default and this is to be one.
        """
        ...

    async def instance(self, owner: str, instance: str) -> Instance | None:
        """One instance, erased or not."""
        ...

    async def instances(self, owner: str, connector: str | None = None) -> list[Instance]:
        """Living instances in the order (connector, id)."""
        ...

    # -- shards ----------------------------------------------------------------------------------------------------

    async def shards(self, owner: str) -> Shards:
        """Where the owner's records live, as it is at one moment."""
        ...

    async def shards_revision(self, owner: str) -> int:
        """The revision of `shards`: 0 before the first change."""
        ...

    async def set_topology(self, owner: str, source: str | None, to: str) -> bool:
        """The owner's records are in the topology `to` from now on; False, and nothing done, where it is not `source`.

        None is the topology of an owner that has none yet.
        """
        ...

    async def topologies(self) -> dict[str, str]:
        """Of each owner who has one of their own, by `set_topology`."""
        ...

    async def place(self, owner: str, connector: str, shard: str) -> Home:
        """The connector's home: the one that it has, else this shard, awake under number 1."""
        ...

    async def move(self, owner: str, connector: str, source: str | None, to: str | None) -> bool:
        """The connector lives in `to`, awake under number 1; False, and nothing done, where it does not in `source`.

        None is having no home.
        """
        ...

    async def wake(self, owner: str, connector: str, shard: str) -> int | None:
        """Somebody is about to write to the shard: it is awake, under a higher number than ever, which is given back.

        None, and nothing done, where the connector does not live there.
        """
        ...

    async def rest(self, owner: str, connector: str, shard: str, number: int, left: Left) -> bool:
        """Nobody writes to the shard but who wakes it again; False, and nothing done, where it has another number.

        So it is, too, where the connector does not live there. One that rests already may be said to again. What it
        `holds` is forgotten when it is woken or the connector moves (no file shows it after the next `sanitize`), and
        of an owner who was erased not kept.
        """
        ...

    # -- sync state ------------------------------------------------------------------------------------------------

    async def state(
        self, owner: str, connector: str, instance: str, grant: str | None = None
    ) -> tuple[dict[str, bytes], str | None]:
        """JSON text by stream, to the letter, and when it last changed; nothing and None where none was set.

        Each grant has a namespace of its own beside the global one (None).
        """
        ...

    async def merge_state(
        self,
        owner: str,
        connector: str,
        instance: str,
        state: Mapping[str, bytes],
        now: str,
        event: bytes,
        grant: str | None = None,
    ) -> None:
        """Set the named streams' values; others stay. No streams: no change.

        Raises `Unknown` when the connector has no such instance or the owner no such grant for it, `Conflict` when the
        instance was erased or the grant revoked: a namespace that was dropped never comes back.
        """
        ...

    async def drop_state(self, owner: str, connector: str, instance: str | None, stream: str | None) -> None:
        """Forget the state, in every namespace, of a connector, one instance, one stream, or both of these."""
        ...

    # -- erasures --------------------------------------------------------------------------------------------------

    async def begin_erasure(self, job: ErasureJob, event: bytes, seen: Seen | None = None) -> bool:
        """Durable intent, and in the same step: the job's connector with its instances, or its instance, is marked
        erased and its sync state is gone; where all of the owner goes, all connectors, and the subject's name.

        False, and nothing done, where the job's connector is not (any more) as it was `seen`. Beginning again (the same
        id) changes nothing. Raises `Conflict` when the id is another owner's.
        """
        ...

    async def keep_samples(self, erasure: str, key: bytes, sealed: bytes) -> None:
        """Keep what an erasure looks for at its end, sealed, and its key; where there is any, that stays.

        Durable when this returns. Raises `Unknown`.
        """
        ...

    async def samples(self, erasure: str) -> tuple[bytes, bytes] | None:
        """The key and the sealed samples of an erasure; None where none are kept."""
        ...

    async def drop_samples(self, erasure: str) -> None:
        """Forget them; after the next `sanitize` no file shows them. None there is no error."""
        ...

    async def erased_by(self, owner: str, erasure: str) -> list[Instance]:
        """The instances that the erasure marked erased, in the order (connector, id)."""
        ...

    async def take_up_erasure(self, erasure: str) -> ErasureJob | None:
        """Somebody goes on with an erasure that was begun: the job as it stands, None when it is done.

        Counts as resumed unless it had been paused. Raises `Unknown`.
        """
        ...

    async def pause_erasure(self, erasure: str) -> None:
        """Nothing is left to do but to wait for readers: who takes it up again has not resumed what was cut off."""
        ...

    async def redact_erasure(self, erasure: str, target: bytes) -> None:
        """Replace the target, which may name a record's key, by one that does not. Raises `Unknown`."""
        ...

    async def forget_owner(self, owner: str) -> None:
        """Of an owner who was erased connectors, instances, sync state, grants and their tokens go.

        So does what shards at rest hold.

        The owner's own tokens stay, without labels, until the erasure is finished: who asked for it may ask how it
        stands. Raises `Conflict` for an owner who was not erased.
        """
        ...

    async def finish_erasure(self, erasure: str, result: bytes, receipt: bytes, now: str, event: bytes) -> None:
        """The erasure is complete; finishing again changes nothing. An erased owner's tokens go. Raises `Unknown`."""
        ...

    async def erasures(self, owner: str, after: str | None, limit: int) -> list[ErasureJob]:
        """The owner's erasures, newest first, beyond the one with the id `after`; nothing beyond an unknown one."""
        ...

    async def erasure(self, owner: str, erasure: str) -> ErasureJob | None:
        """One erasure of this owner, begun or done."""
        ...

    async def unfinished_erasures(self) -> list[ErasureJob]:
        """Erasures that were begun and not completed, oldest first."""
        ...

    # -- spine -----------------------------------------------------------------------------------------------------

    async def append(self, owner: str, source: str, events: Sequence[tuple[int, bytes]], now: str) -> int:
        """Chain the bodies of one outbox to the owner's spine; how many were new.

        `source` names the outbox, the integers are its sequence numbers: those not above what this source has
        delivered already are skipped, so delivering again is harmless (exactly once). They rise within `events`; an
        outbox whose numbers start again needs another name. All of it is chained, or nothing.
        """
        ...

    async def note(self, owner: str, event: bytes, now: str, about: About) -> None:
        """Chain one event by itself, to be found later by what it is about; durable when this returns."""
        ...

    async def noted(self, owner: str, about: About, after: int, limit: int) -> list[SpineEvent]:
        """Events that were noted about all that `about` names (nothing: every noted one), beyond `after`, in order."""
        ...

    async def delivered(self, owner: str, source: str) -> int:
        """The number of the last event that this source delivered; 0 when there is none, also for nobody's id."""
        ...

    async def spine(self, owner: str, after: int, limit: int) -> list[SpineEvent]:
        """Events beyond `after` (0: from the first) in their order."""
        ...

    async def spine_head(self, owner: str) -> SpineEvent | None:
        """The newest event; None before the first."""
        ...

    async def chained(self, owner: str) -> int:
        """How many events were ever chained: more than the head's `seq` when the spine has lost its end."""
        ...

    async def add_checkpoint(self, owner: str, checkpoint: Checkpoint) -> None:
        """Keep it; durable when this returns. An event has one at most: where it has one, that one stays."""
        ...

    async def newest_checkpoint(self, owner: str) -> Checkpoint | None:
        """The one of the latest event that has any."""
        ...

    async def checkpoints(self, owner: str, after: int, limit: int) -> list[Checkpoint]:
        """Those of events beyond `after` (0: from the first), in the order of their events."""
        ...

    async def delivered_by(self, source: str) -> int:
        """The highest number that this source delivered to any owner; 0 when there is none."""
        ...

    # -- files -----------------------------------------------------------------------------------------------------

    async def bind(self, name: str) -> str:
        """As `Engine.bind`: the name of the store that this belongs to."""
        ...

    async def sanitize(self, timeout: float) -> bool:
        """As `Engine.sanitize`, for the central files."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with its files; empty when they are sound."""
        ...

    async def close(self) -> None:
        """Harmless when called twice."""
        ...
