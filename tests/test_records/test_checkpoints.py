"""Checkpoints: made where a spine goes on soundly, and refused as proof of any other spine."""

from pathlib import Path

import pytest

from blobstore.errors import Damaged
from records import jsontext
from records.audit import spine
from records.central import Checkpoint, Owner
from records.errors import Unknown
from records.keyring import Keyring
from records.signing import NotGenuine, SignedDocument, Signer
from records.store import RecordStore
from records.upkeep import Schedule, Upkeep
from tests.fakes.data_directory import harm, upload, vandal

MOMENT = "2026-11-23T10:00:00.000000Z"
OTHERS_KEY = Keyring(bytes(32)).signer()


async def test_a_checkpoint_is_the_signed_head(store: RecordStore, ann: Owner) -> None:
    made = await store.checkpoints.newest(ann)
    head = await store.central.spine_head(ann.id)
    document = SignedDocument.verify(made.document, store.checkpoints.public_key)
    assert head is not None
    assert document.content == {
        "kind": "spine_checkpoint",
        "store_id": await store.blobs.catalogue.store_id(),
        "owner": document.content["owner"],
        "spine_head": {"seq": head.seq, "hash": head.hash.hex(), "at": head.at},
    }
    assert "ann" not in made.document.decode()


async def test_what_was_acknowledged_before_is_in_it(store: RecordStore, ann: Owner) -> None:
    before = await store.checkpoints.newest(ann)
    await upload(store, ann, b"bytes", "1")
    assert (await store.checkpoints.newest(ann)).seq > before.seq


async def test_without_a_new_event_it_stays_the_same(store: RecordStore, ann: Owner) -> None:
    made = await store.checkpoints.newest(ann)
    assert await store.checkpoints.newest(ann) == made
    assert await store.checkpoints.listed(ann, 0, 10) == [made]


async def test_a_spine_without_events_has_none(store: RecordStore) -> None:
    owner = await store.access.owner("nobody yet")
    with pytest.raises(Unknown, match="no events"):
        await store.checkpoints.newest(owner)
    await store.checkpoints.tick(0)


async def test_a_running_server_makes_them_when_the_spine_moved_and_not_too_often(
    store: RecordStore, ann: Owner
) -> None:
    await store.checkpoints.tick(3600)
    await upload(store, ann, b"bytes", "1")
    await store.checkpoints.tick(3600)
    assert len(await store.checkpoints.listed(ann, 0, 10)) == 1
    await store.checkpoints.tick(0)
    await store.checkpoints.tick(0)
    assert len(await store.checkpoints.listed(ann, 0, 10)) == 2


async def test_upkeep_begins_with_one(store: RecordStore, ann: Owner) -> None:
    upkeep = Upkeep(store, Schedule())
    upkeep.start()
    while not await store.checkpoints.listed(ann, 0, 1):
        pass
    await upkeep.stop()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM spine WHERE seq = (SELECT max(seq) FROM spine)",
        "UPDATE spine SET body = CAST('{}' AS BLOB) WHERE seq = (SELECT max(seq) FROM spine)",
        "DELETE FROM spine",
    ],
)
async def test_a_chain_that_is_broken_gets_no_new_one_and_others_do(
    store: RecordStore, ann: Owner, tmp_path: Path, sql: str
) -> None:
    zoe = await store.access.owner("zoe")
    await store.checkpoints.newest(ann)
    await upload(store, ann, b"bytes", "1")
    await store.audit.drain(ann)
    harm(tmp_path / "data" / "central.db", sql)
    await store.access.create_owner_token("ann", None)
    await store.access.create_owner_token("zoe", None)
    with pytest.raises(Damaged, match="doctor"):
        await store.checkpoints.newest(ann)
    with pytest.raises(Damaged, match="doctor"):
        await store.checkpoints.tick(0)
    assert len(await store.checkpoints.listed(ann, 0, 10)) == 1
    assert len(await store.checkpoints.listed(zoe, 0, 10)) == 1


async def test_one_that_somebody_else_signed_is_void_and_takes_no_part(store: RecordStore, ann: Owner) -> None:
    head = await store.central.spine_head(ann.id)
    assert head is not None
    document = {"kind": "spine_checkpoint", **await store.checkpoints.members(ann)}
    forged = Checkpoint(head.seq, MOMENT, jsontext.encode(OTHERS_KEY.sign(document)))
    await store.central.add_checkpoint(ann.id, forged)
    await upload(store, ann, b"bytes", "1")
    assert (await store.checkpoints.newest(ann)).seq > head.seq
    found = await store.checkpoints.verify(ann)
    assert found.faults == []
    assert [(each.seq, "another key" in each.message) for each in found.void] == [(head.seq, True)]


