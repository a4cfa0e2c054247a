"""Nothing of dropped sync state and of the targets of erasures can be read in any file of the SQLite central store."""

import asyncio
import random
import string
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from records.central import ErasureJob
from records.centrals.sqlite import SqliteCentral
from tests.conformance.central_values import EVENT, T1, added, registered
from tests.fakes.residue import cut_log, pieces_in

SEEDS = range(5)
"""Whether a copy stays behind depends on how rows happen to lie: with most of these some do."""


def text(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_letters, k=rng.choice([32, 500, 1000])))


async def remember_and_forget(central: SqliteCentral, rng: random.Random) -> list[str]:
    """State of many streams of two instances, much of it replaced, that of one dropped: all texts that this had."""
    owner = await registered(central)
    streams = [f"stream {number}" for number in range(200)]
    texts: list[str] = []
    for instance in ("one", "two"):
        await added(central, owner, instance)
    for _ in range(12):
        for instance in ("one", "two"):
            state = {stream: text(rng).encode() for stream in rng.sample(streams, 50)}
            await central.merge_state(owner.id, "slack", instance, state, T1, EVENT)
            texts += [value.decode() for value in state.values() if instance == "one"]
    going = rng.sample(streams, len(streams))
    await asyncio.gather(*(central.drop_state(owner.id, "slack", "one", stream) for stream in going))
    return texts


async def begin_and_redact(central: SqliteCentral, rng: random.Random) -> list[str]:
    """Many erasures, most of them redacted: what the targets of these were."""
    owner = await registered(central)
    targets = {f"e{number}": text(rng) for number in range(200)}
    jobs = [ErasureJob(id, owner.id, target.encode(), "running", T1, None, None) for id, target in targets.items()]
    await asyncio.gather(*(central.begin_erasure(job, EVENT) for job in rng.sample(jobs, len(jobs))))
    redacted = rng.sample(sorted(targets), 180)
    await asyncio.gather(*(central.redact_erasure(id, b"{}") for id in redacted))
    return [targets[id] for id in redacted]


Work = Callable[[SqliteCentral, random.Random], Awaitable[list[str]]]
WORKS = pytest.mark.parametrize("work", [remember_and_forget, begin_and_redact])


@WORKS
async def test_no_piece_of_what_went_is_left_in_any_file(tmp_path: Path, work: Work) -> None:
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        central = await SqliteCentral.open(folder / "central.db")
        texts = await work(central, random.Random(seed))
        (owner,) = await central.owners()
        kept = [await central.state(owner.id, "slack", "two"), await central.unfinished_erasures()]
        assert pieces_in(folder, texts)
        assert await central.sanitize(30.0)
        assert pieces_in(folder, texts) == set()
        assert [await central.state(owner.id, "slack", "two"), await central.unfinished_erasures()] == kept
        assert await central.check() == []
        await central.close()


@WORKS
async def test_overwriting_rows_alone_leaves_pieces_in_the_slack_of_pages(tmp_path: Path, work: Work) -> None:
    """Why tables are written anew: should this fail one day, SQLite has learned to clean up by itself."""
    left: set[str] = set()
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        central = await SqliteCentral.open(folder / "central.db")
        texts = await work(central, random.Random(seed))
        await central.close()
        cut_log(folder / "central.db")
        left |= pieces_in(folder, texts)
    assert left == {"central.db"}


async def test_state_that_was_replaced_is_written_anew_and_only_once(tmp_path: Path) -> None:
    central = await SqliteCentral.open(tmp_path / "central.db")
    owner = await registered(central)
    await added(central, owner, "one")
    for value in (b'"a value that is replaced"', b'"short"'):
        await central.merge_state(owner.id, "slack", "one", {"a": value}, T1, EVENT)
    for changed in (True, False):
        before = (tmp_path / "central.db").stat().st_mtime_ns
        assert await central.sanitize(30.0)
        assert ((tmp_path / "central.db").stat().st_mtime_ns != before) == changed
    assert pieces_in(tmp_path, ["a value that is replaced"]) == set()
    await central.close()
