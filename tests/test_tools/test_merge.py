"""`blobstore merge`: two importers wrote a directory each, and then there is one."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from records.merging.rule import Fate, Side, decide
from records.store import RecordStore
from tests.fakes.bags import Writer, fill
from tests.fakes.data_directory import CONNECTOR, MANIFEST, in_store
from tests.fakes.topologies import DURABLE, IN_FILES, Storage
from tests.fakes.warm import launch
from tools.cli import main

pytestmark = pytest.mark.usefixtures("at_rest")

OWNER = "ann"
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T02:30:00+02:00"
FUTURE = "2100-01-01T00:00:00Z"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)


def exported(data: Path, storage: Storage = IN_FILES) -> bytes:
    result = run("export", "--data", data, "--owner", OWNER, "-", *storage.options)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def merged(there: Path, here: Path, *options: str, exit_code: int = 0) -> list[dict[str, Any]]:
    """The rows of the report; each of them accounts for all that it counts."""
    result = run("merge", "--from", there, "--data", here, "--json", *options)
    assert result.exit_code == exit_code, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    for row in rows:
        fates = (*(fate.value for fate in Fate), "skipped", "refused")
        assert row["records"] + row["tombstones"] == sum(row[fate] for fate in fates), row
    return rows


def sums(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {fate.value: sum(row[fate] for row in rows) for fate in Fate if any(row[fate] for row in rows)}


async def written(
    store: RecordStore,
    *lines: dict[str, Any],
    blobs: tuple[bytes, ...] = (),
    instance: str | None = "home",
    stream: str = "documents",
) -> None:
    """Lines of ann's, after these bytes were uploaded."""
    ann = await store.access.owner(OWNER)
    await store.registry.register(ann, json.dumps(MANIFEST).encode())
    writer = Writer(store, ann, CONNECTOR, instance)
    for each in blobs:
        await writer.upload(each, stream, "x")
    ingest = await store.ingests.begin(ann, stream, writer.selector)
    await ingest.apply([json.dumps(line).encode() for line in lines])
    assert ingest.rejected == 0, ingest.rejections


def line(key: str, text: str = "", at: str = EARLY, **more: Any) -> dict[str, Any]:
    return {"key": key, "emitted_at": at, "data": {"id": key, "text": text, **more}}


def gone(key: str, at: str = EARLY) -> dict[str, Any]:
    return {"key": key, "emitted_at": at, "op": "delete"}


def texts(data: Path) -> dict[str, str]:
    """What ann's documents say."""

    async def look(store: RecordStore) -> dict[str, str]:
        engine = await store.engines.of((await store.access.owner(OWNER)).id)
        found = await engine.visit(
            [each for each in await engine.stats() if each.stream == "documents"],
            lambda records: [(record.key, json.loads(record.data)["text"]) for record, _ in records],
        )
        return dict(found)

    return in_store(data, look)


def test_two_halves_are_the_whole(tmp_path: Path) -> None:
    def half(store: RecordStore, first: int, last: int) -> Any:
        async def write() -> None:
            ann = await store.access.owner(OWNER)
            await store.registry.register(ann, json.dumps(MANIFEST).encode())
            writer = Writer(store, ann, CONNECTOR, "home")
            for number in range(first, last):
                shared = b"shared" if number % 3 == 0 else b"%d" % number
                ref = await writer.upload(shared, "documents", f"k{number}")
                await written(store, line(f"k{number}", attachments=[{"blob_ref": ref}]))
            await store.states.merge(ann, writer.selector, {"documents": b"%d" % last})

        return write()

    in_store(tmp_path / "one", lambda store: half(store, 0, 40))
    in_store(tmp_path / "two", lambda store: half(store, 25, 70))
    in_store(tmp_path / "whole", lambda store: half(store, 0, 70))
    before = exported(tmp_path / "two")
    assert sums(merged(tmp_path / "two", tmp_path / "one")) == {"added": 30, "unchanged": 15}
    assert exported(tmp_path / "one") == exported(tmp_path / "whole")
    assert exported(tmp_path / "two") == before
    assert sums(merged(tmp_path / "two", tmp_path / "one")) == {"unchanged": 45}
    for each in ("one", "two"):
        assert run("doctor", "--data", tmp_path / each, "--deep").exit_code == 0
    assert run("gc", "--data", tmp_path / "one", "--grace", "0").exit_code == 0
    assert exported(tmp_path / "one") == exported(tmp_path / "whole")


