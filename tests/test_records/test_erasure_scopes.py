"""Every scope of an erasure, from a record to an owner: what the preview says is what goes, to the byte."""

import hashlib

import msgspec
import pytest

from blobstore.quota import EVERY, WHOLE, Limit
from records.central import Owner
from records.consent.scope import Selector
from records.erasure import receipts
from records.erasure.report import Covered, Erasure, Keeper
from records.errors import Conflict, Unknown
from records.model import Order
from records.signing import NotGenuine
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, digest_of, ingest, objects, upload

OTHER = "other"
SCOPES = ["record", "stream", "stream of all", "instance", "connector", "owner"]

BLOBS = {name: name.encode() * length for length, name in enumerate(("own", "twice", "streams", "homes", "both"), 3)}
"""`own` is one record's, `twice` two records', the others' names tell where else than there they are linked."""


@pytest.fixture
async def ann(store: RecordStore) -> Owner:
    """An owner whose blobs are shared in every way there is."""
    owner = await store.access.owner("ann")
    for name in (CONNECTOR, OTHER):
        await store.registry.register(owner, msgspec.json.encode({**MANIFEST, "connector_id": name}))
    home, work = "home", "work"
    await put(store, owner, "1", ["own", "twice", "streams", "homes", "both"], instance=home)
    await put(store, owner, "2", ["twice"], instance=home)
    await put(store, owner, "1", ["streams"], "photos", instance=home)
    await put(store, owner, "1", ["homes"], instance=work)
    await put(store, owner, "1", ["both"], connector=OTHER)
    await upload(store, owner, b"claimed", "9", instance=home)
    await upload(store, owner, b"claimed elsewhere too", "9", instance=home)
    await upload(store, owner, b"claimed elsewhere too", "9", "photos", instance=home)
    for connector, data in ((CONNECTOR, b"given up"), (OTHER, b"other garbage")):
        await put(store, owner, "8", [], instance=None if connector == OTHER else work, connector=connector, more=data)
    await give_up(store, owner)
    return owner


async def put(
    store: RecordStore,
    owner: Owner,
    key: str,
    names: list[str],
    stream: str = "documents",
    instance: str | None = None,
    connector: str = CONNECTOR,
    more: bytes | None = None,
) -> None:
    contents = [BLOBS[name] for name in names] + ([] if more is None else [more])
    blobs = [await upload(store, owner, each, key, stream, instance, connector) for each in contents]
    await ingest(store, owner, key, blobs, stream, instance, connector)


async def give_up(store: RecordStore, owner: Owner) -> None:
    for connector, instance in ((CONNECTOR, "work"), (OTHER, None)):
        gone = await store.ingests.begin(owner, "documents", Selector(connector, instance))
        await gone.apply([b'{"key":"8","emitted_at":"2026-11-23T10:00:00Z","op":"delete"}'])


async def covered(store: RecordStore, owner: Owner, scope: str) -> Covered:
    erasures = store.erasures
    match scope:
        case "record":
            return await erasures.coverage.of_records(owner, Selector(CONNECTOR, "home"), "documents", "1")
        case "stream":
            return await erasures.coverage.of_records(owner, Selector(CONNECTOR, "home"), "documents")
        case "stream of all":
            return await erasures.coverage.of_records(owner, Selector(CONNECTOR), "documents")
        case "instance":
            return await erasures.coverage.of_instance(owner, "home")
        case "connector":
            return await erasures.coverage.of_connector(owner, CONNECTOR)
    return await erasures.coverage.of_owner(owner)


async def erase(store: RecordStore, owner: Owner, scope: str) -> Erasure:
    return await store.erasures.erase(owner, await covered(store, owner, scope), wait=10)


async def stored(store: RecordStore) -> dict[str, int]:
    """Sizes of all that is stored, by digest."""
    return {str(each.name.digest): each.size for each in await store.blobs.catalogue.walk(None, 1000)}


KEPT = {
    "record": {"twice", "streams", "homes", "both"},
    "stream": {"streams", "homes", "both"},
    "stream of all": {"streams", "both"},
    "instance": {"homes", "both"},
    "connector": {"both"},
    "owner": set[str](),
}


