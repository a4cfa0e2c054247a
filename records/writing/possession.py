"""Not sending what is there: which blobs a connector has, and claims by whoever shows to have the bytes.

What is said depends on nothing but what the caller's own connector holds. A challenge is made for whatever is asked
for, from what the caller said of it; and every proof that does not hold gets the same answer, whether the blob is not
there, is another owner's, has another size, or is not what the caller has.
"""

import hmac
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from blobstore import possession
from blobstore.catalogue import Stored
from blobstore.digest import Digest
from blobstore.errors import BlobNotFound, ContentMismatch
from blobstore.store import BlobStore
from records.central import Owner
from records.consent.scope import Scope, Selector
from records.errors import Invalid, InvalidCursor
from records.keyring import Keyring
from records.reading.cursor import Binding, seal, unseal
from records.registry import Registry
from records.writing.attachments import Attachments, Target

SECONDS = 600.0
"""So long a challenge may be answered."""

_EXPIRED = "the token of the challenge is not one of this server, or is older than ten minutes: ask for another one"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is to be hashed, under which key; `token` brings it back."""

    token: str
    key: bytes
    ranges: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether the connector has a blob, so that a record may name it now. True or not, it binds nothing."""

    digest: Digest
    have: bool
    challenge: Challenge | None


class _Sealed(msgspec.Struct, array_like=True):
    digest: str
    size: int
    key: bytes
    until: float


class Possession:
    """Answers for what is in one store."""

    def __init__(self, blobs: BlobStore, registry: Registry, attachments: Attachments, keyring: Keyring) -> None:
        self._blobs = blobs
        self._registry = registry
        self._attachments = attachments
        self._keyring = keyring

    async def have(
        self, owner: Owner, selector: Selector, asked: Sequence[tuple[Digest, int | None]]
    ) -> list[Presence]:
        """For each digest, in order, whether the connector has it; with a size (bytes) also a challenge.

        Raises `Invalid`, `Unknown`.
        """
        if selector.connector is None:
            raise Invalid("connector_id is missing: name the connector that asks", param="connector_id")
        connector = (await self._registry.connector(Scope.of_owner(owner), selector.connector)).key
        digests = {digest for digest, _ in asked}
        shares = await self._blobs.catalogue.shares(owner.id, connector, [""], digests)
        own = {share.digest for share in shares if share.held or share.covered}
        live = {stored.name.digest for stored in await self._blobs.catalogue.live(owner.id, own)}
        return [
            Presence(digest, digest in live, None if size is None else self._challenge(owner, digest, size))
            for digest, size in asked
        ]

    async def claim(self, owner: Owner, target: Target, *, token: str, proof: str) -> tuple[Stored, str]:
        """Claim the blob of the challenge for a record, as an upload of its bytes would: what is stored, its type.

        Raises `BlobNotFound` for every proof that does not hold; `Invalid` for a token that is none or too old; and
        what `Attachments.receive` raises.
        """
        asked = self._asked(owner, token)
        slot, destination = await self._attachments.place(owner, target)

        async def proven() -> Stored:
            await self._attachments.require_open(owner, destination)
            return await self._proven(owner, asked, proof)

        count = self._attachments.count(owner, destination)
        return await self._blobs.claim(owner.id, slot, proven, count), slot.media_type

    def _challenge(self, owner: Owner, digest: Digest, size: int) -> Challenge:
        key = os.urandom(32)
        sealed = _Sealed(digest.hex, size, key, time.time() + SECONDS)
        token = seal(self._keyring.derived("possession", owner.id), _binding(owner), sealed)
        return Challenge(token, key, possession.ranges(key, size))

    def _asked(self, owner: Owner, token: str) -> _Sealed:
        try:
            asked = unseal(self._keyring.derived("possession", owner.id), _binding(owner), token, _Sealed)
        except InvalidCursor:
            raise Invalid(_EXPIRED, param="token") from None
        if asked.until < time.time():
            raise Invalid(_EXPIRED, param="token")
        return asked

    async def _proven(self, owner: Owner, asked: _Sealed, proof: str) -> Stored:
        """The blob, where the proof holds. Raises `BlobNotFound`."""
        digest = Digest(asked.digest)
        stored = await self._blobs.catalogue.find(owner.id, digest)
        if stored is None or stored.size != asked.size:
            raise BlobNotFound(str(digest))
        try:
            async with await self._blobs.open_stored(stored) as blob:
                pieces = [await blob.read(a, b - a) for a, b in possession.ranges(asked.key, asked.size)]
        except ContentMismatch:  # damaged: it is not what has this name
            raise BlobNotFound(str(digest)) from None
        if not hmac.compare_digest(possession.prove(asked.key, pieces).encode(), proof.encode(errors="replace")):
            raise BlobNotFound(str(digest))
        return stored


def _binding(owner: Owner) -> Binding:
    return Binding("possession", owner.id, "", "", "")
