"""What every catalogue does with those who hold a blob."""

from blobstore.catalogue import Catalogue, Holder
from tests.conformance.catalogue_values import (
    DAY,
    GMAIL,
    NOW,
    OWNER,
    SLACK,
    claim_of,
    digest_of,
    link,
    orphan,
    release,
    upload,
)

DATA = digest_of(b"data")


async def held_by(catalogue: Catalogue, holder: str = SLACK) -> Holder | None:
    rows = await catalogue.holders(OWNER, holder, [DATA])
    return rows[0] if rows else None


class Holders:
    # -- hold ------------------------------------------------------------------------------------------------------

    async def test_a_holder_holds_what_it_claims_or_holds_already(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        assert await catalogue.hold(OWNER, SLACK, [DATA], NOW) == {DATA: 4}
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        assert await catalogue.hold(OWNER, SLACK, [DATA], NOW) == {DATA: 4}
        assert [held.holder for held in await catalogue.holders_of(OWNER, DATA)] == [SLACK]

    async def test_what_is_neither_claimed_nor_held_by_this_holder_is_given_back(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await orphan(catalogue, b"orphan", 2)
        wanted = {DATA, digest_of(b"orphan"), digest_of(b"never uploaded")}
        assert await catalogue.hold(OWNER, SLACK, wanted, NOW) == {DATA: 4}
        assert await catalogue.hold(OWNER, GMAIL, wanted, NOW) == {}
        assert await catalogue.hold("owner2", SLACK, wanted, NOW) == {}
        assert await catalogue.holders(OWNER, GMAIL, wanted) == []

    async def test_an_expired_claim_lets_nobody_hold(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1, claim_of(expires_at=NOW + 10))
        assert await catalogue.hold(OWNER, SLACK, [DATA], NOW + 10) == {}
        assert await catalogue.hold(OWNER, SLACK, [DATA], NOW + 9) == {DATA: 4}

    async def test_a_quarantined_blob_is_not_held_anew(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        await catalogue.quarantine(stored.name)
        assert await catalogue.hold(OWNER, SLACK, [DATA], NOW) == {}

    async def test_each_hold_has_a_version_that_was_never_used(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        versions = []
        for _ in range(3):
            await catalogue.hold(OWNER, SLACK, [DATA], NOW)
            row = await held_by(catalogue)
            assert row is not None
            versions.append(row.version)
        await release(catalogue, b"data")
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        row = await held_by(catalogue)
        assert row is not None
        versions.append(row.version)
        assert versions == sorted(set(versions))

    # -- settle ----------------------------------------------------------------------------------------------------

    async def test_a_hold_is_unconfirmed_until_its_links_are_settled(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        assert [(space, row.holder, row.confirmed) for space, row in await catalogue.unconfirmed(10)] == [
            (OWNER, SLACK, False)
        ]
        await catalogue.settle(OWNER, SLACK, [(DATA, ["slot1"])])
        assert await catalogue.unconfirmed(10) == []
        row = await held_by(catalogue)
        assert row is not None
        assert row.confirmed

    async def test_a_writer_that_dies_after_holding_again_is_found(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        assert len(await catalogue.unconfirmed(10)) == 1

    async def test_unconfirmed_holds_are_listed_oldest_first(self, catalogue: Catalogue) -> None:
        for number in range(4):
            await upload(catalogue, b"%d" % number, number)
            await catalogue.hold(OWNER, SLACK, [digest_of(b"%d" % number)], NOW)
        await catalogue.hold(OWNER, SLACK, [digest_of(b"0")], NOW)
        found = [row.digest for _, row in await catalogue.unconfirmed(3)]
        assert found == [digest_of(b"1"), digest_of(b"2"), digest_of(b"3")]

    async def test_settling_drops_the_claims_it_fulfils_and_no_others(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1, claim_of("a"))
        await upload(catalogue, b"data", 2, claim_of("b"))
        await upload(catalogue, b"data", 3, claim_of("a", GMAIL))
        await upload(catalogue, b"other", 4, claim_of("a"))
        await link(catalogue, b"data", ("a", "never claimed"))
        kept = [(each.digest, each.claim.slot) for each in await catalogue.claims_by(OWNER, SLACK, 10)]
        assert kept == [(digest_of(b"other"), "a"), (DATA, "b")]
        assert len(await catalogue.claims_by(OWNER, GMAIL, 10)) == 1

    async def test_settling_without_a_hold_takes_nobodys_protection_away(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await catalogue.settle(OWNER, SLACK, [(DATA, ["slot1"])])
        assert len(await catalogue.claims_of(OWNER, DATA)) == 1
        assert await catalogue.holders_of(OWNER, DATA) == []

    # -- release ---------------------------------------------------------------------------------------------------

    async def test_the_last_release_makes_an_orphan(self, catalogue: Catalogue) -> None:
        stored = await upload(catalogue, b"data", 1)
        await upload(catalogue, b"data", 2, claim_of(holder=GMAIL))
        await link(catalogue, b"data")
        await link(catalogue, b"data", holder=GMAIL)
        assert await release(catalogue, b"data", NOW + 1) == 1
        assert await catalogue.orphans(None, NOW + DAY, 10) == []
        assert await release(catalogue, b"data", NOW + 2, GMAIL) == 1
        assert [(each.stored, each.since) for each in await catalogue.orphans(None, NOW + DAY, 10)] == [
            (stored, NOW + 2)
        ]

    async def test_a_claim_keeps_a_released_blob_from_being_an_orphan(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        assert await release(catalogue, b"data") == 1
        assert await catalogue.orphans(None, NOW + DAY, 10) == []
        assert await catalogue.hold(OWNER, SLACK, [DATA], NOW) == {DATA: 4}

    async def test_releasing_again_does_not_make_an_orphan_younger(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        rows = await catalogue.holders(OWNER, SLACK, [DATA])
        assert await catalogue.release(OWNER, rows, NOW) == 1
        assert await catalogue.release(OWNER, rows, NOW + DAY) == 0
        assert [each.since for each in await catalogue.orphans(None, NOW + 2 * DAY, 10)] == [NOW]

    async def test_a_release_in_one_namespace_leaves_the_others(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        assert await catalogue.release("owner2", await catalogue.holders(OWNER, SLACK, [DATA]), NOW) == 0
        assert len(await catalogue.holders_of(OWNER, DATA)) == 1

    async def test_links_that_no_row_speaks_of_are_held_again(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        await catalogue.rehold(OWNER, SLACK, [DATA])
        assert await catalogue.orphans(None, NOW + DAY, 10) == []
        assert await catalogue.condemn(OWNER, [DATA], "garbage") == []
        assert [held.holder for held in await catalogue.holders_of(OWNER, DATA)] == [SLACK]
        assert [row.digest for _, row in await catalogue.unconfirmed(10)] == [DATA]

    async def test_holding_again_what_is_held_refuses_an_older_release(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        rows = await catalogue.holders(OWNER, SLACK, [DATA])
        await catalogue.rehold(OWNER, SLACK, [DATA])
        assert await catalogue.release(OWNER, rows, NOW) == 0
        assert [row.digest for _, row in await catalogue.unconfirmed(10)] == [DATA]

    # -- who held it once ------------------------------------------------------------------------------------------

    async def test_whoever_let_go_of_a_blob_is_remembered(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        assert await catalogue.former(OWNER, SLACK, None, 10) == []
        await release(catalogue, b"data")
        assert await catalogue.former(OWNER, SLACK, None, 10) == [DATA]
        assert await catalogue.former(OWNER, GMAIL, None, 10) == []
        assert await catalogue.former("owner2", SLACK, None, 10) == []

    async def test_who_did_not_let_go_after_all_is_not_remembered(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        rows = await catalogue.holders(OWNER, SLACK, [DATA])
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        assert await catalogue.release(OWNER, rows, NOW) == 0
        assert await catalogue.former(OWNER, SLACK, None, 10) == []

    async def test_a_claim_that_was_dropped_or_has_expired_is_remembered(self, catalogue: Catalogue) -> None:
        for number, (data, until) in enumerate({b"data": NOW + DAY, b"late": NOW + 1}.items()):
            await upload(catalogue, data, number, claim_of(data.decode(), expires_at=until))
        await catalogue.expire(NOW + 1, [])
        assert await catalogue.former(OWNER, SLACK, None, 10) == [digest_of(b"late")]
        await catalogue.drop_claims(OWNER, SLACK, scope=None, beginning="data", now=NOW)
        assert await catalogue.former(OWNER, SLACK, None, 10) == sorted([DATA, digest_of(b"late")])

    async def test_a_claim_that_its_record_fulfilled_was_not_let_go_of(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        assert await catalogue.former(OWNER, SLACK, None, 10) == []

    async def test_what_another_holds_or_claims_now_is_left_out(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        await upload(catalogue, b"data", 2, claim_of(holder=GMAIL))
        assert await catalogue.former(OWNER, SLACK, None, 10) == []
        await link(catalogue, b"data", holder=GMAIL)
        assert await catalogue.former(OWNER, SLACK, None, 10) == []
        await release(catalogue, b"data", holder=GMAIL)
        for holder in (SLACK, GMAIL):
            assert await catalogue.former(OWNER, holder, None, 10) == [DATA]

    async def test_what_its_former_holder_holds_again_is_not_left_out(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        await upload(catalogue, b"data", 2)
        assert await catalogue.former(OWNER, SLACK, None, 10) == [DATA]

    async def test_former_holders_are_forgotten_with_the_last_generation(self, catalogue: Catalogue) -> None:
        stored = await orphan(catalogue, b"data", 1)
        await catalogue.quarantine(stored.name)
        assert await catalogue.former(OWNER, SLACK, None, 10) == [DATA]
        healed = await upload(catalogue, b"data", 2, claim_of("again", GMAIL))
        await catalogue.buried([stored.name], NOW)
        await catalogue.drop_claims(OWNER, GMAIL, scope=None, now=NOW)
        assert await catalogue.former(OWNER, SLACK, None, 10) == [DATA]
        await catalogue.condemn(OWNER, [DATA], "garbage")
        assert await catalogue.former(OWNER, SLACK, None, 10) == []
        await catalogue.buried([healed.name], NOW)
        await upload(catalogue, b"data", 3, claim_of("anew", GMAIL))
        await catalogue.drop_claims(OWNER, GMAIL, scope=None, now=NOW)
        assert await catalogue.former(OWNER, SLACK, None, 10) == []
        assert await catalogue.former(OWNER, GMAIL, None, 10) == [DATA]

    async def test_former_holders_are_asked_and_forgotten_in_pieces(self, catalogue: Catalogue) -> None:
        names = sorted(digest_of(b"%d" % number) for number in range(5))
        for number in range(5):
            await orphan(catalogue, b"%d" % number, number)
        await upload(catalogue, b"0", 10, claim_of(holder=GMAIL))
        alone = [name for name in names if name != digest_of(b"0")]
        assert await catalogue.former(OWNER, SLACK, None, 3) == alone[:3]
        assert await catalogue.former(OWNER, SLACK, alone[2], 3) == alone[3:]
        assert await catalogue.forget_former(OWNER, GMAIL, 10) == 0
        assert [await catalogue.forget_former(OWNER, SLACK, 3) for _ in range(3)] == [3, 2, 0]
        assert await catalogue.former(OWNER, SLACK, None, 10) == []

    # -- questions -------------------------------------------------------------------------------------------------

    async def test_holders_are_asked_by_blob_by_holder_and_in_pages(self, catalogue: Catalogue) -> None:
        names = sorted(digest_of(b"%d" % number) for number in range(5))
        for number in range(5):
            await upload(catalogue, b"%d" % number, number)
            await link(catalogue, b"%d" % number)
        await upload(catalogue, b"0", 10, claim_of(holder=GMAIL))
        await link(catalogue, b"0", holder=GMAIL)
        assert [row.holder for row in await catalogue.holders_of(OWNER, digest_of(b"0"))] == [GMAIL, SLACK]
        assert [row.digest for row in await catalogue.held(OWNER, SLACK, None, 3)] == names[:3]
        assert [row.digest for row in await catalogue.held(OWNER, SLACK, names[2], 3)] == names[3:]
        assert [row.digest for row in await catalogue.held(OWNER, GMAIL, None, 3)] == [digest_of(b"0")]
        found = await catalogue.holders(OWNER, SLACK, [*names, digest_of(b"never")])
        assert sorted(row.digest for row in found) == names