@pytest.mark.parametrize("scope", SCOPES)
async def test_the_preview_is_what_goes_to_the_byte(store: RecordStore, ann: Owner, scope: str) -> None:
    before = await stored(store)
    on_disk = {str(name.digest): size for name, size in objects(store.blobs.backend)}
    preview = await store.erasures.preview(ann, await covered(store, ann, scope))
    assert await stored(store) == before

    done = (await erase(store, ann, scope)).report

    gone = before.keys() - (await stored(store)).keys()
    assert (preview.blobs, preview.bytes) == (len(gone), sum(before[each] for each in gone))
    assert (done.records, done.blobs, done.bytes) == (preview.records, preview.blobs, preview.bytes)
    left = {str(name.digest) for name, _ in objects(store.blobs.backend)}
    assert sum(size for digest, size in on_disk.items() if digest not in left) == preview.bytes
    assert str(digest_of(BLOBS["own"])) in gone
    assert str(digest_of(b"given up")) in gone
    assert (str(digest_of(b"claimed")) in gone) is (scope != "record")
    assert (str(digest_of(b"other garbage")) in gone) is (scope == "owner")
    assert {name for name in BLOBS if str(digest_of(BLOBS[name])) not in gone} == KEPT[scope]
    assert done.kept == preview.kept


@pytest.mark.parametrize(
    ("scope", "keepers"),
    [
        (
            "record",
            [
                Keeper(CONNECTOR, "home", "documents", 1, len(BLOBS["twice"])),
                Keeper(CONNECTOR, "home", "photos", 1, len(BLOBS["streams"])),
                Keeper(CONNECTOR, "work", "documents", 1, len(BLOBS["homes"])),
                Keeper(OTHER, None, None, 1, len(BLOBS["both"])),
            ],
        ),
        (
            "instance",
            [
                Keeper(CONNECTOR, "work", "documents", 1, len(BLOBS["homes"])),
                Keeper(OTHER, None, None, 1, len(BLOBS["both"])),
            ],
        ),
        ("connector", [Keeper(OTHER, None, None, 1, len(BLOBS["both"]))]),
        ("owner", []),
    ],
)
async def test_the_preview_says_with_whom_blobs_are_shared(
    store: RecordStore, ann: Owner, scope: str, keepers: list[Keeper]
) -> None:
    kept = (await store.erasures.preview(ann, await covered(store, ann, scope))).kept
    assert list(kept.keepers) == keepers
    assert kept.blobs == len(KEPT[scope])
    assert kept.bytes == sum(len(BLOBS[name]) for name in KEPT[scope])


async def test_a_claim_for_another_stream_keeps_a_blob_and_says_so(store: RecordStore, ann: Owner) -> None:
    kept = (await store.erasures.preview(ann, await covered(store, ann, "stream"))).kept
    assert Keeper(CONNECTOR, "home", None, 1, len(b"claimed elsewhere too")) in kept.keepers


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_quarantined_blob_goes_too_and_is_counted(store: RecordStore, ann: Owner, scope: str) -> None:
    (live,) = await store.blobs.catalogue.generations(ann.id, digest_of(BLOBS["own"]))
    assert await store.blobs.catalogue.quarantine(live.name)
    preview = await store.erasures.preview(ann, await covered(store, ann, scope))
    done = (await erase(store, ann, scope)).report
    assert (done.blobs, done.bytes) == (preview.blobs, preview.bytes)
    assert await store.blobs.catalogue.generations(ann.id, digest_of(BLOBS["own"])) == []


async def test_the_rows_of_a_preview_are_counted_by_connector_and_stream(store: RecordStore, ann: Owner) -> None:
    preview = await store.erasures.preview(ann, await covered(store, ann, "owner"))
    assert [(each.connector, each.stream, each.records) for each in preview.rows] == [
        (CONNECTOR, "documents", 3),
        (CONNECTOR, "photos", 1),
        (OTHER, "documents", 1),
    ]
    assert [each.records for each in (await store.erasures.preview(ann, await covered(store, ann, "record"))).rows] == [
        1
    ]


