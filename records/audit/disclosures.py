"""What clients were shown, and what they were refused, on the spine: durable before the answer's first byte.

A page or a record is written down whole before it is sent. Of a blob the intent is (which ranges were asked for), and
what really went out once it is over, also when the client hung up; an intent without an end was cut off by a crash, and
may have shown all of it. Records stand there as keyed digests of their keys. Owners' own reads are not disclosures.
"""

import secrets
from collections.abc import Sequence

from blobstore.digest import Digest
from records import times
from records.audit import spine
from records.central import About, Central, Owner, SpineEvent
from records.consent.scope import Grant, Scope
from records.keyring import Keyring
from records.model import Partition

Span = tuple[int, int]
"""A range of bytes: first, and one beyond the last."""


class BlobDisclosure:
    """One answer with bytes of a blob: `end` it whatever happens."""

    def __init__(self, disclosures: "Disclosures", scope: Scope, digest: Digest, name: str) -> None:
        self._disclosures = disclosures
        self._scope = scope
        self._digest = digest
        self._name = name

    async def end(self, how: str, sent: Sequence[Span]) -> None:
        """It is over: `how` it ended and the ranges that the client may have."""
        facts = {
            "disclosure": self._name,
            "end": how,
            "bytes": sum(stop - start for start, stop in sent),
            "sent": [list(span) for span in sent],
        }
        await self._disclosures.note(self._scope, "disclosure.blob.end", facts, blob=str(self._digest))


class Disclosures:
    """Writes disclosures down and lists them. Nothing is written for an owner."""

    def __init__(self, central: Central, keyring: Keyring) -> None:
        self._central = central
        self._keyring = keyring

    async def records(
        self, scope: Scope, stream: str, places: Sequence[tuple[Partition, str]], *, removed: int
    ) -> None:
        """These records (partition and key) are about to be shown, and `removed` tombstones."""
        if scope.grant is None or not (places or removed):
            return
        facts = {
            "stream": stream,
            "instances": sorted({partition.instance for partition, _ in places}),
            "records": len(places),
            "removed": removed,
            "first": None if not places else self._key(scope.owner, places[0][1]),
            "last": None if not places else self._key(scope.owner, places[-1][1]),
        }
        await self.note(scope, "disclosure.records", facts)

    async def streams(self, scope: Scope, streams: Sequence[str]) -> None:
        """How many records these streams have is about to be shown."""
        await self.note(scope, "disclosure.streams", {"streams": list(streams)})

    async def blob(
        self, scope: Scope, digest: Digest, place: tuple[Partition, str] | None, ranges: Sequence[Span]
    ) -> BlobDisclosure:
        """These ranges of a blob are about to be sent, seen through this record."""
        name = "dis_" + secrets.token_hex(12)
        facts: dict[str, object] = {"disclosure": name, "ranges": [list(span) for span in ranges]}
        if place is not None:
            partition, key = place
            facts |= {
                "instance": partition.instance,
                "stream": partition.stream,
                "record": self._key(scope.owner, key),
            }
        await self.note(scope, "disclosure.blob.begin", facts, blob=str(digest))
        return BlobDisclosure(self, scope, digest, name)

    async def refused(self, scope: Scope, code: str, route: str) -> None:
        """The caller was refused on this route (its pattern) with this code."""
        await self._write(scope.owner, scope.grant, "disclosure.refused", {"code": code, "route": route}, None)

    async def listed(self, owner: Owner, about: About, after: int, limit: int) -> list[SpineEvent]:
        """Disclosures and refusals of an owner's data about all that `about` names, beyond event `after`."""
        return await self._central.noted(owner.id, about, after, limit)

    async def note(self, scope: Scope, kind: str, facts: dict[str, object], blob: str | None = None) -> None:
        """Write one event down, unless an owner is the caller."""
        if scope.grant is not None:
            await self._write(scope.owner, scope.grant, kind, facts, blob)

    async def _write(
        self, owner: Owner, grant: Grant | None, kind: str, facts: dict[str, object], blob: str | None
    ) -> None:
        if grant is not None:
            facts |= {"grant": grant.id, "client": grant.client, "connector": grant.connector}
        if blob is not None:
            facts["blob_id"] = blob
        about = About(None, None, blob) if grant is None else About(grant.id, grant.connector, blob)
        await self._central.note(owner.id, spine.body(kind, facts), times.now(), about)

    def _key(self, owner: Owner, key: str) -> str:
        return self._keyring.key_digest(owner.id, key)
