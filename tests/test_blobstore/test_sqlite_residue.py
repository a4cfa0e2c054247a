"""Nothing of dropped claims, whose slots name records, or of keys to what was derived, can be read in any file of the
SQLite catalogue.
"""

import asyncio
import random
import string
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest

from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.derived import Derived
from tests.conformance.catalogue_values import DAY, GMAIL, NOW, OWNER, SLACK, claim_of, digest_of, link, upload
from tests.fakes.residue import cut_log, pieces_in

SEEDS = range(5)
"""Whether a copy stays behind depends on how rows happen to lie: with most of these some do."""


async def claim(catalogue: SqliteCatalogue, rng: random.Random, count: int) -> dict[str, list[str]]:
    """Slots that have nothing in common, in no order, by holder."""
    slots: dict[str, list[str]] = {SLACK: [], GMAIL: []}
    for number in range(0, count, 50):
        some = [
            ("".join(rng.choices(string.ascii_letters, k=rng.choice([32, 60, 300, 1500]))), rng.choice([SLACK, GMAIL]))
            for _ in range(50)
        ]
        ends = {SLACK: NOW + DAY, GMAIL: NOW + 3 * DAY}
        claims = [claim_of(slot, holder, expires_at=ends[holder] + rng.random() * DAY) for slot, holder in some]
        await asyncio.gather(*(upload(catalogue, b"data", number + n, each) for n, each in enumerate(claims)))
        for slot, holder in some:
            slots[holder].append(slot)
    return slots


async def drop(catalogue: SqliteCatalogue, slots: Collection[str]) -> None:
    await asyncio.gather(*(catalogue.drop_claims(OWNER, SLACK, scope=None, beginning=slot, now=NOW) for slot in slots))


async def fulfil(catalogue: SqliteCatalogue, slots: Collection[str]) -> None:
    await link(catalogue, b"data", tuple(slots))


async def expire(catalogue: SqliteCatalogue, slots: Collection[str]) -> None:
    await catalogue.expire(NOW + 3 * DAY, [])


@pytest.mark.parametrize("end", [drop, fulfil, expire])
async def test_no_piece_of_a_claim_that_ended_is_left_in_any_file(
    tmp_path: Path, end: Callable[[SqliteCatalogue, Collection[str]], Awaitable[None]]
) -> None:
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        catalogue = await SqliteCatalogue.open(folder / "catalogue.db")
        slots = await claim(catalogue, random.Random(seed), 400)
        kept = await catalogue.claims_by(OWNER, GMAIL, 10_000)
        await end(catalogue, slots[SLACK])
        assert pieces_in(folder, slots[SLACK])
        assert await catalogue.sanitize(30.0)
        assert pieces_in(folder, slots[SLACK]) == set()
        assert await catalogue.claims_by(OWNER, SLACK, 10) == []
        assert await catalogue.claims_by(OWNER, GMAIL, 10_000) == kept
        assert await catalogue.check() == []
        await catalogue.close()


async def test_dropping_rows_alone_leaves_pieces_of_claims_in_the_slack_of_pages(tmp_path: Path) -> None:
    """Why the table is written anew: should this fail one day, SQLite has learned to clean up by itself."""
    left: set[str] = set()
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        catalogue = await SqliteCatalogue.open(folder / "catalogue.db")
        slots = await claim(catalogue, random.Random(seed), 400)
        await drop(catalogue, slots[SLACK])
        await catalogue.close()
        cut_log(folder / "catalogue.db")
        left |= pieces_in(folder, slots[SLACK])
    assert left == {"catalogue.db"}


async def test_sanitizing_again_writes_nothing(tmp_path: Path, rng: random.Random) -> None:
    catalogue = await SqliteCatalogue.open(tmp_path / "catalogue.db")
    await drop(catalogue, (await claim(catalogue, rng, 50))[SLACK])
    assert await catalogue.sanitize(30.0)
    before = (tmp_path / "catalogue.db").stat().st_mtime_ns
    assert await catalogue.sanitize(30.0)
    assert (tmp_path / "catalogue.db").stat().st_mtime_ns == before
    assert await catalogue.find(OWNER, digest_of(b"data")) is not None
    await catalogue.close()


async def derive(catalogue: SqliteCatalogue, rng: random.Random) -> list[str]:
    """The keys of what was derived of a blob, of kinds of many lengths in no order, and made otherwise since."""
    await upload(catalogue, b"data", 1)

    async def keep(kinds: Collection[str]) -> list[str]:
        keys = ["".join(rng.choices(string.ascii_letters, k=32)) for _ in kinds]
        each = [Derived(kind, key.encode(), b"sealed") for kind, key in zip(kinds, keys, strict=True)]
        await asyncio.gather(*(catalogue.keep_derived(OWNER, digest_of(b"data"), one) for one in each))
        return keys

    kinds = ["".join(rng.choices(string.ascii_letters, k=rng.choice([4, 60, 300, 1500]))) for _ in range(400)]
    keys = [key for start in range(0, 400, 50) for key in await keep(kinds[start : start + 50])]
    again = rng.sample(range(400), 200)
    await keep([kinds[number] for number in again])
    return [keys[number] for number in again]


async def test_no_piece_of_a_key_is_left_of_what_was_derived_and_went(tmp_path: Path) -> None:
    for seed in (2, 4):  # in these some copies stay behind, were the table not written anew
        folder = tmp_path / str(seed)
        catalogue = await SqliteCatalogue.open(folder / "catalogue.db")
        keys = await derive(catalogue, random.Random(seed))
        assert await catalogue.sanitize(30.0)
        assert pieces_in(folder, keys) == set()
        await catalogue.close()
