"""What the suite of catalogues asks about the questions of checks and counts."""

from blobstore.catalogue import Catalogue, Standing
from blobstore.digest import Digest
from tests.conformance.catalogue_values import GMAIL, NOW, OWNER, SLACK, claim_of, digest_of, link, orphan, upload


class Checks:
    async def test_a_survey_says_how_many_hold_and_claim_each_blob(self, catalogue: Catalogue) -> None:
        linked = await upload(catalogue, b"linked", 1)
        await link(catalogue, b"linked")
        await upload(catalogue, b"linked", 2, claim_of("slot2", GMAIL))
        await upload(catalogue, b"linked", 3, claim_of("slot3", GMAIL))
        loose = await orphan(catalogue, b"loose", 4, since=NOW + 7)
        expected = [Standing(linked, 1, 2, None), Standing(loose, 0, 0, NOW + 7)]
        assert await catalogue.survey(None, 10) == sorted(expected, key=lambda each: each.stored.name)

    async def test_a_survey_in_pieces_is_the_walk(self, catalogue: Catalogue) -> None:
        for number in range(7):
            await upload(catalogue, b"%d" % number, number, namespace=f"owner{number % 2}")
        seen: list[Standing] = []
        while page := await catalogue.survey(seen[-1].stored.name if seen else None, 3):
            seen += page
        assert [each.stored for each in seen] == await catalogue.walk(None, 100)
        assert len(seen) == 7

    async def test_parties_are_those_who_hold_or_claim(self, catalogue: Catalogue) -> None:
        assert await catalogue.parties() == []
        await upload(catalogue, b"held", 1)
        await link(catalogue, b"held")
        await upload(catalogue, b"held", 2, claim_of("slot2", GMAIL))
        await upload(catalogue, b"other", 3, namespace="owner0")
        await orphan(catalogue, b"loose", 4, namespace="owner2")
        assert await catalogue.parties() == [("owner0", SLACK), (OWNER, GMAIL), (OWNER, SLACK)]

    async def test_marking_again_changes_nothing_that_is_right(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"held", 1)
        await link(catalogue, b"held")
        await upload(catalogue, b"claimed", 2)
        await orphan(catalogue, b"loose", 3, since=NOW + 7)
        before = await catalogue.survey(None, 10)
        absent = Digest("0" * 64)
        digests = [digest_of(b"held"), digest_of(b"claimed"), digest_of(b"loose"), absent]
        await catalogue.remark(OWNER, digests, NOW + 99)
        assert await catalogue.survey(None, 10) == before

    async def test_a_catalogue_in_use_is_sound(self, catalogue: Catalogue) -> None:
        await upload(catalogue, b"data", 1)
        assert await catalogue.check() == []
