"""Claims by proof: fenced, counted, and told on the audit log, as an upload is."""

import time

import msgspec
import pytest

from blobstore import possession
from blobstore.errors import BlobNotFound, LeaseLost, OverQuota
from blobstore.quota import Limit
from records.central import Owner
from records.consent.scope import Selector
from records.errors import Conflict, Invalid
from records.store import RecordStore
from records.writing import possession as writing
from records.writing.attachments import Target
from records.writing.possession import Challenge
from tests.fakes.data_directory import CONNECTOR, LETTER, MANIFEST, digest_of, upload


async def challenge(store: RecordStore, ann: Owner, data: bytes = LETTER) -> Challenge:
    (found,) = await store.possession.have(ann, Selector(CONNECTOR), [(digest_of(data), len(data))])
    assert found.challenge is not None
    return found.challenge


async def claim(store: RecordStore, ann: Owner, asked: Challenge, data: bytes = LETTER, key: str = "2") -> None:
    proof = possession.prove(asked.key, [data[start:stop] for start, stop in asked.ranges])
    await store.possession.claim(
        ann, Target(Selector(CONNECTOR), "documents", key, "text/plain"), token=asked.token, proof=proof
    )


async def claims(store: RecordStore, ann: Owner) -> int:
    return len(await store.blobs.catalogue.claims_of(ann.id, digest_of(LETTER)))


async def test_a_claim_leaves_what_an_upload_leaves(store: RecordStore, ann: Owner) -> None:
    await upload(store, ann, LETTER, "1")
    asked = await challenge(store, ann)
    await claim(store, ann, asked)
    await claim(store, ann, asked)  # a second time is as good as once
    assert await claims(store, ann) == 2
    assert await store.blobs.catalogue.leases() == []
    assert await store.blobs.catalogue.reserved() == 0
    await store.audit.drain(ann)
    events = [each.body for each in await store.central.spine(ann.id, 0, 100)]
    assert [b"blob.upload" in body for body in events].count(True) == 3


async def test_an_erasure_that_comes_between_leaves_nothing(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upload(store, ann, LETTER, "1")
    asked = await challenge(store, ann)
    proven = store.possession._proven

    async def erased_meanwhile(*args: object) -> object:
        found = await proven(*args)  # type: ignore[arg-type]
        await store.erasures.erase(ann, await store.erasures.coverage.of_connector(ann, CONNECTOR), wait=5)
        return found

    monkeypatch.setattr(store.possession, "_proven", erased_meanwhile)
    with pytest.raises((Conflict, LeaseLost)):
        await claim(store, ann, asked)
    assert await claims(store, ann) == 0
    assert await store.blobs.catalogue.find(ann.id, digest_of(LETTER)) is None
    assert list(store.blobs.backend.list()) == []


async def test_what_is_claimed_counts_against_quotas(store: RecordStore, ann: Owner) -> None:
    await store.registry.register(ann, msgspec.json.encode({**MANIFEST, "connector_id": "other"}))
    await upload(store, ann, LETTER, "1", connector="other")
    asked = await challenge(store, ann)
    limit = Limit(ann.id, CONNECTOR, len(LETTER) - 1)
    await store.blobs.catalogue.limit(limit)
    with pytest.raises(OverQuota):
        await claim(store, ann, asked)
    assert await store.blobs.catalogue.reserved() == 0
    await store.blobs.catalogue.unlimit(limit.namespace, limit.holder)
    await claim(store, ann, asked)
    volume = await store.blobs.catalogue.volume(ann.id, CONNECTOR)
    assert (volume.stored, volume.reserved) == (len(LETTER), 0)


async def test_what_is_only_said_takes_no_room(store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = await store.possession.have(ann, Selector(CONNECTOR), [(digest_of(LETTER), 10**15)])
    assert found.challenge is not None
    proven, reserved = store.possession._proven, []

    async def looking(*args: object) -> object:
        reserved.append(await store.blobs.catalogue.reserved())
        return await proven(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(store.possession, "_proven", looking)
    with pytest.raises(BlobNotFound):
        await claim(store, ann, found.challenge)
    assert reserved == [0]


async def test_what_is_damaged_is_not_there(store: RecordStore, ann: Owner) -> None:
    await upload(store, ann, LETTER, "1")
    asked = await challenge(store, ann)
    (path,) = (path for path in (store.directory / "blobs").rglob("*") if path.is_file() and path.stat().st_size == 8)
    path.chmod(0o600)
    path.write_bytes(LETTER + b" that grew")
    with pytest.raises(BlobNotFound):
        await claim(store, ann, asked)
    assert await store.blobs.catalogue.leases() == []


async def test_a_challenge_is_answered_within_ten_minutes(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upload(store, ann, LETTER, "1")
    asked = await challenge(store, ann)
    later = time.time() + writing.SECONDS + 1
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: later)
        with pytest.raises(Invalid, match="ask for another"):
            await claim(store, ann, asked)
    await claim(store, ann, asked)


@pytest.mark.parametrize("size", [possession.WHOLE + 1, 10**15])
def test_no_place_of_a_large_blob_is_spared(size: int) -> None:
    found = [pair for n in range(300) for pair in possession.ranges(n.to_bytes(32), size)]
    assert all(start >= 0 and stop <= size and stop - start == possession.LENGTH for start, stop in found)
    tenths = {start * 10 // (size - possession.LENGTH + 1) for start, _ in found}
    assert tenths == set(range(10))
