"""What every catalogue does with what must go: claims, orphans, the condemned, the quarantined."""

from collections.abc import Callable

import pytest

from blobstore.backend import LATE_SECONDS, ObjectName
from blobstore.catalogue import Catalogue, Condemned, Forecast, Gone, Lease, Removal, State, Totals
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


async def slots(catalogue: Catalogue, holder: str = SLACK) -> list[str]:
    return [each.claim.slot for each in await catalogue.claims_by(OWNER, holder, 100)]


class Collection:
    # -- claims end ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("scope", "beginning", "left"),
        [
            (None, "", []),
            ("one", "", ["ab"]),
            (None, "a", ["c", "\U0010ffff"]),
            ("one", "a", ["ab", "c", "\U0010ffff"]),
            ("none", "", ["a", "ab", "c", "\U0010ffff"]),
            (None, "ab", ["a", "c", "\U0010ffff"]),
            (None, "b", ["a", "ab", "c", "\U0010ffff"]),
            (None, "\U0010ffff", ["a", "ab", "c"]),
        ],
    )
    async def test_claims_are_dropped_by_scope_and_the_beginning_of_their_slots(
        self, catalogue: Catalogue, scope: str | None, beginning: str, left: list[str]
    ) -> None:
        places = {"a": "one", "ab": "two", "c": "one", "\U0010ffff": "one"}
        for number, (slot, where) in enumerate(places.items()):
            await upload(catalogue, slot.encode(), number, claim_of(slot, scope=where))
            await upload(catalogue, slot.encode(), 10 + number, claim_of(slot, GMAIL, where))
        dropped = await catalogue.drop_claims(OWNER, SLACK, scope=scope, beginning=beginning, now=NOW)
        assert dropped == {digest_of(slot.encode()) for slot in places if slot not in left}
        assert await slots(catalogue) == left
        assert await slots(catalogue, GMAIL) == list(places)
        assert await catalogue.orphans(None, NOW + DAY, 10) == []

    async def test_a_dropped_claim_leaves_an_orphan_where_it_was_the_last(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1, claim_of("a"))
        await upload(catalogue, b"data", 2, claim_of("b"))
        await catalogue.drop_claims(OWNER, SLACK, scope=None, beginning="a", now=NOW + 1)
        assert await catalogue.orphans(None, NOW + DAY, 10) == []
        await catalogue.drop_claims(OWNER, SLACK, scope=None, beginning="b", now=NOW + 2)
        assert [each.since for each in await catalogue.orphans(None, NOW + DAY, 10)] == [NOW + 2]

    async def test_claims_expire_at_their_time_and_not_before(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"first", 1, claim_of("a", expires_at=NOW + 10))
        await upload(catalogue, b"second", 2, claim_of("b", expires_at=NOW + 11))
        assert await catalogue.expire(NOW + 9, []) == 0
        assert await catalogue.expire(NOW + 10, []) == 1
        assert await slots(catalogue) == ["b"]
        (found,) = await catalogue.orphans(None, NOW + DAY, 10)
        assert (found.stored.name.digest, found.since) == (digest_of(b"first"), NOW + 10)

    async def test_an_expired_claim_makes_no_orphan_of_a_linked_blob(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1, claim_of("a", expires_at=NOW + 10))
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        assert await catalogue.expire(NOW + 10, []) == 1
        assert await catalogue.orphans(None, NOW + DAY, 10) == []

    # -- leases end ------------------------------------------------------------------------------------------------

    async def test_leases_of_dead_processes_end_whatever_their_time(self, catalogue: Catalogue) -> None:
        await catalogue.lease(lease_of(1, process="dead"))
        await catalogue.lease(lease_of(2, process="alive"))
        assert await catalogue.expire(NOW, ["dead", "unknown"]) == 1
        assert [lease.process for lease in await catalogue.leases()] == ["alive"]

    @pytest.mark.parametrize(("scope", "left"), [(None, [3, 4]), ("one", [2, 3, 4])])
    async def test_a_fence_takes_the_leases_of_a_holder_or_of_one_scope(
        self, catalogue: Catalogue, scope: str | None, left: list[int]
    ) -> None:
        leases = [
            lease_of(1, SLACK, "one"),
            lease_of(2, SLACK, "two"),
            lease_of(3, GMAIL, "one"),
            lease_of(4, SLACK, "one", namespace="owner2"),
        ]
        for lease in leases:
            await catalogue.lease(lease)
        taken = await catalogue.fence(OWNER, SLACK, scope)
        assert sorted(int(lease.id, 16) for lease in await catalogue.leases()) == left
        assert sorted(taken, key=lambda lease: lease.id) == [each for each in leases if int(each.id, 16) not in left]

    async def test_a_fence_may_be_around_slots_that_begin_alike(self, catalogue: Catalogue) -> None:
        for number, slot in enumerate(["a", "ab", "b", "a"]):
            await catalogue.lease(lease_of(number, scope="two" if number == 3 else "one", slot=slot))
        assert [lease.slot for lease in await catalogue.fence(OWNER, SLACK, "one", "ab")] == ["ab"]
        assert [lease.slot for lease in await catalogue.fence(OWNER, SLACK, None, "a")] == ["a", "a"]
        assert [lease.slot for lease in await catalogue.leases()] == ["b"]

    @pytest.mark.parametrize("end", ["expiry", "death", "fence"])
    async def test_a_lease_that_is_taken_away_condemns_what_it_may_have_published(
        self, catalogue: Catalogue, end: str
    ) -> None:
        await catalogue.lease(lease_of(1))
        await catalogue.lease(lease_of(2))
        await catalogue.adopt(lease_of(2), content_of(b"data"), claim_of())
        if end == "fence":
            await catalogue.fence(OWNER, SLACK, None)
        else:
            await catalogue.expire(*{"expiry": (NOW + 300, []), "death": (NOW, ["process1"])}[end])
        # The first lease's bytes were never all there: nothing but its staging file can exist.
        name = ObjectName(OWNER, DATA, lease_of(2).id)
        assert await catalogue.condemned(10) == [Condemned(name, 4, "abandoned", "process1")]
        assert await catalogue.leases() == []

    # -- what may come late ----------------------------------------------------------------------------------------

    async def _taken(self, catalogue: Catalogue, holder: str = SLACK) -> Lease:
        """A lease that is taken while its upload is published."""
        await catalogue.lease(lease_of(1, holder))
        await catalogue.adopt(lease_of(1, holder), content_of(b"data"), claim_of())
        (lease,) = await catalogue.fence(OWNER, holder, None)
        return lease

    async def test_what_is_taken_from_an_upload_may_come_until_that_says_that_it_is_over(
        self, catalogue: Catalogue
    ) -> None:
        lease = await self._taken(catalogue)
        assert [each.late_until for each in await catalogue.condemned(9)] == [NOW + 300 + LATE_SECONDS]
        assert await catalogue.may_come(OWNER, SLACK, "any", NOW)
        await catalogue.abandon(lease)
        assert not await catalogue.may_come(OWNER, SLACK, "any", NOW)
        assert [(each.process, each.late_until) for each in await catalogue.condemned(9)] == [(None, None)]

    async def test_who_cannot_know_says_until_when_it_may_come_and_what_is_said_first_holds(
        self, catalogue: Catalogue
    ) -> None:
        lease = await self._taken(catalogue)
        await catalogue.abandon(lease, NOW + 7)
        await catalogue.abandon(lease)
        await catalogue.renew("process1", NOW + 900)
        await catalogue.expire(NOW, ["process1"])
        assert await catalogue.may_come(OWNER, SLACK, "any", NOW + 6)
        assert not await catalogue.may_come(OWNER, SLACK, "any", NOW + 7)
        await catalogue.lease(lease_of(2))
        await catalogue.adopt(lease_of(2), content_of(b"data"), claim_of())
        await catalogue.abandon(lease_of(2), NOW + 8)
        assert [(each.process, each.late_until) for each in await catalogue.condemned(9)][1] == (None, NOW + 8)

    async def test_a_process_that_lives_puts_off_until_when_it_may_come(self, catalogue: Catalogue) -> None:
        await self._taken(catalogue)
        await catalogue.renew("another", NOW + 800)
        await catalogue.renew("process1", NOW + 900)
        assert [each.late_until for each in await catalogue.condemned(9)] == [NOW + 900 + LATE_SECONDS]

    async def test_of_a_process_that_died_nothing_comes_for_long(self, catalogue: Catalogue) -> None:
        await self._taken(catalogue)
        await catalogue.expire(NOW, ["process1"])
        await catalogue.expire(NOW + 9, ["process1"])
        await catalogue.lease(lease_of(2))
        await catalogue.adopt(lease_of(2), content_of(b"other"), claim_of())
        await catalogue.expire(NOW + 10, ["process1"])
        (first, second) = await catalogue.condemned(9)
        assert (first.late_until, second.late_until) == (NOW + LATE_SECONDS, NOW + 10 + LATE_SECONDS)
        assert (await catalogue.generations(OWNER, DATA))[0].late_until == NOW + LATE_SECONDS

    async def test_an_erasure_waits_for_what_is_its_own(self, catalogue: Catalogue) -> None:
        await self._taken(catalogue, GMAIL)
        assert not await catalogue.may_come("owner2", None, "any", NOW)
        assert not await catalogue.may_come(OWNER, SLACK, "any", NOW)
        assert await catalogue.may_come(OWNER, GMAIL, "any", NOW)
        assert await catalogue.may_come(OWNER, None, "any", NOW)
        assert await catalogue.may_come(OWNER, SLACK, "abandoned", NOW)
        await catalogue.buried([each.name for each in await catalogue.condemned(9)], NOW)
        assert not await catalogue.may_come(OWNER, None, "any", NOW)

    async def test_bytes_that_were_sent_more_than_once_may_come_once_more(self, catalogue: Catalogue) -> None:
        for number in (1, 2):  # the second need not be published
            await catalogue.lease(lease_of(number))
            await catalogue.adopt(lease_of(number), content_of(b"data"), claim_of())
        for number in (1, 2):
            await catalogue.publish(lease_of(number), claim_of(), NOW, late_until=NOW + number)
        assert not await catalogue.may_come(OWNER, SLACK, "erasure 7", NOW)
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        await catalogue.condemn(OWNER, [DATA], "erasure 7")
        assert await catalogue.may_come(OWNER, SLACK, "erasure 7", NOW)
        assert not await catalogue.may_come(OWNER, SLACK, "erasure 7", NOW + 1)
        assert sorted(each.late_until or 0 for each in await catalogue.condemned(9)) == [NOW + 1, NOW + 2]

    # -- orphans ---------------------------------------------------------------------------------------------------

    async def test_orphans_are_listed_oldest_first_and_only_those_before_the_time(self, catalogue: Catalogue) -> None:
        for number, since in enumerate([30.0, 10.0, 20.0]):
            await orphan(catalogue, b"%d" % number, number, NOW + since)
        await orphan(catalogue, b"theirs", 9, NOW + 15, "owner2")
        assert [each.since for each in await catalogue.orphans(None, NOW + 30, 10)] == [NOW + 10, NOW + 15, NOW + 20]
        assert [each.since for each in await catalogue.orphans(OWNER, NOW + 30, 10)] == [NOW + 10, NOW + 20]
        assert [each.since for each in await catalogue.orphans(None, NOW + DAY, 2)] == [NOW + 10, NOW + 15]

    async def test_an_orphan_that_is_uploaded_again_is_none_any_more(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        await upload(catalogue, b"data", 2)
        assert await catalogue.orphans(None, NOW + DAY, 10) == []
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW + 7)
        assert [each.since for each in await catalogue.orphans(None, NOW + DAY, 10)] == [NOW + 7]

    async def test_a_quarantined_blob_is_an_orphan_like_any_other(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        await catalogue.quarantine(stored.name)
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        (found,) = await catalogue.orphans(None, NOW + DAY, 10)
        assert found.stored.state is State.QUARANTINED
        assert [each.name for each in await catalogue.condemn(OWNER, [DATA], "garbage", NOW + 1)] == [stored.name]

    async def test_orphans_go_on_beyond_any(self, catalogue: Catalogue) -> None:
        for number in range(7):
            await orphan(catalogue, b"%d" % number, number, NOW + number // 3, f"owner{number % 2}")
        everything = await catalogue.orphans(None, NOW + DAY, 10)
        assert [(each.since, each.stored.name) for each in everything] == sorted(
            (each.since, each.stored.name) for each in everything
        )
        for number, each in enumerate(everything):
            assert await catalogue.orphans(None, NOW + DAY, 3, each) == everything[number + 1 : number + 4]

    async def test_a_forecast_counts_what_would_be_listed_beside_all_that_is_stored(self, catalogue: Catalogue) -> None:
        assert await catalogue.forecast(None, NOW + DAY) == Forecast(0, 0, 0)
        await orphan(catalogue, b"seventy", 1, NOW)
        await orphan(catalogue, b"later", 2, NOW + 10)
        await orphan(catalogue, b"theirs", 3, NOW, "owner2")
        await upload(catalogue, b"claimed", 4)
        await catalogue.quarantine((await upload(catalogue, b"bad", 5)).name)
        assert await catalogue.forecast(None, NOW + 1) == Forecast(2, 13, 28)
        assert await catalogue.forecast(OWNER, NOW + 1) == Forecast(1, 7, 22)
        await catalogue.condemn(OWNER, [digest_of(b"seventy")], "garbage")
        assert await catalogue.forecast(OWNER, NOW + DAY) == Forecast(1, 5, 22)
        await catalogue.buried([each.name for each in await catalogue.condemned(10)], NOW)
        assert await catalogue.forecast(None, NOW + DAY) == Forecast(2, 11, 21)

    async def test_claims_expire_in_pieces(self, catalogue: Catalogue) -> None:
        for number in range(5):
            await upload(catalogue, b"%d" % number, number, claim_of(f"{number}", expires_at=NOW + number))
        assert [await catalogue.expire(NOW + 3, [], 2) for _ in range(3)] == [2, 2, 0]
        assert await slots(catalogue) == ["4"]

    async def test_leases_are_found_by_their_ids(self, catalogue: Catalogue) -> None:
        for number in range(3):
            await catalogue.lease(lease_of(number))
        ids = [lease_of(number).id for number in (2, 0, 9)]
        assert [lease.id for lease in await catalogue.leases(ids)] == sorted(ids[:2])
        assert await catalogue.leases([]) == []

    # -- condemned, buried, gone -----------------------------------------------------------------------------------

    async def test_what_is_held_or_claimed_is_not_condemned(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"claimed", 1, claim_of("a"))
        await upload(catalogue, b"linked", 2, claim_of("b"))
        await link(catalogue, b"linked", ("b",))
        both = [digest_of(b"claimed"), digest_of(b"linked")]
        assert await catalogue.condemn(OWNER, both, "garbage") == []
        assert await catalogue.find(OWNER, both[0]) is not None
        assert await catalogue.find(OWNER, both[1]) is not None

    async def test_only_what_was_an_orphan_before_the_time_is_condemned(self, catalogue: Catalogue) -> None:
        stored = await orphan(catalogue, b"data", 1, NOW)
        assert await catalogue.condemn(OWNER, [DATA], "garbage", before=NOW) == []
        assert await catalogue.condemn("owner2", [DATA], "garbage", before=NOW + 1) == []
        assert await catalogue.condemn(OWNER, [DATA], "garbage", before=NOW + 1) == [
            Condemned(stored.name, 4, "garbage")
        ]

    async def test_condemned_then_buried_then_gone(self, catalogue: Catalogue) -> None:
        stored = await orphan(catalogue, b"data", 1)
        await catalogue.condemn(OWNER, [DATA], "erasure 7")
        assert await catalogue.find(OWNER, DATA) is None
        assert [each.state for each in await catalogue.generations(OWNER, DATA)] == [State.CONDEMNED]
        assert await catalogue.condemned(10) == [Condemned(stored.name, 4, "erasure 7")]
        assert await catalogue.gone(OWNER, DATA) == []
        assert await catalogue.buried([stored.name], NOW + 5) == [Condemned(stored.name, 4, "erasure 7")]
        assert await catalogue.buried([stored.name], NOW + 6) == []
        assert await catalogue.condemned(10) == []
        assert await catalogue.generations(OWNER, DATA) == []
        assert await catalogue.gone(OWNER, DATA) == [Gone(stored.name, 4, "erasure 7", NOW + 5)]

    async def test_what_was_removed_is_listed_by_its_reason(self, catalogue: Catalogue) -> None:
        reasons = {b"a": "erasure 7", b"b": "garbage", b"c": "erasure 7", b"d": "erasure 70", b"e": "erasure 7"}
        for number, (data, reason) in enumerate(reasons.items()):
            stored = await orphan(catalogue, data, number)
            await catalogue.condemn(OWNER, [digest_of(data)], reason)
            assert stored.name not in [each.name for each in await catalogue.removed(OWNER, reason, None, 10)]
            await catalogue.buried([stored.name], NOW + number)
        digests = sorted(digest_of(data) for data in (b"a", b"c", b"e"))
        first = await catalogue.removed(OWNER, "erasure 7", None, 2)
        rest = await catalogue.removed(OWNER, "erasure 7", first[-1].name, 2)
        assert [each.name.digest for each in first + rest] == digests
        assert [(each.size, each.reason) for each in first + rest] == [(1, "erasure 7")] * 3
        assert await catalogue.removed("owner2", "erasure 7", None, 10) == []

    async def test_a_condemned_generation_never_comes_back(self, catalogue: Catalogue) -> None:
        stored = await orphan(catalogue, b"data", 1)
        await catalogue.condemn(OWNER, [DATA], "garbage")
        assert await catalogue.condemn(OWNER, [DATA], "garbage") == []
        assert await catalogue.hold(OWNER, SLACK, [DATA], NOW) == {}
        assert await catalogue.quarantine(stored.name) is False
        assert await catalogue.orphans(None, NOW + DAY, 10) == []
        assert (await upload(catalogue, b"data", 2)).name != stored.name

    async def test_what_is_not_condemned_is_not_buried(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        await catalogue.buried([stored.name], NOW)
        assert await catalogue.find(OWNER, DATA) == stored
        assert await catalogue.gone(OWNER, DATA) == []

    async def test_the_condemned_are_listed_in_their_order(self, catalogue: Catalogue) -> None:
        for number in range(4):
            await orphan(catalogue, b"%d" % number, number)
        for number in (2, 0, 3, 1):
            await catalogue.condemn(OWNER, [digest_of(b"%d" % number)], "garbage")
        listed = await catalogue.condemned(3)
        assert [int(each.name.generation, 16) for each in listed] == [2, 0, 3]
        assert [int(each.name.generation, 16) for each in await catalogue.condemned(3, listed[0])] == [0, 3, 1]

    async def test_what_is_buried_is_told_by_namespace_and_reason_in_the_same_step(self, catalogue: Catalogue) -> None:
        for number, namespace in enumerate((OWNER, OWNER, "owner2", OWNER)):
            await orphan(catalogue, b"%d" % number, number, namespace=namespace)
            reason = "erasure 1" if number == 3 else "garbage 1"
            await catalogue.condemn(namespace, [digest_of(b"%d" % number)], reason)
        names = [each.name for each in await catalogue.condemned(10)]
        seen: list[Removal] = []

        def event(removal: Removal) -> bytes | None:
            seen.append(removal)
            return None if removal.reason.startswith("erasure") else removal.reason.encode()

        before = len(await catalogue.outbox(100))
        await catalogue.buried(names, NOW, event)
        await catalogue.buried(names, NOW, event)
        assert seen == [
            Removal(OWNER, "erasure 1", 1, 1),
            Removal(OWNER, "garbage 1", 2, 2),
            Removal("owner2", "garbage 1", 1, 1),
        ]
        told = (await catalogue.outbox(100))[before:]
        assert [(each.namespace, each.body) for each in told] == [(OWNER, b"garbage 1"), ("owner2", b"garbage 1")]

    # -- quarantine and verification -------------------------------------------------------------------------------

    async def test_a_quarantined_generation_is_not_found(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        assert await catalogue.quarantine(stored.name) is True
        assert await catalogue.quarantine(stored.name) is False
        assert await catalogue.find(OWNER, DATA) is None
        assert await catalogue.find_sha256(OWNER, stored.sha256) is None
        assert [each.state for each in await catalogue.generations(OWNER, DATA)] == [State.QUARANTINED]

    async def test_the_stalest_come_first_and_verifying_moves_them_back(self, catalogue: Catalogue) -> None:
        stored = [await upload(catalogue, b"%d" % number, number, now=NOW - number) for number in range(4)]
        await catalogue.quarantine(stored[3].name)
        assert await catalogue.stalest(NOW, 10) == [stored[2], stored[1]]
        assert await catalogue.stalest(NOW + 1, 2) == [stored[2], stored[1]]
        await catalogue.verified([stored[2].name, stored[1].name], NOW + 5)
        assert await catalogue.stalest(NOW + 5, 10) == [stored[0]]
        found = await catalogue.find(OWNER, digest_of(b"1"))
        assert found is not None
        assert found.verified_at == NOW + 5

    # -- questions -------------------------------------------------------------------------------------------------

    async def test_a_blob_is_found_by_its_sha256(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        assert await catalogue.find_sha256(OWNER, stored.sha256) == stored
        assert await catalogue.find_sha256("owner2", stored.sha256) is None
        assert await catalogue.find_sha256(OWNER, content_of(b"other").sha256) is None

    async def test_walking_visits_every_generation_once_in_the_order_of_names(
        self, catalogue: Catalogue, sized: Callable[[int, int], int]
    ) -> None:
        count = sized(12, 300)
        for number in range(count):
            namespace = f"owner{number % 3}"
            stored = await upload(catalogue, b"%d" % (number % 7), number, claim_of(), namespace)
            if number % 4 == 0:
                await catalogue.quarantine(stored.name)
        seen: list[ObjectName] = []
        while page := await catalogue.walk(seen[-1] if seen else None, 5):
            seen += [each.name for each in page]
        expected = {
            each.name
            for namespace in ("owner0", "owner1", "owner2")
            for number in range(7)
            for each in await catalogue.generations(namespace, digest_of(b"%d" % number))
        }
        assert seen == sorted(expected)

    async def test_totals_count_each_live_blob_once(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"four", 1, claim_of("a"))
        await upload(catalogue, b"four", 2, claim_of("b"))
        await orphan(catalogue, b"seventy", 3)
        await catalogue.quarantine((await upload(catalogue, b"bad", 4)).name)
        await orphan(catalogue, b"going", 5)
        await catalogue.condemn(OWNER, [digest_of(b"going")], "garbage")
        assert await catalogue.totals(OWNER) == Totals(2, 11, 1, 7, 0)
        assert await catalogue.totals("owner2") == Totals(0, 0, 0, 0, 0)

    async def test_totals_tell_what_those_save_who_hold_a_blob_together(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"four", 1)
        await link(catalogue, b"four")
        assert (await catalogue.totals(OWNER)).shared_bytes == 0
        await upload(catalogue, b"four", 2, claim_of("b", holder=GMAIL))
        assert (await catalogue.totals(OWNER)).shared_bytes == 0
        await catalogue.hold(OWNER, GMAIL, [digest_of(b"four")], NOW)
        assert (await catalogue.totals(OWNER)).shared_bytes == 4
        await catalogue.release(OWNER, await catalogue.holders(OWNER, SLACK, [digest_of(b"four")]), NOW)
        assert (await catalogue.totals(OWNER)).shared_bytes == 0
        assert await catalogue.recount(repair=True) == []

    async def test_sanitizing_a_catalogue_that_nobody_reads_succeeds(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        assert await catalogue.sanitize(5.0) is True

    async def test_closing_twice_is_harmless(self, catalogue: Catalogue) -> None:
        await catalogue.close()
        await catalogue.close()
