"""The rules of the protocol that are about where records live (P5, P9), in the one order that would lose."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blobstore.errors import StorageUnavailable
from records.engines.sharded.file import ShardFile
from records.engines.sqlite.schema import _require_here
from records.layout import Topology
from records.model import Partition
from records.store import RecordStore
from tests.conformance.engine_values import apply, put
from tests.fakes.data_directory import digest_of
from tests.interleavings.machine import CONNECTORS, Directory
from tests.interleavings.mutants import Edit, Mutant
from tests.interleavings.world import Operation, Place, World

PLACE = Place(CONNECTORS[0], "one", "documents", "1")
NEXT = replace(PLACE, key="2")
LETTER = b"letter"


@pytest.fixture
def world(template: Directory, tmp_path: Path) -> Iterator[World]:
    """Two processes, and a record with a blob."""
    with World(template.path, template.owner, tmp_path) as world:
        for _ in range(2):
            world.run(world.start())
        first, _ = world.started()
        world.run(world.upload(first, PLACE, LETTER))
        world.run(world.put(first, PLACE, 1, [digest_of(LETTER)]))
        yield world


def finished(world: World, operation: Operation) -> object:
    """As `World.run`; who waits for a lock looks again."""
    for _ in range(50):
        while world.take(operation):
            pass
        if operation.task.done():
            break
        world.loop.pass_time(0.1)
    return world.run(operation)


def found(world: World) -> list[str]:
    """What a process finds that has just started."""
    world.run(world.start())
    keys: list[str] = world.run(world.keys(world.started()[-1], PLACE))
    return keys


def apart(world: World) -> World:
    """Each connector in a file of its own, which the first process has open."""
    first, second = world.started()
    finished(world, world.move(second, Topology.PER_CONNECTOR))
    assert found(world) == ["1"]
    finished(world, world.put(first, PLACE, 2, []))
    return world


def written_while_its_file_is_replaced(world: World, step: str) -> None:
    """By an engine itself: what stands above it would wait for the end of the erasure."""
    first, second = apart(world).started()[:2]
    erasure = world.until(world.erase(second, PLACE.connector), "write seal")
    assert first.store is not None
    batch = world.until(world.begin(first, "write", written(world, first.store)), "Writes.apply")
    world.until(erasure, step)
    while world.take(batch):
        pass  # as far as it comes
    finished(world, erasure)
    finished(world, batch)
    assert found(world) == ["2"]


async def written(world: World, store: RecordStore) -> None:
    await apply(await store.engines.of(world.owner.id), Partition(PLACE.connector, "new", "documents"), put("2"))


def test_p5_who_has_the_file_open_that_is_being_replaced_writes_to_the_new_one(world: World) -> None:
    written_while_its_file_is_replaced(world, "Shard.outliving")


def test_p5_who_has_the_file_open_that_was_replaced_writes_to_the_new_one(world: World) -> None:
    written_while_its_file_is_replaced(world, "remove_files")


def written_while_it_moves(world: World, to: Topology, step: str) -> None:
    first, second = (apart(world) if to is Topology.SINGLE else world).started()[:2]
    move = world.until(world.move(second, to), step)
    batch = world.put(first, NEXT, 3, [])
    while world.take(batch):
        pass
    finished(world, move)
    assert finished(world, batch).accepted == 1  # type: ignore[attr-defined]
    assert found(world) == ["1", "2"]


@pytest.mark.parametrize("to", [Topology.SINGLE, Topology.PER_CONNECTOR])
@pytest.mark.parametrize("step", ["leave", "load", "Homes.move"])
def test_p9_what_is_written_while_its_connector_moves_comes_along(world: World, to: Topology, step: str) -> None:
    written_while_it_moves(world, to, step)


def test_p9_a_batch_that_found_its_place_before_the_switch_is_written_after_it(world: World) -> None:
    first, second = world.started()
    batch = world.until(world.put(first, NEXT, 3, []), "Writes.apply")
    finished(world, world.move(second, Topology.PER_CONNECTOR))
    assert finished(world, batch).accepted == 1  # type: ignore[attr-defined]
    assert found(world) == ["1", "2"]


def test_p9_a_collection_at_any_moment_of_a_move_asks_both_places(world: World) -> None:
    first, second = world.started()
    move = world.move(second, Topology.PER_CONNECTOR)
    while world.next(move) is not None:
        world.take(move)
        assert finished(world, world.collect(first)).blobs == 0  # type: ignore[attr-defined]
    finished(world, move)
    assert found(world) == ["1"]


UNSEALED = Mutant(
    "a sealed shard takes writes",
    [Edit(ShardFile._awake, "rested >= SEALED", "False"), Edit(ShardFile._awake, "self.number <= rested", "False")],
)
UNMARKED = Mutant(
    "nobody looks whether a connector has left",
    [Edit(_require_here, "if db.execute(_AWAY, (name, name)).fetchone():", "if False:")],
)


def mistake(mutant: Mutant, rule: Callable[..., None], *how: object) -> Any:
    return pytest.param(mutant, rule, how, id=f"{mutant.name}: {how}")


MISTAKES = [
    mistake(UNSEALED, written_while_its_file_is_replaced, "Shard.outlive"),
    mistake(UNSEALED, written_while_its_file_is_replaced, "remove_files"),
    mistake(UNMARKED, written_while_it_moves, Topology.PER_CONNECTOR, "Homes.move"),
    mistake(UNMARKED, written_while_it_moves, Topology.SINGLE, "Homes.move"),
]


@pytest.mark.parametrize(("mutant", "rule", "how"), MISTAKES)
def test_a_mistake_turns_its_rule_red(
    world: World, monkeypatch: pytest.MonkeyPatch, mutant: Mutant, rule: Callable[..., None], how: Sequence[Any]
) -> None:
    mutant.plant(monkeypatch)
    with pytest.raises((AssertionError, StorageUnavailable)):
        rule(world, *how)
