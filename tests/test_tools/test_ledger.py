"""What earlier runs wrote, and the batches that are known again."""

import random

import msgspec
import pytest

from tools.slack.batches import MAX_BYTES, MAX_ITEMS, cut, short_digest
from tools.slack.ledger import Ledger, Settled, Tried
from tools.slack.status import Status

DIGEST = short_digest(b"x")


def saved(ledger: Ledger) -> dict[str, object]:
    """The state as it comes back from a store."""
    state: dict[str, object] = msgspec.json.decode(msgspec.json.encode(ledger.changes()))
    return state


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("tried", list(Tried))
def test_every_outcome_survives_the_state(status: Status, tried: Tried) -> None:
    settled = Settled(status, DIGEST, 810_000_000, tried)
    ledger = Ledger({})
    ledger.settle("F1", settled)
    assert Ledger(saved(ledger)).file("F1") == settled


def test_a_state_of_15410_files_and_186000_messages_stays_below_a_megabyte() -> None:
    ledger = Ledger({})
    for n in range(15_410):
        ledger.settle(f"F{n:010}", Settled(Status.HYDRATED, DIGEST, 810_000_000 >> (n % 30)))
    for n in range(186_000 // 300):
        ledger.add("messages", short_digest(str(n).encode()))
    assert len(msgspec.json.encode(ledger.changes())) < 1_000_000


def test_only_what_changed_is_saved_again() -> None:
    ledger = Ledger({})
    ledger.settle("F1", Settled(Status.EMPTY, DIGEST))
    ledger.add("users", "a")
    assert set(ledger.changes()) == {"files", "users"}
    ledger.settle("F1", Settled(Status.EMPTY, DIGEST))
    assert ledger.changes() == {}


def test_batches_that_are_no_more_are_forgotten_at_the_end_only() -> None:
    first = Ledger({})
    for digest in ("a", "b"):
        first.add("messages", digest)
    second = Ledger(saved(first))
    assert second.has("messages", "a")
    second.keep("messages", "a")
    second.add("messages", "c")
    interrupted = Ledger(saved(second))
    assert [interrupted.has("messages", digest) for digest in "abc"] == [True, True, True]
    second.finish("messages")
    ended = Ledger(saved(second))
    assert [ended.has("messages", digest) for digest in "abc"] == [True, False, True]


def test_a_full_run_knows_no_batch_but_still_knows_its_files() -> None:
    first = Ledger({})
    first.add("messages", "a")
    first.settle("F1", Settled(Status.HYDRATED, DIGEST, 5))
    full = Ledger(saved(first), full=True)
    assert not full.has("messages", "a")
    assert full.file("F1") == Settled(Status.HYDRATED, DIGEST, 5)


@pytest.mark.parametrize(
    "state",
    [{"files": 1}, {"files": {"v": 0, "files": {"F1": "h0"}}}, {"messages": []}, {"messages": {"v": 9}}, {"x": None}],
)
def test_a_state_of_another_kind_is_ignored(state: dict[str, object]) -> None:
    ledger = Ledger(state)
    assert ledger.file("F1") is None
    assert not ledger.has("messages", "a")


@pytest.mark.parametrize("text", ["", "h", "h9" + DIGEST + "1", "?0" + DIGEST + "1", "h0" + DIGEST + "zz"])
def test_an_entry_that_is_not_ours_is_looked_at_again(text: str) -> None:
    assert Ledger({"files": {"v": 1, "files": {"F1": text}}}).file("F1") is None


def batches(forms: list[bytes]) -> list[tuple[str, int]]:
    return [(batch.digest, len(batch.items)) for batch in cut((form, form) for form in forms)]


def test_batches_hold_everything_in_order_within_their_limits() -> None:
    forms = [random.Random(1).randbytes(20) + str(n).encode() for n in range(5000)]
    cuts = list(cut((form, form) for form in forms))
    assert [item for batch in cuts for item in batch.items] == forms
    assert max(len(batch.items) for batch in cuts) == MAX_ITEMS
    large = [b"x" * (MAX_BYTES // 3)] * 7 + [b"y" * (2 * MAX_BYTES)] + [b"z"]
    sizes = [sum(map(len, batch.items)) for batch in cut((form, form) for form in large)]
    assert all(size <= MAX_BYTES or size == 2 * MAX_BYTES for size in sizes)
    assert sum(sizes) == sum(map(len, large))


@pytest.mark.parametrize("where", [0, 7_000, 19_999, 20_000])
def test_an_added_object_changes_the_batches_around_it_only(where: int) -> None:
    forms = [b"message %d" % n for n in range(20_000)]
    before = set(batches(forms))
    after = batches([*forms[:where], b"new", *forms[where:]])
    new = [batch for batch in after if batch not in before]
    assert 1 <= len(new) <= 12
    assert len(after) > 50


def test_parts_do_not_run_into_each_other() -> None:
    assert short_digest(b"ab", b"c") != short_digest(b"a", b"bc")
