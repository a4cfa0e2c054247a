"""Two at once: each test plays one interleaving that would lose a blob or leak one (rules P1, P2, P3, P4, P10)."""

import asyncio

import pytest

from blobstore.backend import ObjectName
from blobstore.catalogue import Catalogue, Lease, State
from blobstore.errors import LeaseLost
from tests.conformance.catalogue_values import (
    DAY,
    GMAIL,
    NOW,
    OWNER,
    SLACK,
    claim_of,
    content_of,
    digest_of,
    lease_of,
    link,
    orphan,
    upload,
)

DATA = digest_of(b"data")


async def begin(catalogue: Catalogue, number: int, holder: str = SLACK, scope: str = "default") -> Lease:
    """An upload whose bytes are all in, but not published."""
    lease = lease_of(number, holder, scope)
    await catalogue.lease(lease)
    assert isinstance(
        await catalogue.adopt(lease, content_of(b"data"), claim_of(holder=holder, scope=scope)), ObjectName
    )
    return lease


class Interleavings:
    # -- P1: hold against release and condemnation -----------------------------------------------------------------

    async def test_p1_a_release_that_counted_before_a_hold_takes_nothing_away(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        counted = await catalogue.holders(OWNER, SLACK, [DATA])
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        assert await catalogue.release(OWNER, counted, NOW) == 0
        assert len(await catalogue.holders_of(OWNER, DATA)) == 1
        assert await catalogue.condemn(OWNER, [DATA], "garbage") == []

    async def test_p1_a_release_that_counted_before_another_release_and_hold_takes_nothing_away(
        self, catalogue: Catalogue
    ) -> None:
        await upload(catalogue, b"data", 1)
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        counted = await catalogue.holders(OWNER, SLACK, [DATA])
        assert await catalogue.release(OWNER, counted, NOW) == 1
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        assert await catalogue.release(OWNER, counted, NOW) == 0
        assert len(await catalogue.holders_of(OWNER, DATA)) == 1

    async def test_p1_a_hold_after_the_condemnation_is_refused(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        counted = await catalogue.holders(OWNER, SLACK, [DATA])
        await catalogue.release(OWNER, counted, NOW)
        assert len(await catalogue.condemn(OWNER, [DATA], "garbage")) == 1
        assert await catalogue.hold(OWNER, SLACK, [DATA], NOW) == {}

    async def test_p1_a_hold_between_plan_and_condemnation_saves_the_blob(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await upload(catalogue, b"data", 2, claim_of("b", GMAIL))
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        await catalogue.hold(OWNER, GMAIL, [DATA], NOW)
        await catalogue.drop_claims(OWNER, GMAIL, scope=None, now=NOW)
        assert await catalogue.orphans(None, NOW + DAY, 10) == []
        assert await catalogue.condemn(OWNER, [DATA], "garbage", before=NOW + DAY) == []
        assert await catalogue.find(OWNER, DATA) is not None

    async def test_p1_a_blob_that_was_an_orphan_twice_is_as_young_as_the_second_time(
        self, catalogue: Catalogue
    ) -> None:
        await orphan(catalogue, b"data", 1, NOW)
        planned = await catalogue.orphans(None, NOW + 1, 10)
        await orphan(catalogue, b"data", 2, NOW + 5)
        assert len(planned) == 1
        assert await catalogue.condemn(OWNER, [DATA], "garbage", before=NOW + 1) == []

    # -- P2: deduplication against condemnation, quarantine and another upload -------------------------------------

    async def test_p2_a_claim_before_the_condemnation_saves_the_generation(self, catalogue: Catalogue) -> None:
        stored = await orphan(catalogue, b"data", 1)
        assert (await upload(catalogue, b"data", 2)).name == stored.name
        assert await catalogue.condemn(OWNER, [DATA], "garbage", before=NOW + DAY) == []
        assert await catalogue.condemned(10) == []

    async def test_p2_an_upload_after_the_condemnation_makes_a_generation_that_the_late_removal_misses(
        self, catalogue: Catalogue
    ) -> None:
        old = await orphan(catalogue, b"data", 1)
        await catalogue.condemn(OWNER, [DATA], "garbage")
        new = await upload(catalogue, b"data", 2)
        assert new.name != old.name
        assert [each.name for each in await catalogue.condemned(10)] == [old.name]
        await catalogue.buried([old.name], NOW)
        assert await catalogue.find(OWNER, DATA) == new

    async def test_p2_of_two_uploads_of_the_same_bytes_the_second_gets_the_firsts_generation(
        self, catalogue: Catalogue
    ) -> None:
        first, second = await begin(catalogue, 1), await begin(catalogue, 2, GMAIL)
        won = await catalogue.publish(first, claim_of(), NOW)
        assert await catalogue.publish(second, claim_of(holder=GMAIL), NOW) == won
        assert won.name.generation == first.id
        (loser,) = await catalogue.condemned(10)
        assert (loser.name.generation, loser.process) == (second.id, None)
        assert {each.claim.holder for each in await catalogue.claims_of(OWNER, DATA)} == {SLACK, GMAIL}
        await catalogue.buried([loser.name], NOW)
        assert await catalogue.find(OWNER, DATA) == won

    async def test_p2_many_uploads_of_the_same_bytes_at_once_leave_one_live_generation(
        self, catalogue: Catalogue
    ) -> None:
        stored = await asyncio.gather(
            *(upload(catalogue, b"data", number, claim_of(f"slot{number}")) for number in range(12))
        )
        assert len(set(stored)) == 1
        states = [each.state for each in await catalogue.generations(OWNER, DATA)]
        assert states.count(State.LIVE) == 1
        assert len(await catalogue.claims_of(OWNER, DATA)) == 12
        assert await catalogue.leases() == []

    async def test_p2_the_same_bytes_again_heal_a_quarantined_blob(self, catalogue: Catalogue) -> None:
        bad = await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        await catalogue.quarantine(bad.name)
        good = await upload(catalogue, b"data", 2)
        assert good.name != bad.name
        assert await catalogue.find(OWNER, DATA) == good
        assert [(each.name, each.reason) for each in await catalogue.condemned(10)] == [(bad.name, "healed")]
        assert len(await catalogue.holders_of(OWNER, DATA)) == 1

    async def test_p2_an_upload_that_was_under_way_when_the_blob_was_quarantined_heals_it(
        self, catalogue: Catalogue
    ) -> None:
        first, second = await begin(catalogue, 1), await begin(catalogue, 2)
        bad = await catalogue.publish(first, claim_of(), NOW)
        await catalogue.quarantine(bad.name)
        good = await catalogue.publish(second, claim_of(), NOW)
        assert good.name.generation == second.id
        assert await catalogue.find(OWNER, DATA) == good

    # -- P3, P4: the lease is the fence ----------------------------------------------------------------------------

    async def test_p3_an_upload_whose_lease_expired_is_not_published(self, catalogue: Catalogue) -> None:
        lease = await begin(catalogue, 1)
        assert await catalogue.expire(NOW + 300, []) == 1
        with pytest.raises(LeaseLost):
            await catalogue.publish(lease, claim_of(), NOW + 300)
        assert await catalogue.find(OWNER, DATA) is None
        assert await catalogue.claims_of(OWNER, DATA) == []
        assert [each.name.generation for each in await catalogue.condemned(10)] == [lease.id]

    async def test_p3_an_upload_that_is_published_before_the_expiry_is_kept(self, catalogue: Catalogue) -> None:
        lease = await begin(catalogue, 1)
        stored = await catalogue.publish(lease, claim_of(), NOW + 299)
        assert await catalogue.expire(NOW + 300, ["process1"]) == 0
        assert await catalogue.find(OWNER, DATA) == stored
        assert await catalogue.condemned(10) == []

    async def test_p3_a_lease_that_ran_out_of_time_is_still_published_while_its_row_is_there(
        self, catalogue: Catalogue
    ) -> None:
        lease = await begin(catalogue, 1)
        assert await catalogue.publish(lease, claim_of(), NOW + 900) == await catalogue.find(OWNER, DATA)

    async def test_p3_a_renewed_lease_outlives_its_first_expiry(self, catalogue: Catalogue) -> None:
        lease = await begin(catalogue, 1)
        await catalogue.renew("process1", NOW + 600)
        assert await catalogue.expire(NOW + 300, []) == 0
        assert await catalogue.publish(lease, claim_of(), NOW) == await catalogue.find(OWNER, DATA)

    async def test_p4_a_fence_before_the_bytes_are_in_leaves_nothing(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1, claim_of(holder=GMAIL))
        lease = lease_of(2)
        await catalogue.lease(lease)
        assert await catalogue.fence(OWNER, SLACK, "default") == [lease]
        with pytest.raises(LeaseLost):
            await catalogue.adopt(lease, content_of(b"data"), claim_of())
        assert [each.claim.holder for each in await catalogue.claims_of(OWNER, DATA)] == [GMAIL]

    async def test_p4_a_fence_while_the_bytes_are_published_leaves_nothing(self, catalogue: Catalogue) -> None:
        lease = await begin(catalogue, 1)
        (taken,) = await catalogue.fence(OWNER, SLACK, None)
        assert taken.id == lease.id
        with pytest.raises(LeaseLost):
            await catalogue.publish(lease, claim_of(), NOW)
        assert await catalogue.find(OWNER, DATA) is None
        assert [each.name.generation for each in await catalogue.condemned(10)] == [lease.id]
        assert await catalogue.claims_of(OWNER, DATA) == []

    async def test_p4_a_fence_leaves_other_scopes_alone(self, catalogue: Catalogue) -> None:
        lease = await begin(catalogue, 1, scope="two")
        assert await catalogue.fence(OWNER, SLACK, "one") == []
        assert await catalogue.publish(lease, claim_of(scope="two"), NOW) == await catalogue.find(OWNER, DATA)

    # -- P10: claims -----------------------------------------------------------------------------------------------

    async def test_p10_a_claim_protects_whatever_the_grace_until_it_expires(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        assert await catalogue.expire(NOW + 6 * DAY, []) == 0
        assert await catalogue.condemn(OWNER, [DATA], "garbage", before=NOW + 6 * DAY) == []
        assert await catalogue.expire(NOW + 7 * DAY, []) == 1
        assert len(await catalogue.condemn(OWNER, [DATA], "garbage", before=NOW + 8 * DAY)) == 1

    async def test_p10_a_claim_that_became_a_link_does_not_take_the_blob_with_it_when_it_expires(
        self, catalogue: Catalogue
    ) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        assert await catalogue.expire(NOW + 8 * DAY, []) == 0
        assert await catalogue.condemn(OWNER, [DATA], "garbage") == []
