"""The audit chain: anyone can recompute it, and no edited, dropped, added or moved event goes unseen."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from records.audit import spine
from records.central import SpineEvent

AT = "2026-11-23T10:00:00.000000Z"
PINNED = "60130e643d7d9ec7f1b3f9a21fc51afef3b4f69b01b9ce958044de59421ff153"


def chained(bodies: list[bytes], at: str = AT) -> list[SpineEvent]:
    events: list[SpineEvent] = []
    for body in bodies:
        previous = events[-1].hash if events else spine.GENESIS
        hash = spine.chain(previous, len(events) + 1, at, body)
        events.append(SpineEvent(len(events) + 1, at, body, previous, hash))
    return events


def rechained(event: SpineEvent) -> SpineEvent:
    """As a forger would: with the hash that belongs to its content."""
    return replace(event, hash=spine.chain(event.previous, event.seq, event.at, event.body))


EVENTS = chained([spine.body("record.delete", {"n": n}) for n in range(1, 8)])
chains = st.lists(st.binary(max_size=20), min_size=1, max_size=12).map(chained)


def seqs(events: list[SpineEvent], known: dict[int, bytes] | None = None) -> list[int]:
    return [fault.seq for fault in spine.verify(events, known=known or {})]


def test_a_body_is_canonical_json() -> None:
    body = spine.body("blob.upload", {"size": 3, "blob": "b\u00e9\0", "a": {"z": 1, "b": [True, None]}})
    assert body == '{"a":{"b":[true,null],"z":1},"blob":"b\u00e9\\u0000","kind":"blob.upload","size":3}'.encode()
    assert spine.body("x") == b'{"kind":"x"}'


def test_a_kind_is_no_fact() -> None:
    with pytest.raises(ValueError, match="kind"):
        spine.body("x", {"kind": "y"})


def test_an_auditor_recomputes_the_hash_from_the_description() -> None:
    body = json.dumps({"kind": "record.delete", "n": 1}, sort_keys=True, separators=(",", ":")).encode()
    text = bytes(32) + (1).to_bytes(8, "big") + bytes([len(AT)]) + AT.encode() + body
    assert EVENTS[0].hash == blake3(text, derive_key_context="blobstore 2026-11 spine event").digest()


def test_the_hash_of_an_event_is_fixed() -> None:
    assert spine.chain(spine.GENESIS, 1, AT, b"{}").hex() == PINNED


def test_every_part_counts() -> None:
    base = spine.chain(spine.GENESIS, 1, AT, b"{}")
    others = [
        spine.chain(b"\1" + bytes(31), 1, AT, b"{}"),
        spine.chain(spine.GENESIS, 2, AT, b"{}"),
        spine.chain(spine.GENESIS, 1, AT[:-1], b"Z{}"),
        spine.chain(spine.GENESIS, 1, AT, b"{} "),
    ]
    assert len({base, *others}) == 5


@given(chains)
def test_a_whole_chain_verifies(events: list[SpineEvent]) -> None:
    assert seqs(events, {events[-1].seq: events[-1].hash}) == []


def test_a_chain_verifies_from_any_event_on() -> None:
    assert list(spine.verify(EVENTS[3:], after=3, previous=EVENTS[2].hash)) == []
    assert list(spine.verify(EVENTS[3:], after=3, previous=EVENTS[1].hash)) != []


@given(chains, st.data())
def test_an_edited_event_is_found(events: list[SpineEvent], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(events) - 1))
    event = events[place]
    edits = [
        replace(event, body=event.body + b" "),
        replace(event, at="2027" + event.at[4:]),
        replace(event, previous=bytes([event.previous[0] ^ 1]) + event.previous[1:]),
        replace(event, hash=event.hash[:-1] + bytes([event.hash[-1] ^ 128])),
        replace(event, previous=b"short"),
        replace(event, at="x" * 300),
    ]
    events[place] = data.draw(st.sampled_from(edits))
    assert event.seq in seqs(events)


@given(chains.filter(lambda events: len(events) > 1), st.data())
def test_a_forged_event_breaks_the_link_to_the_next(events: list[SpineEvent], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(events) - 2))
    events[place] = rechained(replace(events[place], body=b"forged"))
    assert events[place].seq + 1 in seqs(events)


@given(chains)
def test_a_forged_end_is_found_by_what_was_kept_elsewhere(events: list[SpineEvent]) -> None:
    kept = {events[-1].seq: events[-1].hash}
    events[-1] = rechained(replace(events[-1], body=b"forged"))
    assert seqs(events) == []
    assert seqs(events, kept) == [events[-1].seq]


@given(chains.filter(lambda events: len(events) > 1), st.data())
def test_dropped_events_are_found(events: list[SpineEvent], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(events) - 2))
    last = data.draw(st.integers(first, len(events) - 2))
    kept = events[:first] + events[last + 1 :]
    assert seqs(kept) == [events[last + 1].seq]


@given(chains)
def test_a_cut_off_end_is_found_by_what_was_kept_elsewhere(events: list[SpineEvent]) -> None:
    kept = {events[-1].seq: events[-1].hash}
    assert seqs(events[:-1]) == []
    assert seqs(events[:-1], kept) == [events[-1].seq]


@given(chains.filter(lambda events: len(events) > 1), st.data())
def test_moved_events_are_found(events: list[SpineEvent], data: st.DataObject) -> None:
    moved = data.draw(st.permutations(events).filter(lambda order: order != events))
    assert seqs(moved)
    assert any("out of order" in fault.message for fault in spine.verify(moved))


@given(chains, st.data())
def test_renumbered_events_are_found(events: list[SpineEvent], data: st.DataObject) -> None:
    first, second = data.draw(st.lists(st.integers(0, len(events)), min_size=2, max_size=2, unique=True))
    if max(first, second) < len(events):
        events[first], events[second] = (
            replace(events[second], seq=events[first].seq),
            replace(events[first], seq=events[second].seq),
        )
        assert seqs(events)


@given(chains, st.data())
def test_an_added_event_is_found(events: list[SpineEvent], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(events)))
    previous = events[place - 1].hash if place else spine.GENESIS
    added = rechained(SpineEvent(place + 1, AT, b"added", previous, b""))
    shown = [*events[:place], added, *events[place:]]
    assert (seqs(shown) == []) == (place == len(events))


def test_one_fault_is_told_once_and_in_a_sentence() -> None:
    told = {
        "Event 3 was edited: its hash is not that of its content.": [
            *EVENTS[:2],
            replace(EVENTS[2], body=b"x"),
            *EVENTS[3:],
        ],
        "Event 3 is missing before event 4.": EVENTS[:2] + EVENTS[3:],
        "Events 2 to 5 are missing before event 6.": EVENTS[:1] + EVENTS[5:],
        "Event 1 is out of order: it stands after event 4.": EVENTS[:4] + EVENTS[:1] + EVENTS[4:],
    }
    for sentence, events in told.items():
        assert [fault.message for fault in spine.verify(events)] == [sentence]


def test_a_long_chain_is_verified_event_by_event() -> None:
    seen = []

    def told() -> Iterator[SpineEvent]:
        for event in [EVENTS[1], *EVENTS]:
            seen.append(event.seq)
            yield event

    faults = spine.verify(told())
    assert next(faults).seq == 2
    assert seen == [2]
