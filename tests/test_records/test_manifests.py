"""Decoded manifests are remembered: many small ones, few large ones, no failures."""

import json

import pytest

from records import manifest
from records.errors import Invalid
from records.manifest import Manifest
from records.manifests import CAPACITY, Manifests

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}


def text(number: int, size: int = 0) -> bytes:
    streams = [{"name": "notes", "semantics": "append_only", "primary_key": ["id"], "schema": SCHEMA}]
    return json.dumps({"connector_id": f"c{number}", "streams": streams, "padding": "x" * size}).encode()


class Counting:
    """Decodes, and counts how often."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.times = 0
        self.manifests = Manifests(capacity, self.decode)

    def decode(self, raw: bytes) -> Manifest:
        self.times += 1
        return manifest.decode(raw)


def test_the_manifests_of_an_owner_with_many_connectors_are_decoded_once() -> None:
    counting = Counting()
    for _ in range(3):
        for number in range(2_000):
            assert counting.manifests.decoded(text(number)).connector_id == f"c{number}"
    assert counting.times == 2_000


def test_what_is_remembered_has_a_bound_whatever_is_asked_for() -> None:
    counting = Counting(capacity=1_000)
    for number in range(5):
        counting.manifests.decoded(text(number, 800))
    assert len(counting.manifests._known) == 1
    counting.manifests.decoded(text(9, 2_000))
    assert len(counting.manifests._known) == 0


def test_those_go_that_were_asked_for_longest_ago() -> None:
    counting = Counting(capacity=2 * len(text(1)))
    for number in (1, 2, 1, 3, 1):
        counting.manifests.decoded(text(number))
    assert counting.times == 3
    counting.manifests.decoded(text(2))
    assert counting.times == 4


def test_a_failure_is_not_remembered() -> None:
    counting = Counting()
    for _ in range(2):
        with pytest.raises(Invalid):
            counting.manifests.decoded(b"{}")
    assert counting.times == 2