@pytest.mark.parametrize("storage", DURABLE, ids=str, indirect=True)
def test_a_new_directory_of_any_topology_takes_everything(tmp_path: Path, storage: Storage) -> None:
    in_store(tmp_path / "there", lambda store: _filled(store))
    rows = merged(tmp_path / "there", tmp_path / "here", *storage.options)
    assert sum(row["added"] for row in rows) == 68
    assert exported(tmp_path / "here", storage) == exported(tmp_path / "there")


@pytest.mark.parametrize("storage", DURABLE, ids=str, indirect=True)
def test_a_directory_of_any_topology_gives_everything(tmp_path: Path, storage: Storage) -> None:
    assert run("token", "create", "--data", tmp_path / "there", "--owner", OWNER, *storage.options).exit_code == 0
    in_store(tmp_path / "there", lambda store: _filled(store), storage=storage)
    url = [] if storage.database_url is None else ["--from-database-url", storage.database_url]
    merged(tmp_path / "there", tmp_path / "here", *url)
    assert exported(tmp_path / "here") == exported(tmp_path / "there", storage)


async def _filled(store: RecordStore) -> None:
    await fill(store, await store.access.owner(OWNER))


def test_a_dry_run_tells_what_the_merge_brings_then(tmp_path: Path) -> None:
    async def half(store: RecordStore, *keys: str) -> None:
        ann = await store.access.owner(OWNER)
        await written(store, blobs=(f"claimed {keys}".encode(),))
        writer = Writer(store, ann, CONNECTOR, "home")
        for key in keys:
            refs = [{"blob_ref": await writer.upload(each, "documents", key)} for each in (b"shared", key.encode())]
            await written(store, line(key, attachments=refs))
        await store.states.merge(ann, writer.selector, {"documents": json.dumps(keys).encode()})

    in_store(tmp_path / "there", lambda store: half(store, "a", "b", "c"))
    in_store(tmp_path / "some", lambda store: half(store, "c", "d"))
    in_store(tmp_path / "none", lambda store: store.access.owner("bob"))
    for here, blobs in (("some", 2), ("none", 4)):
        command = ("merge", "--from", tmp_path / "there", "--data", tmp_path / here, "--json")
        before = exported(tmp_path / "some")
        planned = run(*command, "--dry-run")
        assert exported(tmp_path / "some") == before
        assert f"; {blobs} blobs were not here yet, 1 wait for their records; sync states: 1 " in planned.stderr
        done = run(*command)
        assert (done.exit_code, done.stdout, done.stderr) == (0, planned.stdout, planned.stderr)
        again = run(*command, "--dry-run")
        assert "; 0 blobs were not here yet" in again.stderr


def test_what_was_collected_later_stays(tmp_path: Path) -> None:
    here = (line("a", "old"), line("b", "new", LATE), line("c", "same", LATE), line("d", "mine"), line("e", "here"))
    there = (line("a", "new", LATE), line("b", "old"), line("c", "same"), line("d", "other"), line("f", "there"))
    in_store(tmp_path / "here", lambda store: written(store, *here))
    in_store(tmp_path / "there", lambda store: written(store, *there))
    assert (
        run("merge", "--from", tmp_path / "there", "--data", tmp_path / "here", "--on-conflict", "fail").exit_code == 1
    )
    assert texts(tmp_path / "here") == {"a": "old", "b": "new", "c": "same", "d": "mine", "e": "here"}
    expected = {"added": 1, "updated": 1, "unchanged": 1, "kept": 2}
    assert sums(merged(tmp_path / "there", tmp_path / "here", "--dry-run")) == expected
    assert sums(merged(tmp_path / "there", tmp_path / "here")) == expected
    assert texts(tmp_path / "here") == {"a": "new", "b": "new", "c": "same", "d": "mine", "e": "here", "f": "there"}