async def test_erasing_one_source_leaves_the_other_to_the_byte(store: RecordStore, ann: Owner) -> None:
    engine = await store.engines.of(ann.id)
    places = [place for place in await engine.stats() if place.connector == OTHER]
    before = await engine.page(places, Order.ASC, None, 100), await engine.links_of(digest_of(BLOBS["both"]))
    await erase(store, ann, "connector")
    after = await engine.page(places, Order.ASC, None, 100), await engine.links_of(digest_of(BLOBS["both"]))
    assert after[0] == before[0]
    assert after[1] == [link for link in before[1] if link.partition.connector == OTHER]
    async with await store.blobs.open_blob(ann.id, digest_of(BLOBS["both"])) as blob:
        assert await blob.read(0, blob.size) == BLOBS["both"]
    assert str(digest_of(b"other garbage")) in await stored(store)


# -- owners ------------------------------------------------------------------------------------------------------------


async def test_an_erased_owner_leaves_a_spine_under_a_digest_and_nothing_else(store: RecordStore, ann: Owner) -> None:
    bob = await store.access.owner("bob")
    await store.registry.register(bob, msgspec.json.encode(MANIFEST))
    await ingest(store, bob, "1", [await upload(store, bob, b"bob's", "1")])
    token = await store.access.create_owner_token("ann", None)
    done = await erase(store, ann, "owner")

    assert (done.report.state, done.report.records, done.report.streams) == ("done", 5, 4)
    digest = store.keyring.owner_digest(ann.id, "ann")
    (gone,) = [owner for owner in await store.central.owners() if owner.id == ann.id]
    assert (gone.subject, gone.erased_at is not None) == (digest, True)
    assert await store.access.resolve(token) is None
    assert await store.central.connectors(ann.id) == []
    assert [each.name.namespace for each in await store.blobs.catalogue.walk(None, 100)] == [bob.id]
    assert await store.blobs.catalogue.parties() == [(bob.id, CONNECTOR)]
    assert all(of.records == 0 for of in (await (await store.engines.of(ann.id)).stats()).values())
    assert not (await store.checkpoints.verify(gone)).faults
    spine = await store.central.spine(ann.id, 0, 1000)
    assert not any(b"ann" in event.body for event in spine)
    anew = await store.access.owner("ann")
    assert anew.id != ann.id
    assert await store.central.spine(anew.id, 0, 10) == []


async def test_the_quotas_of_an_erased_owner_go_with_everything_else(store: RecordStore, ann: Owner) -> None:
    catalogue = store.blobs.catalogue
    others = [Limit(EVERY, EVERY, 1 << 30), Limit("somebody else", WHOLE, 1 << 30)]
    for limit in (*others, Limit(ann.id, WHOLE, 1 << 30), Limit(ann.id, CONNECTOR, None)):
        await catalogue.limit(limit)
    await store.erasures.erase(ann, await covered(store, ann, "owner"), wait=10)
    assert await catalogue.limits() == others


@pytest.mark.parametrize("scope", ["record", "stream"])
async def test_what_is_in_a_stream_that_is_not_declared_any_more_can_be_erased(
    store: RecordStore, ann: Owner, scope: str
) -> None:
    photos = [stream for stream in MANIFEST["streams"] if stream["name"] == "photos"]
    await store.registry.register(ann, msgspec.json.encode({**MANIFEST, "streams": photos}))
    goes = await covered(store, ann, scope)
    preview = await store.erasures.preview(ann, goes)
    done = (await store.erasures.erase(ann, goes, wait=10)).report
    assert (done.clean, done.records) == (True, preview.records)
    assert done.records > 0
    with pytest.raises(Unknown):
        await store.erasures.coverage.of_records(ann, Selector(CONNECTOR), "never there", None)


