"""What was made of blobs: kept while they are there."""

from blobstore.catalogue import Catalogue
from blobstore.derived import Derived
from tests.conformance.catalogue_values import (
    DAY,
    GMAIL,
    NOW,
    OWNER,
    SLACK,
    claim_of,
    digest_of,
    link,
    move,
    orphan,
    upload,
)

A = digest_of(b"a")
SMALL = Derived("small", b"k" * 32, b"a small one")


class Deriving:
    async def test_what_was_derived_is_kept_of_each_kind_and_replaced(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"a", 1)
        large, newer = Derived("large", b"l" * 32, b"large" * 10_000), Derived("small", b"n" * 32, b"newer")
        for each in (SMALL, large, newer):
            await catalogue.keep_derived(OWNER, A, each)
        assert await catalogue.derived(OWNER, A, "small") == newer
        assert await catalogue.derived(OWNER, A, "large") == large
        assert await catalogue.derived(OWNER, A, "other") is None
        assert await catalogue.derived("owner2", A, "small") is None

    async def test_nothing_is_kept_of_what_is_not_live(self, catalogue: Catalogue) -> None:
        await catalogue.keep_derived(OWNER, A, SMALL)
        stored = await upload(catalogue, b"a", 1)
        assert await catalogue.derived(OWNER, A, "small") is None
        await catalogue.keep_derived(OWNER, A, SMALL)
        await catalogue.quarantine(stored.name)
        assert await catalogue.derived(OWNER, A, "small") is None
        await upload(catalogue, b"a", 2)  # healed: the same bytes
        assert await catalogue.derived(OWNER, A, "small") == SMALL

    async def test_it_goes_in_the_step_that_condemns_the_blob(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"a", 1)
        await catalogue.keep_derived(OWNER, A, SMALL)
        await catalogue.condemn(OWNER, [A], "garbage 1", before=NOW + 1)
        await upload(catalogue, b"a", 2)
        assert await catalogue.derived(OWNER, A, "small") is None

    async def test_it_stays_while_anybody_holds_the_blob(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"a", 1)
        await link(catalogue, b"a")
        await upload(catalogue, b"a", 2, claim_of(holder=GMAIL))
        await catalogue.keep_derived(OWNER, A, SMALL)
        await catalogue.release(OWNER, await catalogue.holders(OWNER, SLACK, [A]), NOW)
        assert await catalogue.condemn(OWNER, [A], "erasure 1") == []
        assert await catalogue.derived(OWNER, A, "small") == SMALL
        await catalogue.drop_claims(OWNER, GMAIL, scope=None, now=NOW)
        assert len(await catalogue.condemn(OWNER, [A], "erasure 1")) == 1
        await upload(catalogue, b"a", 3)
        assert await catalogue.derived(OWNER, A, "small") is None

    async def test_it_moves_with_the_blob(self, catalogue: Catalogue) -> None:
        await catalogue.first_place("file", {})
        stored = await upload(catalogue, b"a", 1)
        await catalogue.keep_derived(OWNER, A, SMALL)
        await catalogue.take_in("s3://bucket/a", {}, NOW)
        await move(catalogue, stored, 2, NOW + DAY)
        assert await catalogue.derived(OWNER, A, "small") == SMALL

    async def test_of_one_namespace_the_oldest_go_beyond_the_most(self, catalogue: Catalogue) -> None:
        bodies = [b"a", b"b", b"c"]
        await upload(catalogue, b"a", 9, namespace="owner2")
        await catalogue.keep_derived("owner2", A, SMALL, most=2)
        for number, body in enumerate(bodies):
            await upload(catalogue, body, number, claim_of(f"slot{number}"))
            await catalogue.keep_derived(OWNER, digest_of(body), SMALL, most=2)
        found = [await catalogue.derived(OWNER, digest_of(body), "small") for body in bodies]
        assert found == [None, SMALL, SMALL]
        assert await catalogue.derived("owner2", A, "small") == SMALL