def test_what_was_deleted_later_stays_gone(tmp_path: Path) -> None:
    here = (line("a"), gone("a", LATE), line("b"), gone("b"), line("c", "here", LATE), line("d"))
    there = (line("a"), line("b", "again", LATE), line("c"), gone("c"), line("d"), gone("d", LATE))
    for side, lines in (("here", here), ("there", there)):
        for each in lines:
            in_store(tmp_path / side, lambda store, each=each: written(store, each))  # type: ignore[misc]
    assert sums(merged(tmp_path / "there", tmp_path / "here")) == {"added": 1, "deleted": 1, "kept": 2}
    assert texts(tmp_path / "here") == {"b": "again", "c": "here"}


def test_what_was_erased_here_does_not_come_back(tmp_path: Path) -> None:
    in_store(tmp_path / "here", lambda store: written(store, line("a", "secret"), line("b")))
    in_store(tmp_path / "there", lambda store: written(store, line("a", "secret"), line("b")))
    erased = run("erase", "--data", tmp_path / "here", "--owner", OWNER, "--connector", CONNECTOR, "--instance", "home",
                 "--stream", "documents", "--key", "a")  # fmt: skip
    assert erased.exit_code == 0, erased.output
    assert sums(merged(tmp_path / "there", tmp_path / "here")) == {"kept": 1, "unchanged": 1}
    assert texts(tmp_path / "here") == {"b": ""}


def test_the_default_accounts_are_one(tmp_path: Path) -> None:
    in_store(tmp_path / "here", lambda store: written(store, line("a"), instance=None))
    in_store(tmp_path / "there", lambda store: written(store, line("b"), instance=None))
    (row,) = merged(tmp_path / "there", tmp_path / "here")
    assert row["instance"] != row["instance_there"]
    assert texts(tmp_path / "here") == {"a": "", "b": ""}
    assert sums(merged(tmp_path / "there", tmp_path / "here")) == {"unchanged": 1}


def erase(data: Path, *what: str) -> None:
    done = run("erase", "--data", data, "--owner", OWNER, *what)
    assert done.exit_code == 0, done.output


def test_an_account_that_was_erased_here_stays_out_and_the_others_come(tmp_path: Path) -> None:
    in_store(tmp_path / "here", lambda store: written(store, line("a")))
    in_store(tmp_path / "there", lambda store: written(store, line("b"), instance="other"))
    in_store(tmp_path / "there", lambda store: written(store, line("c"), line("d", at=FUTURE)))
    erase(tmp_path / "here", "--connector", CONNECTOR, "--instance", "home")
    assert sums(merged(tmp_path / "there", tmp_path / "here")) == {"added": 1, "erased": 2}
    assert texts(tmp_path / "here") == {"b": ""}


def test_a_connector_that_was_erased_here_stays_out_and_the_others_come(tmp_path: Path) -> None:
    """Whatever its accounts are called, and with all that it brought."""

    async def more(store: RecordStore) -> None:
        await _filled(store)
        ann = await store.access.owner(OWNER)
        await written(store, line("a", "secret"), line("b", "secret"), blobs=(b"secret",), instance=None)
        await store.states.merge(ann, Writer(store, ann, CONNECTOR, None).selector, {"documents": b'"secret"'})

    in_store(tmp_path / "here", lambda store: written(store, line("a", "secret"), instance=None))
    in_store(tmp_path / "there", more)
    in_store(tmp_path / "whole", _filled)
    erase(tmp_path / "here", "--connector", CONNECTOR)
    rows = merged(tmp_path / "there", tmp_path / "here", "--dry-run")
    assert sums(rows) == {"added": 68, "unchanged": 4, "erased": 2}
    for _ in range(2):
        result = run("merge", "--from", tmp_path / "there", "--data", tmp_path / "here")
        assert (result.exit_code, f"2 stay out, for they were erased here: {CONNECTOR}" in result.stderr) == (0, True)
    assert exported(tmp_path / "here") == exported(tmp_path / "whole")


def test_what_was_erased_stays_out_when_its_connector_has_begun_anew(tmp_path: Path) -> None:
    in_store(tmp_path / "here", lambda store: written(store, line("a"), line("b"), instance=None))
    old, late = (line("a"), line("b"), line("x")), line("c", at=FUTURE)
    in_store(tmp_path / "there", lambda store: written(store, *old, late, blobs=(b"old",), instance=None))
    in_store(tmp_path / "there", lambda store: written(store, line("d"), instance="work"))
    erase(tmp_path / "here", "--connector", CONNECTOR)
    in_store(tmp_path / "here", lambda store: written(store, line("b"), instance=None))
    for fates in ({"added": 1, "unchanged": 1, "erased": 3}, {"unchanged": 2, "erased": 3}):
        assert sums(merged(tmp_path / "there", tmp_path / "here")) == fates
        assert texts(tmp_path / "here") == {"b": "", "c": ""}


