"""Leases, claims and contents for the suite of catalogues, and the way of an upload through a catalogue."""

from blobstore.catalogue import Catalogue, Claim, Lease, Stored
from blobstore.digest import Content, Digest, Hasher

OWNER = "owner1"
SLACK = "slack"
GMAIL = "gmail"
DAY = 86_400.0
NOW = 1_000 * DAY
"""The clock of the suite, in UTC seconds."""


def content_of(data: bytes) -> Content:
    hasher = Hasher()
    hasher.update(data)
    return hasher.finish()


def digest_of(data: bytes) -> Digest:
    return content_of(data).digest


def lease_of(
    number: int,
    holder: str = SLACK,
    scope: str = "default",
    process: str = "process1",
    expires_at: float = NOW + 300,
    namespace: str = OWNER,
    reserved: int = 0,
    slot: str = "slot1",
) -> Lease:
    return Lease(f"{number:032x}", namespace, holder, scope, process, expires_at, reserved=reserved, slot=slot)


def claim_of(
    slot: str = "slot1",
    holder: str = SLACK,
    scope: str = "default",
    media_type: str = "text/plain",
    expires_at: float = NOW + 7 * DAY,
) -> Claim:
    return Claim(holder, scope, slot, media_type, expires_at)


async def upload(
    catalogue: Catalogue,
    data: bytes,
    number: int,
    claim: Claim | None = None,
    namespace: str = OWNER,
    now: float = NOW,
) -> Stored:
    """Lease, adopt, publish: what an upload of these bytes asks of the catalogue."""
    claim = claim or claim_of()
    lease = lease_of(number, claim.holder, claim.scope, namespace=namespace, expires_at=now + 300)
    await catalogue.lease(lease)
    adopted = await catalogue.adopt(lease, content_of(data), claim)
    return adopted if isinstance(adopted, Stored) else await catalogue.publish(lease, claim, now)


async def move(catalogue: Catalogue, of: Stored, number: int, kept_until: float = NOW + DAY) -> Stored:
    """A copy of the generation takes its place, in the intake."""
    lease = lease_of(number, holder="", scope="", slot="")
    assert await catalogue.copy(lease, of.name) is not None
    assert await catalogue.moved(lease, NOW, kept_until)
    moved = await catalogue.find(of.name.namespace, of.name.digest)
    assert moved is not None
    return moved


async def link(catalogue: Catalogue, data: bytes, slots: tuple[str, ...] = ("slot1",), holder: str = SLACK) -> None:
    """What a record that names the blob asks of the catalogue."""
    assert await catalogue.hold(OWNER, holder, [digest_of(data)], NOW) == {digest_of(data): len(data)}
    await catalogue.settle(OWNER, holder, [(digest_of(data), slots)])


async def release(catalogue: Catalogue, data: bytes, now: float = NOW, holder: str = SLACK) -> int:
    """What a collector asks of the catalogue when no link is left."""
    return await catalogue.release(OWNER, await catalogue.holders(OWNER, holder, [digest_of(data)]), now)


async def orphan(catalogue: Catalogue, data: bytes, number: int, since: float = NOW, namespace: str = OWNER) -> Stored:
    """A blob that nobody holds or claims since `since`."""
    stored = await upload(catalogue, data, number, claim_of(f"orphan {number}."), namespace)
    await catalogue.drop_claims(namespace, SLACK, scope=None, beginning=f"orphan {number}.", now=since)
    return stored
