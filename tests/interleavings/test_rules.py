"""Interleavings by name: the steps of two processes in the one order that would lose or leak."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from records.errors import Conflict
from records.writing.ingest import Ingests
from tests.fakes.data_directory import digest_of
from tests.interleavings.machine import CONNECTORS, Directory
from tests.interleavings.model import Model
from tests.interleavings.mutants import Edit, Mutant
from tests.interleavings.world import Place, World

PLACE = Place(CONNECTORS[0], "one", "documents", "1")
LETTER = b"letter"


@pytest.fixture
def world(template: Directory, tmp_path: Path) -> Iterator[World]:
    """Two processes."""
    with World(template.path, template.owner, tmp_path) as world:
        world.run(world.start())
        world.run(world.start())
        yield world


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