def test_an_owner_who_was_erased_here_does_not_come_back(tmp_path: Path) -> None:
    for side in ("here", "there"):
        in_store(tmp_path / side, lambda store: written(store, line("a", "secret")))
    erase(tmp_path / "here", "--yes")
    for options in (["--dry-run"], []):
        assert sums(merged(tmp_path / "there", tmp_path / "here", *options)) == {"erased": 1}
    assert OWNER not in in_store(tmp_path / "here", _subjects)
    assert run("token", "create", "--data", tmp_path / "here", "--owner", OWNER).exit_code == 0
    assert sums(merged(tmp_path / "there", tmp_path / "here")) == {"erased": 1}


async def _subjects(store: RecordStore) -> list[str]:
    return [each.subject for each in await store.central.owners()]


def test_uploads_whose_records_have_not_come_wait_here_too(tmp_path: Path) -> None:
    in_store(tmp_path / "there", lambda store: written(store, line("a"), blobs=(b"waiting",)))
    merged(tmp_path / "there", tmp_path / "here")
    assert exported(tmp_path / "here") == exported(tmp_path / "there")
    assert run("gc", "--data", tmp_path / "here", "--grace", "0").exit_code == 0
    assert exported(tmp_path / "here") == exported(tmp_path / "there")


@pytest.mark.long
def test_a_merge_that_is_killed_again_and_again_ends_as_if_it_never_was(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    async def many(store: RecordStore) -> None:
        await _filled(store)
        blobs = tuple(bytes([number]) * 50_000 for number in range(sized(20, 40)))
        lines = (line(f"k{number}", "x" * 2000) for number in range(sized(700, 2000)))
        await written(store, *lines, blobs=blobs, instance="files")

    in_store(tmp_path / "there", many)
    command = ("tools", "merge", "--from", tmp_path / "there", "--data")
    started = time.monotonic()
    launch(forks, *command, tmp_path / "whole").end()
    length = time.monotonic() - started
    killed = 0
    for _ in range(sized(4, 100)):
        process = launch(forks, *command, tmp_path / "here")
        try:
            process.wait(rng.uniform(0.1, 1.0) * length)
        except TimeoutError:
            process.killed()
            killed += 1
    launch(forks, *command, tmp_path / "here").end()
    assert killed > 0
    assert exported(tmp_path / "here") == exported(tmp_path / "there")
    assert run("gc", "--data", tmp_path / "here", "--grace", "1s").exit_code == 0
    assert exported(tmp_path / "here") == exported(tmp_path / "there")
    assert run("doctor", "--data", tmp_path / "here", "--deep").exit_code == 0


RECORD, OTHER, GRAVE = Side(EARLY, b'{"a":1}'), Side(LATE, b'{"a":2}'), Side(LATE, None)


@pytest.mark.parametrize(
    ("there", "here", "fate"),
    [
        (RECORD, None, Fate.ADDED),
        (GRAVE, None, Fate.UNCHANGED),
        (RECORD, Side(LATE, b'{ "a": 1 }'), Fate.UNCHANGED),
        (GRAVE, GRAVE, Fate.UNCHANGED),
        (OTHER, RECORD, Fate.UPDATED),
        (RECORD, OTHER, Fate.KEPT),
        (Side(EARLY, b'{"a":3}'), RECORD, Fate.KEPT),
        (GRAVE, RECORD, Fate.DELETED),
        (RECORD, GRAVE, Fate.KEPT),
        (Side("2027-01-01T00:00:00Z", b"{}"), GRAVE, Fate.ADDED),
    ],
)
def test_a_key_has_one_fate(there: Side, here: Side | None, fate: Fate) -> None:
    assert decide(there, here, append_only=False) is fate


def test_what_is_only_appended_to_stays_as_it_is() -> None:
    assert decide(OTHER, RECORD, append_only=True) is Fate.KEPT
