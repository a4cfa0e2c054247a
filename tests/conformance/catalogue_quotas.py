"""What every catalogue does with quotas: limits, volumes, and the room that uploads under way have reserved."""

import asyncio

import pytest

from blobstore.backend import ObjectName
from blobstore.catalogue import Catalogue, Stored
from blobstore.errors import LargerThanQuota, LeaseLost, OverQuota
from blobstore.quota import EVERY, UNCOUNTED, WHOLE, Beside, Limit, Uncounted, Volume
from tests.conformance.catalogue_values import (
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
    release,
    upload,
)

OTHER = "owner2"


class Quotas:
    # -- what counts -----------------------------------------------------------------------------------------------

    async def test_a_blob_counts_once_for_its_namespace_and_once_for_each_holder(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"1234", 1)
        await upload(catalogue, b"1234", 2, claim_of("slot2"))
        await upload(catalogue, b"1234", 3, claim_of("slot1", GMAIL))
        await upload(catalogue, b"12", 4, claim_of("slot3", GMAIL))
        await upload(catalogue, b"1234", 5, namespace=OTHER)
        assert await catalogue.volumes() == [
            *(Volume(OWNER, WHOLE, 6, 0), Volume(OWNER, GMAIL, 6, 0), Volume(OWNER, SLACK, 4, 0)),
            *(Volume(OTHER, WHOLE, 4, 0), Volume(OTHER, SLACK, 4, 0)),
        ]
        assert await catalogue.recount(repair=False) == []

    async def test_a_blob_counts_for_a_holder_until_it_has_neither_hold_nor_claim(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"1234", 1)
        await link(catalogue, b"1234")
        assert (await catalogue.volume(OWNER, SLACK)).stored == 4
        await upload(catalogue, b"1234", 2, claim_of("slot2"))
        await release(catalogue, b"1234")
        assert (await catalogue.volume(OWNER, SLACK)).stored == 4
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        assert (await catalogue.volume(OWNER, SLACK)).stored == 0

    async def test_a_claim_that_expires_counts_no_longer(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"1234", 1, claim_of(expires_at=NOW + 5))
        await catalogue.expire(NOW + 6, [])
        assert (await catalogue.volume(OWNER, SLACK)).stored == 0

    async def test_an_orphan_counts_for_its_namespace_until_its_bytes_are_gone(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"1234", 1)
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        await catalogue.condemn(OWNER, [stored.name.digest], "garbage")
        assert (await catalogue.volume(OWNER)).stored == 4
        await catalogue.buried([stored.name], NOW)
        assert await catalogue.volumes() == []

    async def test_a_link_that_was_lost_and_found_counts_as_its_bytes_do(self, catalogue: Catalogue) -> None:
        await catalogue.rehold(OWNER, GMAIL, [digest_of(b"1234"), digest_of(b"1234")])
        assert await catalogue.volumes() == []
        await upload(catalogue, b"1234", 1)
        assert (await catalogue.volume(OWNER, GMAIL)).stored == 4
        await release(catalogue, b"1234", holder=GMAIL)
        assert (await catalogue.volume(OWNER, GMAIL)).stored == 0

    # -- reservations ----------------------------------------------------------------------------------------------

    async def test_what_a_lease_reserves_is_given_back_however_it_ends(self, catalogue: Catalogue) -> None:
        for number in range(5):
            await catalogue.lease(lease_of(number, scope=f"s{number}", expires_at=NOW + number, reserved=10))
        assert await catalogue.volume(OWNER, SLACK) == Volume(OWNER, SLACK, 0, 50)
        assert await catalogue.reserved() == 50
        await catalogue.abandon(lease_of(4))
        await catalogue.fence(OWNER, SLACK, "s3")
        await catalogue.expire(NOW + 0.5, [])
        assert isinstance(await catalogue.adopt(lease_of(1), content_of(b"1234"), claim_of()), ObjectName)
        await catalogue.publish(lease_of(1), claim_of(), NOW)
        assert isinstance(await catalogue.adopt(lease_of(2), content_of(b"1234"), claim_of()), Stored)
        assert await catalogue.volume(OWNER) == Volume(OWNER, WHOLE, 4, 0)
        assert await catalogue.reserved() == 0

    async def test_who_begins_is_told_what_all_have_reserved_together(self, catalogue: Catalogue) -> None:
        assert await catalogue.lease(lease_of(1, reserved=10)) == 10
        assert await catalogue.lease(lease_of(2, namespace=OTHER, reserved=5)) == 15
        await catalogue.abandon(lease_of(1))
        assert await catalogue.lease(lease_of(3)) == 5

    async def test_what_is_reserved_counts_on_when_what_was_removed_is_made_unreadable(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.lease(lease_of(1, reserved=10))
        await catalogue.lease(lease_of(2, reserved=5))
        await catalogue.abandon(lease_of(2))
        assert await catalogue.sanitize(5.0)
        await catalogue.lease(lease_of(3, reserved=20))
        await catalogue.reserve(lease_of(1), 11)
        assert await catalogue.volume(OWNER, SLACK) == Volume(OWNER, SLACK, 0, 31)
        await catalogue.abandon(lease_of(3))
        assert await catalogue.volume(OWNER) == Volume(OWNER, WHOLE, 0, 11)
        assert await catalogue.recount(repair=False) == []

    async def test_a_lease_that_reserved_nothing_may_begin_to_when_all_else_is_gone(self, catalogue: Catalogue) -> None:
        await catalogue.lease(lease_of(1))
        await catalogue.lease(lease_of(2, reserved=5))
        await catalogue.abandon(lease_of(2))
        await catalogue.reserve(lease_of(1), 7)
        assert await catalogue.volumes() == [Volume(OWNER, WHOLE, 0, 7), Volume(OWNER, SLACK, 0, 7)]

    async def test_what_is_reserved_can_grow_and_shrink(self, catalogue: Catalogue) -> None:
        await catalogue.limit(Limit(OWNER, WHOLE, 100))
        await catalogue.lease(lease_of(1, reserved=10))
        await catalogue.reserve(lease_of(1), 100)
        with pytest.raises(LargerThanQuota):
            await catalogue.reserve(lease_of(1), 101)
        assert (await catalogue.volume(OWNER)).reserved == 100
        await catalogue.reserve(lease_of(1), 1)
        assert [lease.reserved for lease in await catalogue.leases()] == [1]

    async def test_a_lease_that_is_gone_reserves_nothing(self, catalogue: Catalogue) -> None:
        with pytest.raises(LeaseLost):
            await catalogue.reserve(lease_of(1), 10)
        assert await catalogue.volumes() == []

    # -- limits ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("holder", [WHOLE, SLACK])
    async def test_many_at_once_never_overshoot_together(self, catalogue: Catalogue, holder: str) -> None:
        await catalogue.limit(Limit(OWNER, holder, 100))
        leases = [lease_of(number, reserved=30) for number in range(10)]
        outcomes = await asyncio.gather(*map(catalogue.lease, leases), return_exceptions=True)
        begun = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert all(30 * place <= total <= 90 for place, total in enumerate(sorted(begun), 1))
        assert [type(outcome) for outcome in outcomes if outcome not in begun] == [OverQuota] * 7
        assert (await catalogue.volume(OWNER, holder)).reserved == 90
        assert len(await catalogue.leases()) == 3

    async def test_what_is_stored_counts_with_what_is_reserved(self, catalogue: Catalogue) -> None:
        await catalogue.limit(Limit(OWNER, SLACK, 10))
        await upload(catalogue, b"1234", 1)
        await catalogue.lease(lease_of(2, reserved=3))
        with pytest.raises(OverQuota, match="10 bytes, of which 7 are used"):
            await catalogue.lease(lease_of(3, reserved=4))
        await catalogue.lease(lease_of(4, reserved=3))
        await catalogue.lease(lease_of(5, holder=GMAIL, reserved=1000))

    async def test_what_is_kept_beside_blobs_must_be_counted_only_where_there_is_a_limit(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.limit(Limit(OTHER, WHOLE, 10))
        await catalogue.lease(lease_of(1, reserved=1), UNCOUNTED)
        await catalogue.reserve(lease_of(1), 2, UNCOUNTED)
        await catalogue.lease(lease_of(2, namespace=OTHER), UNCOUNTED)
        for size in (1, 11):
            with pytest.raises((Uncounted, LargerThanQuota)):
                await catalogue.reserve(lease_of(2, namespace=OTHER), size, UNCOUNTED)
        with pytest.raises(Uncounted):
            await catalogue.lease(lease_of(3, namespace=OTHER, reserved=1), UNCOUNTED)
        assert await catalogue.leases() == [lease_of(1, reserved=2), lease_of(2, namespace=OTHER)]

    async def test_what_is_kept_beside_blobs_counts_too(self, catalogue: Catalogue) -> None:
        await catalogue.limit(Limit(OWNER, WHOLE, 10))
        await catalogue.limit(Limit(OWNER, SLACK, 5))
        with pytest.raises(OverQuota, match="of everything together"):
            await catalogue.lease(lease_of(1, reserved=1), Beside(10, 0))
        with pytest.raises(OverQuota, match="of this source"):
            await catalogue.lease(lease_of(1, reserved=1), Beside(5, 5))
        await catalogue.lease(lease_of(1, reserved=1), Beside(9, 4))

    async def test_what_can_never_fit_is_told_apart(self, catalogue: Catalogue) -> None:
        await catalogue.limit(Limit(OWNER, WHOLE, 10))
        with pytest.raises(LargerThanQuota):
            await catalogue.lease(lease_of(1, reserved=11))

    async def test_who_needs_no_room_is_never_refused(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"1234", 1)
        await catalogue.limit(Limit(OWNER, WHOLE, 1))
        await catalogue.lease(lease_of(2))
        assert isinstance(await catalogue.adopt(lease_of(2), content_of(b"1234"), claim_of()), Stored)

    async def test_the_limit_that_names_most_counts_alone(self, catalogue: Catalogue) -> None:
        async def limits() -> tuple[int | None, int | None]:
            return (await catalogue.volume(OWNER)).limit, (await catalogue.volume(OWNER, SLACK)).limit

        assert await limits() == (None, None)
        await catalogue.limit(Limit(EVERY, WHOLE, 1))
        await catalogue.limit(Limit(EVERY, EVERY, 2))
        assert await limits() == (1, 2)
        await catalogue.limit(Limit(EVERY, SLACK, 3))
        assert await limits() == (1, 3)
        await catalogue.limit(Limit(OWNER, EVERY, 4))
        assert await limits() == (1, 4)
        await catalogue.limit(Limit(OWNER, WHOLE, None))
        await catalogue.limit(Limit(OWNER, SLACK, 5))
        assert await limits() == (None, 5)
        assert len(await catalogue.limits()) == 6
        assert (await catalogue.volume(OTHER, SLACK)).limit == 3

    async def test_a_limit_can_be_set_again_and_taken_away(self, catalogue: Catalogue) -> None:
        await catalogue.limit(Limit(OWNER, WHOLE, 1))
        await catalogue.limit(Limit(OWNER, WHOLE, 2))
        assert await catalogue.limits() == [Limit(OWNER, WHOLE, 2)]
        assert await catalogue.unlimit(OWNER, WHOLE)
        assert not await catalogue.unlimit(OWNER, WHOLE)
        assert await catalogue.limits() == []

    async def test_of_a_blob_whose_last_generations_are_buried_together_its_size_ceases_to_count_once(
        self, catalogue: Catalogue
    ) -> None:
        names = []
        for number in (1, 2):
            names.append((await orphan(catalogue, b"data", number)).name)
            await catalogue.condemn(OWNER, [digest_of(b"data")], "garbage")
        await catalogue.rehold(OWNER, SLACK, [digest_of(b"data")])  # a link was found that no row spoke of
        assert (await catalogue.volume(OWNER, SLACK)).stored == len(b"data")
        await catalogue.buried(names, NOW)
        assert await catalogue.volumes() == []
        assert await catalogue.recount(repair=False) == []
