"""The rules of the protocol that keeps bytes alive, each by name (docs/architecture.md says what they are).

Most are races of `scenarios`, interrupted at any step; `mutants` says which mistake turns which of them red. Others are
the steps of two processes in the one order that would lose or leak.
"""

import os
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from blobstore.backend import ObjectName
from blobstore.backends.filesystem import FilesystemBackend
from blobstore.catalogues.sqlite.collection import Collection
from blobstore.catalogues.sqlite.schema import MIGRATIONS
from blobstore.errors import StorageUnavailable
from blobstore.searching import search
from blobstore.sqlite.file import SqliteFile
from blobstore.staging import Staging
from blobstore.tracing import Search, look
from records.engines.sqlite.erasure import _erase_for
from records.errors import Conflict
from records.snapshots.backup import back_up
from records.snapshots.restore import restore
from records.snapshots.settling import _Settling, settle
from records.store import RecordStore
from records.writing.ingest import Ingests
from tests.fakes.data_directory import digest_of
from tests.fakes.power import Disk
from tests.fakes.warm import asking
from tests.interleavings.machine import CONNECTORS, Directory
from tests.interleavings.model import Model
from tests.interleavings.mutants import Edit, Mutant
from tests.interleavings.scenarios import SCENARIOS, Scenario
from tests.interleavings.world import Operation, Place, World, connected

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
    starting = world.until(world.start(), "is_empty")
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


def test_p4_an_upload_that_found_its_instance_before_it_was_erased_is_refused(world: World) -> None:
    first, second = world.started()
    linked(world)
    upload = world.until(world.upload(first, PLACE, LETTER), "Uploads.lease")
    world.run(world.erase(second, PLACE.connector, PLACE.instance))
    with pytest.raises(Conflict):
        world.run(upload)


def test_p4_a_batch_that_was_begun_before_its_stream_was_erased_is_refused(world: World) -> None:
    first, second = world.started()
    linked(world)
    batch = world.until(world.put(first, PLACE, 2, []), "Writes.apply")
    world.run(world.erase(second, PLACE.connector, PLACE.instance, PLACE.stream))
    with pytest.raises(Conflict):
        world.run(batch)


def test_p7_who_closes_in_order_has_drained(world: World) -> None:
    first, _ = world.started()
    linked(world)
    world.run(world.close(first))
    with closing(connected(world.directory / "central.db")) as db:
        assert db.execute("SELECT count(*) FROM spine WHERE body LIKE '%records.ingest%'").fetchone() == (1,)


def test_p8_nobody_is_told_done_when_the_commit_that_they_share_fails(world: World) -> None:
    first, _ = world.started()
    linked(world)
    one = world.until(world.put(first, PLACE, 2, []), "Writes.apply")
    two = world.until(world.put(first, replace(PLACE, key="2"), 3, []), "Writes.apply")
    *_, records = world.databases()
    records.rename(records.with_suffix(".away"))  # the commit itself is refused: the file has lost its name
    world.take(two)
    for each in (one, two):
        with pytest.raises(StorageUnavailable):
            world.run(each)
    records.with_suffix(".away").rename(records)
    assert world.run(world.put(first, PLACE, 4, [])).accepted == 1


def test_p9_a_backup_keeps_garbage_until_it_has_its_bytes(world: World) -> None:
    first, second = world.started()
    linked(world)
    backup = world.until(_back_up(world), "copy_object")
    world.run(world.delete(first, PLACE))
    assert world.run(world.collect(second)).blobs == 0
    world.run(backup)
    assert world.run(world.collect(second)).blobs == 1


def test_p9_what_is_restored_holds_what_it_links_and_gives_out_no_version_twice(world: World) -> None:
    first, _ = world.started()
    linked(world)
    other = replace(PLACE, key="2")
    world.run(world.upload(first, other, b"photo"))
    world.run(world.put(first, other, 2, [digest_of(b"photo")]))
    world.run(world.delete(first, other))  # held, and linked no more
    world.run(_back_up(world))
    world.run(world.put(first, PLACE, 3, [digest_of(LETTER)]))  # a version that the snapshot knows nothing of
    restored = world.directory.with_name("restored")
    world.run(world.begin(first, "restore", restore(_out(world), restored, ledger=None)))
    known, held = _versions(world.directory, world), _versions(restored, world)
    assert held.keys() == known.keys()
    assert all(held[partition] > known[partition] for partition in known)
    with closing(connected(restored / "catalogue.db")) as db:
        assert db.execute("SELECT digest FROM holders").fetchall() == [(digest_of(LETTER).raw,)]


def _out(world: World) -> Path:
    return world.directory.with_name("backup")


def _back_up(world: World) -> Operation:
    first = world.started()[0]
    assert first.store is not None
    return world.begin(first, "backup", back_up(first.store, _out(world)))


def _versions(directory: Path, world: World) -> dict[tuple[str, str], int]:
    with closing(connected(directory / "records" / f"{world.owner.id}.db")) as db:
        return {(instance, stream): version for instance, stream, version in db.execute(_VERSIONS)}