async def test_an_owner_is_erased_once(store: RecordStore, ann: Owner) -> None:
    await erase(store, ann, "owner")
    (gone,) = [owner for owner in await store.central.owners() if owner.id == ann.id]
    with pytest.raises(Conflict):
        await store.erasures.coverage.of_owner(gone)


async def test_no_name_of_an_erased_owner_is_left_in_any_file(store: RecordStore) -> None:
    name = "ann.example.7f3a91@nowhere.test"
    owner = await store.access.owner(name)
    await store.registry.register(owner, msgspec.json.encode(MANIFEST))
    await store.access.create_owner_token(name, None)
    await ingest(store, owner, "1", [])
    done = await store.erasures.erase(owner, await store.erasures.coverage.of_owner(owner), wait=10)
    assert done.report.state == "done"
    files = [path for path in store.directory.rglob("*") if path.is_file()]
    assert [path.name for path in files if name.encode() in path.read_bytes()] == []


# -- receipts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
async def test_the_receipt_proves_what_went_without_naming_content(store: RecordStore, ann: Owner, scope: str) -> None:
    done = await erase(store, ann, scope)
    assert done.receipt is not None
    found, signer = receipts.verify(done.receipt, store.erasures.public_key)
    assert signer == store.erasures.public_key
    assert (found.erasure_id, found.scope.kind, found.resumed) == (done.report.id, scope.split()[0], 0)
    assert (found.erased.records, found.erased.blobs) == (done.report.records, done.report.blobs)
    assert found.owner == store.keyring.owner_digest(ann.id, "ann")
    assert b'"1"' not in done.receipt
    assert b"ann" not in done.receipt
    assert msgspec.json.decode(done.receipt)["residue"]["result"] == found.residue.result == "clean"
    again = await store.erasures.find(ann, done.report.id)
    assert again == done
    done_event = (await store.central.spine(ann.id, 0, 1000))[-1]
    assert msgspec.json.decode(done_event.body)["receipt"] == receipts.digest(done.receipt)


async def test_a_receipt_is_a_checkpoint(store: RecordStore, ann: Owner) -> None:
    done = await erase(store, ann, "connector")
    assert done.receipt is not None
    head = await store.checkpoints.read(ann, done.receipt)
    (event,) = await store.central.spine(ann.id, head.seq - 1, 1)
    assert head.hash == event.hash.hex()


@pytest.mark.parametrize("change", [b'"records":1', b'"resumed":0', b'"version":1', b"era_"])
async def test_a_receipt_that_was_changed_is_not_genuine(store: RecordStore, ann: Owner, change: bytes) -> None:
    done = await erase(store, ann, "record")
    assert done.receipt is not None
    assert change in done.receipt
    with pytest.raises(NotGenuine):
        receipts.verify(
            done.receipt.replace(change, change.replace(b"1", b"2").replace(b"0", b"1").replace(b"e", b"f"))
        )


async def test_a_signed_document_of_another_kind_is_no_receipt(store: RecordStore, ann: Owner) -> None:
    checkpoint = await store.checkpoints.newest(ann)
    with pytest.raises(NotGenuine, match="no receipt"):
        receipts.verify(checkpoint.document)


async def test_the_digest_of_removed_blobs_can_be_computed_by_anyone(store: RecordStore, ann: Owner) -> None:
    before = await stored(store)
    done = await erase(store, ann, "connector")
    assert done.receipt is not None
    gone = sorted(before.keys() - (await stored(store)).keys())
    text = "".join(f"{blob}\n" for blob in gone)
    assert msgspec.json.decode(done.receipt)["removed_blobs_sha256"] == hashlib.sha256(text.encode()).hexdigest()


async def test_erasures_are_listed_and_found_by_their_owner_alone(store: RecordStore, ann: Owner) -> None:
    first, second = await erase(store, ann, "record"), await erase(store, ann, "stream")
    assert list(await store.erasures.listed(ann, None, 10)) == [second, first]
    assert list(await store.erasures.listed(ann, second.report.id, 10)) == [first]
    bob = await store.access.owner("bob")
    with pytest.raises(Unknown):
        await store.erasures.find(bob, first.report.id)