async def test_one_that_stands_for_another_event_is_void(store: RecordStore, ann: Owner) -> None:
    made = await store.checkpoints.newest(ann)
    await store.central.add_checkpoint(ann.id, Checkpoint(made.seq + 5, MOMENT, made.document))
    assert "is the one of event" in (await store.checkpoints.verify(ann)).void[0].message


async def test_a_spine_longer_than_a_page_is_held_against_every_one(
    store: RecordStore, ann: Owner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("records.audit.verification.PAGE", 3)
    for number in range(1, 12):
        await store.central.append(ann.id, "tests", [(number, spine.body("test"))], MOMENT)
        await store.checkpoints.newest(ann)
    sound = await store.checkpoints.verify(ann)
    assert (sound.faults, sound.void, sound.events) == ([], [], 12)
    _make_anew(tmp_path / "data" / "central.db", ann, 9)
    assert [each.seq for each in (await store.checkpoints.verify(ann)).faults] == [*range(2, 10), 10, 11, 12]


def _make_anew(database: Path, owner: Owner, length: int) -> None:
    """A sound chain of this length in place of the owner's."""
    harm(database, "DELETE FROM spine WHERE owner = ? AND seq > 1", owner.id)
    harm(database, "UPDATE owners SET events = ? WHERE id = ?", length, owner.id)
    first = "SELECT hash FROM spine WHERE owner = ? AND seq = 1"
    with vandal(database) as db:
        [previous] = db.execute(first, (owner.id,)).fetchone()
        for seq in range(2, length + 1):
            new = spine.chain(previous, seq, MOMENT, b"{}")
            db.execute("INSERT INTO spine VALUES (?, ?, ?, ?, ?, ?)", (owner.id, seq, MOMENT, b"{}", previous, new))
            previous = new


class TestReading:
    """Which documents count as proof, and of whose spine."""

    async def test_any_signed_document_with_the_members_tells_the_head(self, store: RecordStore, ann: Owner) -> None:
        members = await store.checkpoints.members(ann)
        receipt = _signer(store).sign({"kind": "erasure_receipt", "records": 3, **members})
        head = await store.checkpoints.read(ann, jsontext.encode(receipt))
        assert members["spine_head"] == {"seq": head.seq, "hash": head.hash, "at": head.at}

    async def test_another_owners_is_refused(self, store: RecordStore, ann: Owner) -> None:
        bob = await store.access.owner("bob")
        await store.access.create_owner_token("bob", None)
        with pytest.raises(NotGenuine, match="another owner's"):
            await store.checkpoints.read(ann, (await store.checkpoints.newest(bob)).document)

    async def test_an_owner_under_another_name_is_another_owner(self, store: RecordStore, ann: Owner) -> None:
        document = (await store.checkpoints.newest(ann)).document
        with pytest.raises(NotGenuine, match="another owner's"):
            await store.checkpoints.read(Owner(ann.id, "bob"), document)

    async def test_another_stores_is_refused(self, store: RecordStore, ann: Owner) -> None:
        members = await store.checkpoints.members(ann) | {"store_id": "elsewhere"}
        with pytest.raises(NotGenuine, match="another store, elsewhere"):
            await store.checkpoints.read(ann, jsontext.encode(_signer(store).sign(members)))

    async def test_one_that_somebody_else_signed_counts_only_with_their_key(
        self, store: RecordStore, ann: Owner
    ) -> None:
        text = jsontext.encode(OTHERS_KEY.sign(await store.checkpoints.members(ann)))
        with pytest.raises(NotGenuine, match="signed with another key"):
            await store.checkpoints.read(ann, text)
        assert (await store.checkpoints.read(ann, text, OTHERS_KEY.public_key)).seq > 0

    async def test_one_from_before_the_first_event_proves_nothing(self, store: RecordStore) -> None:
        owner = await store.access.owner("nobody yet")
        text = jsontext.encode(_signer(store).sign(await store.checkpoints.members(owner)))
        with pytest.raises(NotGenuine, match="before the spine had any event"):
            await store.checkpoints.read(owner, text)


def _signer(store: RecordStore) -> Signer:
    return Keyring.open(store.directory).signer()