_VERSIONS = "SELECT instance, stream, version FROM partitions"

_EARLY = """for told, answer, failed in outcomes:
                    told.result.set_result(answer)
                self._require_in_place()
"""

MISTAKES: list[tuple[Callable[[World], None], Mutant]] = [
    (
        test_p4_a_batch_that_found_its_instance_before_it_was_erased_is_refused,
        Mutant(
            "nobody looks again at the instance",
            [Edit(Ingests.begin, "await self._registry.require_living(owner, destination.instance)", "pass")],
        ),
    ),
    (
        test_p4_a_batch_that_was_begun_before_its_stream_was_erased_is_refused,
        Mutant(
            "the epoch of a stream stays",
            [Edit(_erase_for, "if target.key is None:", "if target.stream is None:")],
        ),
    ),
    (
        test_p7_who_closes_in_order_has_drained,
        Mutant("closing does not drain", [Edit(RecordStore.close, "await self.audit.drain_all()", "pass")]),
    ),
    (
        test_p8_nobody_is_told_done_when_the_commit_that_they_share_fails,
        Mutant(
            "a request is answered before its commit",
            [
                Edit(SqliteFile._run_group, "self._require_in_place()\n", _EARLY),
                Edit(
                    SqliteFile._run_group,
                    "for job, result, failure in outcomes:\n",
                    "for job, result, failure in [each for each in outcomes if not each[0].result.done()]:\n",
                ),
            ],
        ),
    ),
    (
        test_p9_a_backup_keeps_garbage_until_it_has_its_bytes,
        Mutant("pins are ignored", [Edit(Collection.condemn, "is_pinned(db, namespace)", "False")]),
    ),
    (
        test_p9_what_is_restored_holds_what_it_links_and_gives_out_no_version_twice,
        Mutant("nothing is recounted", [Edit(settle, "await settling.recount(owner)", "pass")]),
    ),
    (
        test_p9_what_is_restored_holds_what_it_links_and_gives_out_no_version_twice,
        Mutant(
            "versions do not leap",
            [Edit(_Settling.begin_anew, "await (await self._store.engines.of(owner.id)).leap()", "pass")],
        ),
    ),
]


@pytest.mark.parametrize(("rule", "mutant"), MISTAKES, ids=[mutant.name for _, mutant in MISTAKES])
def test_a_mistake_turns_its_rule_red(
    world: World, monkeypatch: pytest.MonkeyPatch, rule: Callable[[World], None], mutant: Mutant
) -> None:
    mutant.plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        rule(world)


# -- on a disk whose power fails, and among the locks of a process -----------------------------------------------------


def lost_by_a_cut(disk: Disk, forks: Path) -> str:
    """Publish a blob on the disk; what is wrong after a power cut at any moment."""
    staging = Staging.open(disk.path / "staging")
    backend = FilesystemBackend(disk.path / "data")
    staged = staging.create("0" * 32)
    staged.append([LETTER])
    name = ObjectName("ann", staged.seal().digest, "0" * 32)
    backend.publish(name, staged.path)
    disk.mark(f"kept {name.digest.hex}")
    staged.discard()
    staging.close()
    return disk.after_every_cut(asking(forks, "tests.fakes.after_cut", "backend"), "strict", 100)


def test_p2_a_published_blob_keeps_its_name_when_the_power_fails(disk: Disk, forks: Path) -> None:
    assert lost_by_a_cut(disk, forks) == ""


def test_p2_without_the_sync_of_its_folders_a_published_blob_is_lost(
    disk: Disk, forks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Mutant("folders", [Edit(FilesystemBackend.publish, "descent.sync()", "pass")]).plant(monkeypatch)
    assert "lost: " in lost_by_a_cut(disk, forks)


async def locks_kept(directory: Path, searching: Callable[[Search], Awaitable[object]]) -> bool:
    """Whether a search of an open database leaves this process the locks that it has."""
    file = await SqliteFile.open(directory / "catalogue.db", MIGRATIONS)
    try:
        await file.read(lambda db: db.execute("SELECT count(*) FROM sqlite_schema").fetchone())
        before = _locks()
        await searching(Search(str(directory), [b"0123456789abcdef" * 4], ["catalogue.db"], [], []))
        assert before
        return _locks() == before
    finally:
        await file.close()


def _locks() -> set[str]:
    """POSIX locks of this process, by the file."""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return {line[5] for line in lines if line[1] == "POSIX" and line[4] == str(os.getpid())}


async def test_p5_a_search_of_the_files_leaves_a_process_its_locks(tmp_path: Path) -> None:
    assert await locks_kept(tmp_path, search)


async def test_p5_a_search_in_the_process_itself_would_drop_them(tmp_path: Path) -> None:
    async def here(what: Search) -> object:
        return look(what)

    assert not await locks_kept(tmp_path, here)
