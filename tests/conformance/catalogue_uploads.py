"""What every catalogue does with leases, claims and events."""

import pytest

from blobstore.backend import ObjectName
from blobstore.catalogue import Catalogue, CatalogueEvent, ClaimedBlob, Numbering, State
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
    upload,
)


class Uploads:
    async def test_the_store_id_never_changes(self, catalogue: Catalogue) -> None:
        first = await catalogue.store_id()
        await upload(catalogue, b"data", 1)
        assert await catalogue.store_id() == first != ""

    # -- leases ----------------------------------------------------------------------------------------------------

    async def test_a_lease_is_known_until_its_upload_ends(self, catalogue: Catalogue) -> None:
        first, second = lease_of(1), lease_of(2)
        await catalogue.lease(second)
        await catalogue.lease(first)
        assert await catalogue.leases() == [first, second]
        await catalogue.abandon(first)
        assert await catalogue.leases() == [second]

    async def test_renewing_puts_off_the_leases_of_one_process_only(self, catalogue: Catalogue) -> None:
        await catalogue.lease(lease_of(1, process="alive"))
        await catalogue.lease(lease_of(2, process="other"))
        await catalogue.renew("alive", NOW + 900)
        assert await catalogue.expire(NOW + 600, []) == 1
        assert await catalogue.leases() == [lease_of(1, process="alive", expires_at=NOW + 900)]

    async def test_abandoning_twice_is_no_error(self, catalogue: Catalogue) -> None:
        await catalogue.abandon(lease_of(1))
        await catalogue.lease(lease_of(1))
        await catalogue.abandon(lease_of(1))
        await catalogue.abandon(lease_of(1))
        assert await catalogue.leases() == []
        assert await catalogue.condemned(10) == []

    async def test_abandoning_an_upload_whose_bytes_were_in_condemns_what_it_may_have_published(
        self, catalogue: Catalogue
    ) -> None:
        lease = lease_of(1)
        await catalogue.lease(lease)
        await catalogue.adopt(lease, content_of(b"data"), claim_of())
        await catalogue.abandon(lease)
        (condemned,) = await catalogue.condemned(10)
        assert condemned.name.generation == lease.id
        assert condemned.name.digest == digest_of(b"data")
        assert await catalogue.leases() == []

    async def test_abandoning_after_publishing_takes_nothing_away(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        await catalogue.abandon(lease_of(1))
        assert await catalogue.find(OWNER, digest_of(b"data")) == stored
        assert await catalogue.condemned(10) == []

    # -- adopt -----------------------------------------------------------------------------------------------------

    async def test_adopting_what_is_not_live_notes_the_content_on_the_lease(self, catalogue: Catalogue) -> None:
        await catalogue.lease(lease_of(1))
        assert isinstance(await catalogue.adopt(lease_of(1), content_of(b"data"), claim_of()), ObjectName)
        (lease,) = await catalogue.leases()
        assert lease.content == content_of(b"data")
        assert await catalogue.claims_of(OWNER, digest_of(b"data")) == []

    async def test_adopting_what_is_live_claims_it_and_ends_the_lease(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        lease = lease_of(2, GMAIL)
        await catalogue.lease(lease)
        assert await catalogue.adopt(lease, content_of(b"data"), claim_of(holder=GMAIL)) == stored
        assert await catalogue.leases() == []
        claims = await catalogue.claims_of(OWNER, digest_of(b"data"))
        assert claims == [
            ClaimedBlob(digest_of(b"data"), claim_of(holder=GMAIL)),
            ClaimedBlob(digest_of(b"data"), claim_of()),
        ]

    async def test_adopting_without_a_lease_raises_and_claims_nothing(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        for data in (b"data", b"other"):
            with pytest.raises(LeaseLost):
                await catalogue.adopt(lease_of(2), content_of(data), claim_of("late"))
        assert [each.claim.slot for each in await catalogue.claims_by(OWNER, SLACK, 10)] == ["slot1"]

    async def test_namespaces_never_share_a_blob(self, catalogue: Catalogue) -> None:
        mine = await upload(catalogue, b"data", 1)
        theirs = await upload(catalogue, b"data", 2, namespace="owner2")
        assert mine.name != theirs.name
        assert await catalogue.find(OWNER, digest_of(b"data")) == mine
        assert await catalogue.find("owner2", digest_of(b"data")) == theirs
        assert await catalogue.find("owner3", digest_of(b"data")) is None

    async def test_many_blobs_are_found_at_once_in_order_without_those_that_are_not_live(
        self, catalogue: Catalogue
    ) -> None:
        stored = [await upload(catalogue, data, number) for number, data in enumerate((b"a", b"b", b"c", b"d"))]
        await upload(catalogue, b"theirs", 9, namespace="owner2")
        assert await catalogue.quarantine(stored[1].name)
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        await catalogue.condemn(OWNER, [stored[2].name.digest], "garbage")
        asked = [digest_of(data) for data in (b"d", b"a", b"b", b"c", b"a", b"theirs", b"never")]
        expected = sorted((stored[0], stored[3]), key=lambda each: each.name.digest)
        assert await catalogue.live(OWNER, asked) == expected
        assert await catalogue.live(OWNER, []) == []

    # -- publish ---------------------------------------------------------------------------------------------------

    async def test_publishing_turns_the_lease_into_a_live_blob_and_a_claim(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        assert (stored.name.namespace, stored.name.digest, stored.name.generation) == (
            OWNER,
            digest_of(b"data"),
            lease_of(1).id,
        )
        assert (stored.sha256, stored.size) == (content_of(b"data").sha256, 4)
        assert (stored.state, stored.verified_at) == (State.LIVE, NOW)
        assert await catalogue.find(OWNER, digest_of(b"data")) == stored
        assert await catalogue.claims_of(OWNER, digest_of(b"data")) == [ClaimedBlob(digest_of(b"data"), claim_of())]
        assert await catalogue.leases() == []
        assert await catalogue.orphans(None, NOW + DAY, 10) == []

    async def test_a_lease_is_published_once(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        with pytest.raises(LeaseLost):
            await catalogue.publish(lease_of(1), claim_of("again"), NOW)
        assert await catalogue.generations(OWNER, digest_of(b"data")) == [stored]
        assert len(await catalogue.claims_by(OWNER, SLACK, 10)) == 1

    async def test_a_lease_whose_bytes_are_not_in_is_not_published(self, catalogue: Catalogue) -> None:
        await catalogue.lease(lease_of(1))
        with pytest.raises(LeaseLost):
            await catalogue.publish(lease_of(1), claim_of(), NOW)
        assert await catalogue.walk(None, 10) == []

    # -- claims ----------------------------------------------------------------------------------------------------

    async def test_claiming_a_slot_again_renews_its_claim(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        renewed = claim_of(scope="other", media_type="image/png", expires_at=NOW + 9 * DAY)
        await upload(catalogue, b"data", 2, renewed)
        assert await catalogue.claims_of(OWNER, digest_of(b"data")) == [ClaimedBlob(digest_of(b"data"), renewed)]
        assert await catalogue.expire(NOW + 8 * DAY, []) == 0

    async def test_each_holder_slot_and_blob_has_a_claim_of_its_own(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1, claim_of("a"))
        await upload(catalogue, b"data", 2, claim_of("b"))
        await upload(catalogue, b"data", 3, claim_of("a", GMAIL))
        await upload(catalogue, b"other", 4, claim_of("a"))
        assert [
            (each.claim.holder, each.claim.slot) for each in await catalogue.claims_of(OWNER, digest_of(b"data"))
        ] == [
            (GMAIL, "a"),
            (SLACK, "a"),
            (SLACK, "b"),
        ]
        mine = await catalogue.claims_by(OWNER, SLACK, 10)
        assert [each.claim.slot for each in mine] == ["a", "a", "b"]
        assert [each.digest for each in mine[:2]] == sorted([digest_of(b"data"), digest_of(b"other")])

    async def test_claims_are_paged_by_slot(self, catalogue: Catalogue) -> None:
        for number, slot in enumerate(["d", "b", "a", "c"]):
            await upload(catalogue, b"data", number, claim_of(slot))
        assert [each.claim.slot for each in await catalogue.claims_by(OWNER, SLACK, 2)] == ["a", "b"]
        after = ("b", digest_of(b"data"))
        assert [each.claim.slot for each in await catalogue.claims_by(OWNER, SLACK, 2, after)] == ["c", "d"]
        assert await catalogue.claims_by(OWNER, GMAIL, 2) == []
        assert await catalogue.claims_by("owner2", SLACK, 2) == []

    async def test_a_page_of_claims_may_end_inside_a_slot(self, catalogue: Catalogue) -> None:
        contents = [b"%d" % number for number in range(5)]
        for number, data in enumerate(contents):
            await upload(catalogue, data, number, claim_of("a"))
        await upload(catalogue, b"data", 9, claim_of("b"))
        found = await catalogue.claims_by(OWNER, SLACK, 2)
        while page := await catalogue.claims_by(OWNER, SLACK, 2, (found[-1].claim.slot, found[-1].digest)):
            found += page
        expected = [("a", digest) for digest in sorted(map(digest_of, contents))] + [("b", digest_of(b"data"))]
        assert [(each.claim.slot, each.digest) for each in found] == expected

    # -- events ----------------------------------------------------------------------------------------------------

    async def test_an_event_is_written_in_the_step_that_ends_the_upload(self, catalogue: Catalogue) -> None:
        await catalogue.lease(lease_of(1))
        await catalogue.adopt(lease_of(1), content_of(b"data"), claim_of(), b"adopted")
        assert await catalogue.outbox(10) == []
        await catalogue.publish(lease_of(1), claim_of(), NOW, b"published")
        await catalogue.lease(lease_of(2))
        await catalogue.adopt(lease_of(2), content_of(b"data"), claim_of(), b"adopted")
        assert [(event.namespace, event.body) for event in await catalogue.outbox(10)] == [
            (OWNER, b"published"),
            (OWNER, b"adopted"),
        ]

    async def test_an_upload_that_was_fenced_off_writes_no_event(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        with pytest.raises(LeaseLost):
            await catalogue.adopt(lease_of(2), content_of(b"data"), claim_of(), b"never")
        with pytest.raises(LeaseLost):
            await catalogue.publish(lease_of(2), claim_of(), NOW, b"never")
        assert await catalogue.outbox(10) == []

    async def test_events_are_drained_in_order_and_their_numbers_never_come_back(self, catalogue: Catalogue) -> None:
        async def noted(number: int) -> CatalogueEvent:
            await catalogue.lease(lease_of(number))
            await catalogue.adopt(lease_of(number), content_of(b"data"), claim_of(), b"%d" % number)
            return (await catalogue.outbox(100))[-1]

        await upload(catalogue, b"data", 1)
        events = [await noted(number) for number in (2, 3, 4)]
        assert await catalogue.outbox(2) == events[:2]
        assert (await catalogue.numbering()).given == events[2].seq
        assert (await catalogue.numbering()).drained < events[0].seq
        await catalogue.drained(events[1].seq)
        assert events[1].seq <= (await catalogue.numbering()).drained < events[2].seq
        assert await catalogue.outbox(10) == events[2:]
        await catalogue.drained(events[2].seq)
        assert await catalogue.numbering() == Numbering(events[2].seq, events[2].seq)
        assert await catalogue.outbox(10) == []
        assert (await noted(5)).seq > events[2].seq > events[1].seq > events[0].seq
