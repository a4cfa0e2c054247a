"""Checkpoints: signed statements of how far an owner's spine had come, kept beside it and given to who asks.

A chain alone proves nothing against who can write the whole database: it may be cut off, or made anew. A checkpoint
that somebody else keeps does, and so does every signed document that embeds a head (`records.audit.heads`). The ones
kept here are for those who cannot keep any: without the server's secret nobody makes one that fits another chain.

A checkpoint is made only where the chain goes on soundly from the one before; it says nothing else than the head, so
that everybody who makes the one of an event makes the same bytes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from blobstore.catalogue import Catalogue
from blobstore.errors import Damaged
from records import jsontext, times
from records.audit import heads
from records.audit.heads import Head
from records.audit.outboxes import Audit
from records.audit.spine import NOTHING_KNOWN
from records.audit.verification import Verification, verify_spine
from records.central import Central, Checkpoint, Owner, SpineEvent
from records.errors import Unknown
from records.keyring import Keyring
from records.signing import NotGenuine, SignedDocument

KIND = "spine_checkpoint"


class Checkpoints:
    """Makes checkpoints, and holds spines against them."""

    def __init__(self, central: Central, catalogue: Catalogue, audit: Audit, keyring: Keyring) -> None:
        self._central = central
        self._catalogue = catalogue
        self._audit = audit
        self._keyring = keyring
        self._signer = keyring.signer()

    @property
    def public_key(self) -> str:
        """Whose signatures count here."""
        return self._signer.public_key

    async def members(self, owner: Owner) -> dict[str, object]:
        """What a document to be signed says of the owner's spine, with all that was acknowledged before this call."""
        await self._audit.drain(owner)
        head = await self._central.spine_head(owner.id)
        return heads.members(await self._catalogue.store_id(), self._digest(owner), head)

    async def newest(self, owner: Owner) -> Checkpoint:
        """The checkpoint of the head as it is now; made, and durable, where there is none.

        Raises `Unknown` before the first event, `Damaged` when the chain does not go on soundly from the newest one.
        """
        await self._audit.drain(owner)
        head = await self._central.spine_head(owner.id)
        if head is None:
            raise Unknown("the audit log has no events yet")
        newest = await self._central.newest_checkpoint(owner.id)
        known = NOTHING_KNOWN if newest is None else await self._known(owner, newest)
        if newest is not None and known == {head.seq: head.hash}:
            return newest
        found = await verify_spine(self._central, owner, self._vouched, known, since=max(known, default=0))
        if found.faults or found.head is None:
            raise Damaged("the audit log is not what was written to it; `blobstore doctor` says where")
        return await self._make(owner, found.head)

    async def tick(self, age: float) -> None:
        """A checkpoint for each owner whose spine has moved on, where the newest is older than `age` seconds.

        Raises `Damaged` when there is a spine of which none can be made, after the others have theirs.
        """
        before = times.text(datetime.now(UTC) - timedelta(seconds=age))
        damaged = None
        for owner in await self._central.owners():
            newest = await self._central.newest_checkpoint(owner.id)
            if newest is not None and newest.made_at > before:
                continue
            try:
                await self.newest(owner)
            except Unknown:
                pass
            except Damaged as error:
                damaged = error
        if damaged is not None:
            raise damaged

    async def listed(self, owner: Owner, after: int, limit: int) -> list[Checkpoint]:
        """The owner's checkpoints of events beyond `after`, oldest first."""
        return await self._central.checkpoints(owner.id, after, limit)

    async def verify(self, owner: Owner, known: Mapping[int, bytes] = NOTHING_KNOWN) -> Verification:
        """Check the owner's spine against all checkpoints of it, and `known` hashes by seq."""
        return await verify_spine(self._central, owner, self._vouched, known)

    async def read(self, owner: Owner, text: bytes, public_key: str | None = None) -> Head:
        """The head of the owner's spine that a signed document of any kind embeds.

        `public_key` is whose signature it must have: this server's unless told. Raises `NotGenuine`.
        """
        said = heads.embedded(SignedDocument.verify(text, public_key or self.public_key))
        if said.store_id != await self._catalogue.store_id():
            raise NotGenuine(f"it is about another store, {said.store_id}")
        # The name of an owner who was erased is a digest already.
        if said.owner not in (owner.subject, self._digest(owner)):
            raise NotGenuine("it is about another owner's spine")
        if said.spine_head is None:
            raise NotGenuine("it was signed before the spine had any event")
        return said.spine_head

    async def _make(self, owner: Owner, head: SpineEvent) -> Checkpoint:
        members = heads.members(await self._catalogue.store_id(), self._digest(owner), head)
        document = jsontext.canonical(self._signer.sign({"kind": KIND, **members}))
        made = Checkpoint(head.seq, times.now(), document)
        await self._central.add_checkpoint(owner.id, made)
        return made

    async def _known(self, owner: Owner, newest: Checkpoint) -> Mapping[int, bytes]:
        try:
            return {newest.seq: await self._vouched(owner, newest)}
        except NotGenuine:  # another secret's, or a forger's: nothing is taken on trust
            return NOTHING_KNOWN

    async def _vouched(self, owner: Owner, checkpoint: Checkpoint) -> bytes:
        head = await self.read(owner, checkpoint.document)
        if head.seq != checkpoint.seq:
            raise NotGenuine(f"it is the one of event {head.seq}")
        return bytes.fromhex(head.hash)

    def _digest(self, owner: Owner) -> str:
        if owner.erased_at is not None:
            return owner.subject  # a digest already
        return self._keyring.owner_digest(owner.id, owner.subject)
