"""What every catalogue does about places, and while blobs move from one to another."""

import pytest

from blobstore.backend import ObjectName
from blobstore.catalogue import Catalogue, Condemned, Pin, State, Stored
from blobstore.errors import LeaseLost
from blobstore.place import FIRST, Contents, Place
from tests.conformance.catalogue_values import (
    DAY,
    NOW,
    OWNER,
    SLACK,
    claim_of,
    content_of,
    digest_of,
    lease_of,
    link,
    move,
    orphan,
    release,
    upload,
)

BUCKET = "s3://bucket/blobs"
DATA = digest_of(b"data")
LATER = NOW + DAY


async def moving(catalogue: Catalogue, of: Stored, number: int = 9) -> ObjectName:
    """A copy of it is on its way."""
    name = await catalogue.copy(lease_of(number, holder="", scope="", slot=""), of.name)
    assert name is not None
    return name


class Places:
    async def test_the_first_place_is_the_intake(self, catalogue: Catalogue) -> None:
        first = Place(FIRST, "file", {"a": "b"}, intake=True)
        assert await catalogue.places() == []
        assert await catalogue.first_place("file", {"a": "b"}) == [first]
        assert await catalogue.first_place(BUCKET, {}) == [first]
        assert await catalogue.places() == [first]

    async def test_the_intake_may_be_another(self, catalogue: Catalogue) -> None:
        await catalogue.first_place("file", {})
        place = await catalogue.take_in(BUCKET, {"region": "x"}, NOW)
        assert await catalogue.places() == [Place(FIRST, "file"), place]
        assert place == Place(place.id, BUCKET, {"region": "x"}, intake=True)

    async def test_a_place_that_is_known_keeps_its_id_and_takes_new_options(self, catalogue: Catalogue) -> None:
        await catalogue.first_place("file", {})
        place = await catalogue.take_in(BUCKET, {"region": "x"}, NOW)
        assert (await catalogue.take_in("file", {}, NOW)).id == FIRST
        assert await catalogue.places() == [
            Place(FIRST, "file", intake=True),
            Place(place.id, BUCKET, {"region": "x"}),
        ]
        assert await catalogue.take_in(BUCKET, {"region": "y"}, NOW) == Place(
            place.id, BUCKET, {"region": "y"}, intake=True
        )

    async def test_an_upload_goes_to_the_place_that_is_the_intake_when_its_bytes_are_in(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.first_place("file", {})
        await catalogue.lease(lease_of(1))
        place = await catalogue.take_in(BUCKET, {}, NOW)
        name = await catalogue.adopt(lease_of(1), content_of(b"data"), claim_of())
        assert isinstance(name, ObjectName)
        assert name.place == place.id
        assert [lease.place for lease in await catalogue.leases()] == [place.id]
        await catalogue.take_in("file", {}, NOW)
        stored = await catalogue.publish(lease_of(1), claim_of(), NOW)
        assert stored.name.place == place.id
        assert [each.name.place for each in await catalogue.walk(None, 10)] == [place.id]

    async def test_what_an_upload_left_is_looked_for_where_it_went(self, catalogue: Catalogue) -> None:
        await catalogue.first_place("file", {})
        place = await catalogue.take_in(BUCKET, {}, NOW)
        await catalogue.lease(lease_of(1))
        await catalogue.adopt(lease_of(1), content_of(b"data"), claim_of())
        await catalogue.abandon(lease_of(1))
        assert [each.name.place for each in await catalogue.condemned(10)] == [place.id]

    async def test_blobs_elsewhere_are_told_in_pages(self, catalogue: Catalogue) -> None:
        stored = [await upload(catalogue, b"%d" % number, number) for number in range(4)]
        place = await catalogue.take_in(BUCKET, {}, NOW)
        await upload(catalogue, b"new", 5)
        await catalogue.quarantine(stored[3].name)
        expected = sorted((each.name for each in stored[:3]), key=lambda name: name.digest)
        page = await catalogue.elsewhere(place.id, None, 2)
        assert [each.name for each in page] == expected[:2]
        assert [each.name for each in await catalogue.elsewhere(place.id, page[-1].name, 2)] == expected[2:]
        assert [each.name.digest for each in await catalogue.elsewhere(FIRST, None, 9)] == [digest_of(b"new")]

    async def test_a_copy_takes_the_place_of_what_it_was_made_of(self, catalogue: Catalogue) -> None:
        old = await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        place = await catalogue.take_in(BUCKET, {}, NOW)
        name = await moving(catalogue, old)
        assert name.place == place.id
        assert await catalogue.find(OWNER, DATA) == old
        assert await catalogue.moved(lease_of(9), NOW + 1, LATER)
        new = Stored(name, old.sha256, 4, State.LIVE, NOW + 1)
        assert await catalogue.find(OWNER, DATA) == new
        assert [each.name for each in await catalogue.elsewhere(place.id, None, 9)] == []
        assert await catalogue.leases() == []
        assert [each.holder for each in await catalogue.holders_of(OWNER, DATA)] == [SLACK]

    async def test_where_a_copy_is_put_is_noted_before_its_first_byte(self, catalogue: Catalogue) -> None:
        old = await upload(catalogue, b"data", 1)
        await catalogue.take_in(BUCKET, {}, NOW)
        name = await moving(catalogue, old)
        (lease,) = await catalogue.leases()
        assert (lease.id, lease.content, lease.place, lease.copies) == (
            name.generation,
            content_of(b"data"),
            name.place,
            old.name.generation,
        )
        assert await catalogue.expire(NOW + 300, []) == 1
        assert await catalogue.condemned(9) == [Condemned(name, 4, "moved", "process1")]
        assert await catalogue.find(OWNER, DATA) == old

    async def test_what_is_in_the_intake_or_not_live_is_not_copied(self, catalogue: Catalogue) -> None:
        here, bad, gone = [await upload(catalogue, data, number) for number, data in enumerate([b"a", b"b", b"c"])]
        assert await catalogue.copy(lease_of(9), here.name) is None
        await catalogue.take_in(BUCKET, {}, NOW)
        await catalogue.quarantine(bad.name)
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        await catalogue.condemn(OWNER, [gone.name.digest], "garbage")
        assert await catalogue.copy(lease_of(9), bad.name) is None
        assert await catalogue.copy(lease_of(9), gone.name) is None
        assert await catalogue.leases() == []

    async def test_of_two_copies_one_is_live(self, catalogue: Catalogue) -> None:
        old = await upload(catalogue, b"data", 1)
        await catalogue.take_in(BUCKET, {}, NOW)
        first, second = await moving(catalogue, old, 8), await moving(catalogue, old, 9)
        assert await catalogue.moved(lease_of(9), NOW, LATER)
        assert not await catalogue.moved(lease_of(8), NOW, LATER)
        assert [each.name for each in await catalogue.live(OWNER, [DATA])] == [second]
        assert [(each.name, each.reason) for each in await catalogue.condemned(9)] == [(first, "moved")]

    async def test_a_copy_whose_lease_is_gone_is_not_live(self, catalogue: Catalogue) -> None:
        old = await upload(catalogue, b"data", 1)
        await catalogue.take_in(BUCKET, {}, NOW)
        await moving(catalogue, old)
        await catalogue.expire(NOW + 300, [])
        with pytest.raises(LeaseLost):
            await catalogue.moved(lease_of(9), NOW, LATER)
        assert await catalogue.find(OWNER, DATA) == old

    async def test_a_lease_of_an_upload_moves_nothing(self, catalogue: Catalogue) -> None:
        await catalogue.lease(lease_of(1))
        with pytest.raises(LeaseLost):
            await catalogue.moved(lease_of(1), NOW, LATER)

    async def test_an_orphan_stays_one_and_becomes_no_younger(self, catalogue: Catalogue) -> None:
        old = await orphan(catalogue, b"data", 1, since=NOW - 5)
        await catalogue.take_in(BUCKET, {}, NOW)
        new = await move(catalogue, old, 9)
        (found,) = await catalogue.orphans(None, LATER, 9)
        assert (found.stored, found.since) == (new, NOW - 5)

    async def test_what_a_move_left_behind_is_kept_until_its_time(self, catalogue: Catalogue) -> None:
        old = await upload(catalogue, b"data", 1)
        await catalogue.take_in(BUCKET, {}, NOW)
        await move(catalogue, old, 9, kept_until=NOW + 10)
        assert await catalogue.condemned(9) == []
        assert {each.kept_until for each in await catalogue.generations(OWNER, DATA)} == {NOW + 10, None}
        await catalogue.expire(NOW + 9, [])
        assert await catalogue.condemned(9) == []
        await catalogue.expire(NOW + 10, [])
        assert await catalogue.condemned(9) == [Condemned(old.name, 4, "moved")]
        assert [each.kept_until for each in await catalogue.generations(OWNER, DATA)] == [None, None]

    async def test_it_may_be_kept_for_a_shorter_time(self, catalogue: Catalogue) -> None:
        for number, until in enumerate([NOW + 5, NOW + 50]):
            await catalogue.take_in("file", {}, NOW)
            old = await upload(catalogue, b"%d" % number, number)
            await catalogue.take_in(BUCKET, {}, NOW)
            await move(catalogue, old, 9 + number, kept_until=until)
        await catalogue.shorten(NOW + 10)
        kept = [each.kept_until for each in await catalogue.walk(None, 9) if each.kept_until is not None]
        assert sorted(kept) == [NOW + 5, NOW + 10]

    @pytest.mark.parametrize(("namespace", "goes"), [(None, False), (OWNER, False), ("owner2", True)])
    async def test_a_pin_keeps_it_too(self, catalogue: Catalogue, namespace: str | None, goes: bool) -> None:
        old = await upload(catalogue, b"data", 1)
        await catalogue.pin(Pin("backup", namespace, "copying", LATER))
        await catalogue.take_in(BUCKET, {}, NOW)
        await move(catalogue, old, 9, kept_until=NOW)
        await catalogue.expire(NOW, [])
        assert [each.name for each in await catalogue.condemned(9)] == [old.name] * goes
        await catalogue.unpin("backup")
        await catalogue.expire(NOW, [])
        assert [each.name for each in await catalogue.condemned(9)] == [old.name]

    async def test_an_erasure_takes_it_at_once_in_the_same_step(self, catalogue: Catalogue) -> None:
        old = await upload(catalogue, b"data", 1)
        await catalogue.pin(Pin("backup", None, "copying", LATER))
        await catalogue.take_in(BUCKET, {}, NOW)
        new = await move(catalogue, old, 9, kept_until=LATER)
        assert await catalogue.condemn(OWNER, [DATA], "erasure 1") == []  # somebody claims it
        assert await catalogue.condemned(9) == []
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        assert [each.name for each in await catalogue.condemn(OWNER, [DATA], "erasure 1")] == [new.name]
        condemned = await catalogue.condemned(9)
        assert [(each.name, each.reason) for each in condemned] == [(old.name, "moved"), (new.name, "erasure 1")]

    async def test_garbage_takes_it_along(self, catalogue: Catalogue) -> None:
        old = await orphan(catalogue, b"data", 1)
        await catalogue.take_in(BUCKET, {}, NOW)
        await move(catalogue, old, 9, kept_until=LATER)
        await catalogue.condemn(OWNER, [DATA], "garbage", before=LATER)
        assert {each.reason for each in await catalogue.condemned(9)} == {"moved", "garbage"}

    async def test_an_erasure_fences_off_copies_on_their_way(self, catalogue: Catalogue) -> None:
        old = await orphan(catalogue, b"data", 1)
        other = await orphan(catalogue, b"other", 2)
        await catalogue.take_in(BUCKET, {}, NOW)
        name, still = await moving(catalogue, old, 8), await moving(catalogue, other, 9)
        await catalogue.condemn(OWNER, [DATA], "erasure 1")
        condemned = await catalogue.condemned(9)
        assert [(each.name, each.process) for each in condemned] == [(old.name, None), (name, "process1")]
        assert [lease.id for lease in await catalogue.leases()] == [still.generation]
        with pytest.raises(LeaseLost):
            await catalogue.moved(lease_of(8), NOW, LATER)

    async def test_an_upload_of_the_same_bytes_is_not_fenced_off(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        await catalogue.condemn(OWNER, [DATA], "erasure 1")
        await catalogue.lease(lease_of(2))
        await catalogue.adopt(lease_of(2), content_of(b"data"), claim_of())
        await catalogue.condemn(OWNER, [DATA], "erasure 2")
        assert (await catalogue.publish(lease_of(2), claim_of(), NOW)).state is State.LIVE

    async def test_a_blob_counts_once_wherever_its_copies_are(self, catalogue: Catalogue) -> None:
        old = await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        await catalogue.take_in(BUCKET, {}, NOW)

        async def counted() -> list[int]:
            volumes = [await catalogue.volume(OWNER, holder) for holder in ("", SLACK)]
            (share,) = await catalogue.shares(OWNER, SLACK, [""], [DATA])
            assert await catalogue.recount(repair=False) == []
            totals = await catalogue.totals(OWNER)
            forecast = await catalogue.forecast(None, LATER)
            return [*(each.stored for each in volumes), share.size, totals.bytes, forecast.stored]

        assert await counted() == [4] * 5
        await moving(catalogue, old)
        assert await counted() == [4] * 5
        await catalogue.moved(lease_of(9), NOW, NOW)
        assert await counted() == [4] * 5
        await catalogue.expire(NOW, [])
        assert len(await catalogue.buried([old.name], NOW)) == 1
        assert await counted() == [4] * 5

    async def test_of_a_blob_that_went_nothing_counts(self, catalogue: Catalogue) -> None:
        old = await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        await catalogue.take_in(BUCKET, {}, NOW)
        await move(catalogue, old, 9)
        await release(catalogue, b"data")
        await catalogue.condemn(OWNER, [DATA], "erasure 1")
        await catalogue.buried([each.name for each in await catalogue.condemned(9)], NOW)
        assert await catalogue.volumes() == []
        assert [each.reason for each in await catalogue.gone(OWNER, DATA)] == ["erasure 1"]
        assert await catalogue.recount(repair=False) == []
        assert await catalogue.former(OWNER, SLACK, None, 9) == []
        assert [each.size for each in await catalogue.removed(OWNER, "erasure 1", None, 9)] == [4]

    async def test_contents_are_counted_by_place_and_state(self, catalogue: Catalogue) -> None:
        old = [await upload(catalogue, data, number) for number, data in enumerate([b"a", b"bb", b"ccc"])]
        place = await catalogue.take_in(BUCKET, {}, NOW)
        await move(catalogue, old[0], 9)
        await catalogue.quarantine(old[1].name)
        assert await catalogue.contents() == [
            Contents(FIRST, "condemned", True, 1, 1),
            Contents(FIRST, "live", False, 1, 3),
            Contents(FIRST, "quarantined", False, 1, 2),
            Contents(place.id, "live", False, 1, 1),
        ]

    async def test_a_place_is_forgotten_when_nothing_is_left_there(self, catalogue: Catalogue) -> None:
        await catalogue.first_place("file", {})
        old = await upload(catalogue, b"data", 1)
        place = await catalogue.take_in(BUCKET, {}, NOW)
        await move(catalogue, old, 9, kept_until=NOW)
        assert await catalogue.leave_places(NOW + 1) == []
        await catalogue.expire(NOW, [])
        await catalogue.buried([old.name], NOW)
        assert await catalogue.leave_places(NOW) == []
        assert await catalogue.leave_places(NOW + 1) == [Place(FIRST, "file")]
        assert await catalogue.places() == [place]
        assert (await catalogue.take_in("file", {}, NOW)).id not in (FIRST, place.id)

    async def test_a_place_where_something_may_come_is_not_forgotten(self, catalogue: Catalogue) -> None:
        await catalogue.first_place(BUCKET, {})
        place = await catalogue.take_in("file", {}, NOW)
        await catalogue.lease(lease_of(1))
        await catalogue.adopt(lease_of(1), content_of(b"data"), claim_of())
        await catalogue.take_in(BUCKET, {}, NOW)
        assert await catalogue.leave_places(LATER) == []
        assert place.id in {each.id for each in await catalogue.places()}

    async def test_all_bytes_may_be_gathered_in_one_place(self, catalogue: Catalogue) -> None:
        await catalogue.first_place("file", {})
        old = await upload(catalogue, b"data", 1)
        await catalogue.take_in(BUCKET, {}, NOW)
        await move(catalogue, old, 9)
        await catalogue.lease(lease_of(2))
        await catalogue.adopt(lease_of(2), content_of(b"on its way"), claim_of())
        await catalogue.gather("s3://another", {"region": "x"})
        assert await catalogue.places() == [Place(FIRST, "s3://another", {"region": "x"}, intake=True)]
        assert {(each.name.place, each.kept_until) for each in await catalogue.walk(None, 9)} == {(FIRST, None)}
        assert [lease.place for lease in await catalogue.leases()] == [FIRST]
