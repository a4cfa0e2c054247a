"""What every catalogue says before somebody lets go of blobs for good."""

from blobstore.catalogue import Catalogue, Share
from tests.conformance.catalogue_values import GMAIL, NOW, OWNER, SLACK, claim_of, digest_of, link, orphan, upload

DATA = digest_of(b"data")
NOBODY = frozenset[str]()


class Shares:
    async def test_a_blob_that_nobody_else_has_is_shared_with_nobody(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1, claim_of("a1"))
        assert await catalogue.shares(OWNER, SLACK, ["a"], [DATA]) == [
            Share(DATA, 4, NOBODY, held=False, covered=True, scopes=NOBODY)
        ]
        await link(catalogue, b"data", ("a1",))
        assert await catalogue.shares(OWNER, SLACK, ["a"], [DATA]) == [
            Share(DATA, 4, NOBODY, held=True, covered=False, scopes=NOBODY)
        ]

    async def test_others_are_those_who_hold_or_claim(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        await link(catalogue, b"data")
        await upload(catalogue, b"data", 2, claim_of("x", GMAIL))
        await upload(catalogue, b"data", 3, claim_of("y", "photos"))
        await link(catalogue, b"data", ("x",), GMAIL)
        (share,) = await catalogue.shares(OWNER, SLACK, [""], [DATA])
        assert share.others == {GMAIL, "photos"}

    async def test_claims_for_other_slots_are_told_by_their_scopes(self, catalogue: Catalogue) -> None:
        for number, (slot, scope) in enumerate([("a1", "one"), ("b1", "one"), ("b2", "two"), ("c1", "three")]):
            await upload(catalogue, b"data", number, claim_of(slot, scope=scope))
        (share,) = await catalogue.shares(OWNER, SLACK, ["a", "c"], [DATA])
        assert (share.covered, share.scopes) == (True, frozenset({"one", "two"}))
        (share,) = await catalogue.shares(OWNER, SLACK, ["d"], [DATA])
        assert (share.covered, share.scopes) == (False, frozenset({"one", "two", "three"}))

    async def test_the_size_is_that_of_all_that_is_stored(self, catalogue: Catalogue) -> None:
        stored = await orphan(catalogue, b"data", 1)
        await catalogue.quarantine(stored.name)
        await orphan(catalogue, b"gone", 2)
        await catalogue.condemn(OWNER, [digest_of(b"gone")], "garbage")
        found = await catalogue.shares(OWNER, SLACK, [""], [digest_of(b"gone"), DATA, digest_of(b"never")])
        assert [(share.digest, share.size) for share in found] == [(DATA, 4)]

    async def test_shares_come_in_the_order_of_digests_and_of_one_namespace(self, catalogue: Catalogue) -> None:
        names = sorted(digest_of(b"%d" % number) for number in range(4))
        for number in range(4):
            await upload(catalogue, b"%d" % number, number, claim_of(f"s{number}"))
        assert [share.digest for share in await catalogue.shares(OWNER, SLACK, [""], names[::-1])] == names
        assert await catalogue.shares("owner2", SLACK, [""], names) == []

    async def test_claimed_blobs_come_once_in_pieces_by_the_beginnings_of_their_slots(
        self, catalogue: Catalogue
    ) -> None:
        for number in range(4):
            await upload(catalogue, b"%d" % number, number, claim_of(f"a{number}"))
            await upload(catalogue, b"%d" % number, 10 + number, claim_of(f"b{number}"))
        await upload(catalogue, b"other", 20, claim_of("a", GMAIL))
        names = sorted(digest_of(b"%d" % number) for number in range(4))
        assert await catalogue.claimed(OWNER, SLACK, ["a", "b"], None, 10) == names
        assert await catalogue.claimed(OWNER, SLACK, ["b"], None, 3) == names[:3]
        assert await catalogue.claimed(OWNER, SLACK, ["b", "a"], names[2], 3) == names[3:]
        assert await catalogue.claimed(OWNER, SLACK, ["a0", "b1"], None, 10) == sorted(
            [digest_of(b"0"), digest_of(b"1")]
        )
        assert await catalogue.claimed(OWNER, SLACK, ["c"], None, 10) == []
        assert await catalogue.claimed(OWNER, SLACK, [], None, 10) == []
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        assert await catalogue.claimed(OWNER, SLACK, [""], None, 10) == []
