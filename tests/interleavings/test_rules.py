"""The rules of the protocol that keeps bytes alive, each by name (docs/architecture.md says what they are).

Most are races of `scenarios`, interrupted at any step; `mutants` says which mistake turns which of them red. Others are
the steps of two processes in the one order that would lose or leak.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from records.errors import Conflict
from records.writing.ingest import Ingests
from tests.fakes.data_directory import digest_of
from tests.interleavings.machine import CONNECTORS, Directory
from tests.interleavings.model import Model
from tests.interleavings.mutants import Edit, Mutant
from tests.interleavings.scenarios import SCENARIOS, Scenario
from tests.interleavings.world import Place, World

GAPS, ALL = 5, 10_000
"""Steps at which a race is interrupted in the sample, and at full size."""

PLACE = Place(CONNECTORS[0], "one", "documents", "1")
LETTER = b"letter"


@pytest.fixture
def world(template: Directory, tmp_path: Path) -> Iterator[World]:
    """Two processes."""
    with World(template.path, template.owner, tmp_path) as world:
        world.run(world.start())
        world.run(world.start())
        yield world


@pytest.fixture
def play(template: Directory, rng: random.Random, sized: Callable[[int, int], int]) -> Callable[[Scenario], None]:
    return lambda scenario: scenario.sample(template, rng, sized(GAPS, ALL))


Play = Callable[[Scenario], None]


def races(rule: str) -> pytest.MarkDecorator:
    """The test is run with each race of a rule."""
    found = {name: scenario for name, scenario in SCENARIOS.items() if name.startswith(f"{rule}: ")}
    return pytest.mark.parametrize("race", found.values(), ids=found)


@pytest.mark.long
@races("p1")
def test_p1_a_link_is_held_before_it_is_committed_and_released_after_it_is_gone(play: Play, race: Scenario) -> None:
    play(race)


@pytest.mark.long
@races("p2")
def test_p2_what_is_stored_already_is_claimed_only_where_it_is_live(play: Play, race: Scenario) -> None:
    play(race)


@pytest.mark.long
@races("p3")
def test_p3_an_upload_is_published_only_with_its_lease(play: Play, race: Scenario) -> None:
    play(race)


@pytest.mark.long
@races("p4")
def test_p4_what_was_begun_before_an_erasure_leaves_nothing_after_it(play: Play, race: Scenario) -> None:
    play(race)


@pytest.mark.long
@races("p6")
def test_p6_versions_never_run_backwards(play: Play, race: Scenario) -> None:
    play(race)


@pytest.mark.long
@races("p7")
def test_p7_each_event_is_on_the_spine_exactly_once(play: Play, race: Scenario) -> None:
    play(race)


@pytest.mark.long
@races("p8")
def test_p8_requests_that_share_a_commit_fail_each_by_itself(play: Play, race: Scenario) -> None:
    play(race)


@pytest.mark.long
@races("p10")
def test_p10_claims_live_a_week_and_go_with_what_is_erased(play: Play, race: Scenario) -> None:
    play(race)


# -- in one exact order ------------------------------------------------------------------------------------------------


def linked(world: World) -> None:
    process = world.started()[0]
    world.run(world.upload(process, PLACE, LETTER))
    world.run(world.put(process, PLACE, 1, [digest_of(LETTER)]))


def test_a_process_starts_while_another_removes_the_last_blob(world: World) -> None:
    linked(world)
    first = world.started()[0]
    world.run(world.delete(first, PLACE))
    starting = world.until(world.start(), "_has_folders")
    assert world.run(world.collect(first)).blobs == 1
    world.run(starting)


def test_p1_a_release_between_hold_and_commit_makes_the_batch_hold_again(world: World) -> None:
    first, second = world.started()
    linked(world)
    world.run(world.delete(first, PLACE))
    batch = world.until(world.put(first, PLACE, 2, [digest_of(LETTER)]), "Writes.apply")
    world.past(world.collect(second), "Links.recount")
    assert world.run(batch).accepted == 1
    model = Model(world)
    model.values[2], model.contents[digest_of(LETTER).hex] = frozenset({digest_of(LETTER).hex}), LETTER
    seen = model.see()
    model.close()
    assert seen.links[PLACE] == {digest_of(LETTER).hex} == seen.kept()


def test_p4_a_batch_that_found_its_instance_before_it_was_erased_is_refused(world: World) -> None:
    first, second = world.started()
    linked(world)
    batch = world.until(world.put(first, PLACE, 2, []), "Writes.epoch")
    world.run(world.erase(second, PLACE.connector, PLACE.instance))
    with pytest.raises(Conflict):
        world.run(batch)


def test_p4_without_a_second_look_at_the_instance_the_batch_comes_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Mutant("nobody looks again", [Edit(Ingests.begin, _LOOK, "pass")]).plant(monkeypatch)
    with pytest.raises(pytest.fail.Exception):
        test_p4_a_batch_that_found_its_instance_before_it_was_erased_is_refused(world)


_LOOK = "await self._registry.require_living(owner, destination.instance)"


def test_p4_an_upload_that_found_its_instance_before_it_was_erased_is_refused(world: World) -> None:
    first, second = world.started()
    linked(world)
    upload = world.until(world.upload(first, PLACE, LETTER), "Uploads.lease")
    world.run(world.erase(second, PLACE.connector, PLACE.instance))
    with pytest.raises(Conflict):
        world.run(upload)
