"""`backup` and `restore` by command: what is copied, what is refused, and what an end in the middle leaves."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from blobstore.backends.filesystem import FilesystemBackend
from blobstore.errors import OutOfSpace
from records.erasure.erasing import Erasing
from records.erasure.ledger import NAME
from records.model import Order
from records.snapshots import restore as restoring
from records.snapshots.repository import Repository
from records.store import RecordStore
from tests.fakes.data_directory import (
    CONNECTOR,
    DRAFT,
    LETTER,
    MANIFEST,
    PHOTO,
    Stored,
    delete,
    digest_of,
    fill,
    in_store,
    ingest,
    make,
    upload,
)
from tools.cli import main
from tools.opening import Opening, configure
from tools.running import serving

EVERYTHING = 4
"""Blobs in the directory."""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def back_up(stored: Stored, out: Path, *options: str, exit_code: int = 0) -> dict[str, Any]:
    result = stored.run("backup", str(out), "--json", *options)
    assert result.exit_code == exit_code, result.output
    [made] = json.loads(result.stdout)
    return dict(made)


def restore(out: Path, data: Path, *options: str) -> Result:
    if not any("ledger" in option for option in options):
        options = (*options, "--ledger", str(out.parent / "data" / NAME))
    return CliRunner().invoke(main, ["restore", str(out), "--data", str(data), *options], catch_exceptions=False)


def restored(stored: Stored, out: Path, data: Path, *options: str) -> Stored:
    result = restore(out, data, *options)
    assert result.exit_code == 0, result.output
    return Stored(data, stored.ann)


def write(stored: Stored, key: str, data: bytes) -> None:
    async def work(store: RecordStore) -> None:
        owner = await store.access.owner("ann")
        await ingest(store, owner, key, [await upload(store, owner, data, key)])

    in_store(stored.data, work)


def remove(stored: Stored, key: str) -> None:
    async def work(store: RecordStore) -> None:
        await delete(store, await store.access.owner("ann"), key)
        await store.collect(0)

    in_store(stored.data, work)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def swap(out: Path, name: str) -> None:
    shutil.copy(out / "snapshots" / "000001" / name, out / "snapshots" / "000002" / name)


def shorten(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


def a_blob(out: Path) -> Path:
    return next(path for path in (out / "blobs").rglob("*.*") if path.is_file() and path.stat().st_size == len(PHOTO))


# -- what is copied ----------------------------------------------------------------------------------------------------


def test_what_is_restored_is_sound_and_has_the_same_blobs(stored: Stored, out: Path, tmp_path: Path) -> None:
    made = back_up(stored, out)
    assert (made["snapshot"], made["blobs"], made["copied_blobs"], made["missing"]) == (1, EVERYTHING, EVERYTHING, 0)
    again = restored(stored, out, tmp_path / "new")
    assert again.doctor("--deep", exit_code=0) == []
    assert files(again.data / "blobs") == files(stored.data / "blobs")


def test_a_restore_is_on_the_spine_of_every_owner_and_the_spine_verifies(
    stored: Stored, out: Path, tmp_path: Path
) -> None:
    back_up(stored, out)
    again = restored(stored, out, tmp_path / "new")

    async def last(store: RecordStore) -> list[Any]:
        heads = [await store.central.spine_head(owner.id) for owner in await store.central.owners()]
        return [json.loads(head.body) for head in heads if head is not None]

    for event in in_store(again.data, last):
        assert (event["kind"], event["snapshot"]) == ("restore", 1)
    assert again.run("spine", "verify", "--owner", "ann").exit_code == 0


def test_a_second_backup_copies_only_what_is_new(stored: Stored, out: Path) -> None:
    back_up(stored, out)
    assert back_up(stored, out)["copied_blobs"] == 0
    write(stored, "5", b"new")
    made = back_up(stored, out)
    assert (made["snapshot"], made["blobs"], made["copied_blobs"], made["copied_bytes"]) == (3, EVERYTHING + 1, 1, 3)


def test_an_older_snapshot_is_restored_as_it_was(stored: Stored, out: Path, tmp_path: Path) -> None:
    write(stored, "5", b"first")
    back_up(stored, out)
    remove(stored, "5")
    write(stored, "6", b"second")
    back_up(stored, out)
    older = restored(stored, out, tmp_path / "older", "--snapshot", "1")
    newer = restored(stored, out, tmp_path / "newer")
    assert older.file(b"first").read_bytes() == b"first"
    assert newer.file(b"second").read_bytes() == b"second"
    for again, stranger in ((older, b"second"), (newer, b"first")):
        assert again.doctor("--deep", exit_code=0) == []
        with pytest.raises(ValueError, match="unpack"):
            again.file(stranger)


def test_dropped_snapshots_take_along_the_blobs_that_they_alone_needed(
    stored: Stored, out: Path, tmp_path: Path
) -> None:
    write(stored, "5", b"first")
    back_up(stored, out)
    remove(stored, "5")
    back_up(stored, out)
    assert len(files(out / "blobs")) == EVERYTHING + 1
    assert back_up(stored, out, "--keep", "1")["dropped_snapshots"] == [1, 2]
    assert files(out / "blobs").keys() == files(stored.data / "blobs").keys()
    assert restored(stored, out, tmp_path / "new").doctor("--deep", exit_code=0) == []


def test_numbers_of_snapshots_go_on_after_a_restore(stored: Stored, out: Path, tmp_path: Path) -> None:
    back_up(stored, out)
    again = restored(stored, out, tmp_path / "new")
    assert back_up(again, out)["copied_blobs"] == 0
    assert restored(stored, out, tmp_path / "newer").doctor("--deep", exit_code=0) == []


def test_a_backup_by_command_while_a_server_runs(stored: Stored, out: Path, tmp_path: Path) -> None:
    with serving(stored.data, "ann") as server:
        assert back_up(stored, out)["blobs"] == EVERYTHING
        assert server.idle() > 0
    assert restored(stored, out, tmp_path / "new").doctor("--deep", exit_code=0) == []


def test_nobody_else_may_look_into_a_backup(stored: Stored, out: Path) -> None:
    back_up(stored, out)
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("harm", [Path.unlink, shorten])
def test_a_backup_that_lost_a_blob_gets_it_again_with_the_next(
    stored: Stored, out: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    back_up(stored, out)
    harm(a_blob(out))
    assert back_up(stored, out)["copied_blobs"] == 1
    assert restored(stored, out, tmp_path / "new").doctor("--deep", exit_code=0) == []


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_one_backup_is_of_one_store(stored: Stored, out: Path, tmp_path: Path) -> None:
    back_up(stored, out)
    result = make(tmp_path / "other").run("backup", str(out))
    assert result.exit_code == 1
    assert "snapshots of another store" in result.output


def test_a_backup_into_the_data_directory_or_into_something_else_is_refused(stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "file").touch()
    for place in (stored.data, stored.data / "backup", tmp_path, tmp_path / "else"):
        result = stored.run("backup", str(place))
        assert result.exit_code == 1, place
    assert not (stored.data / "backup").exists()


@pytest.mark.parametrize("entry", ["central.db", "something"])
def test_nothing_is_restored_over_something_else(stored: Stored, out: Path, tmp_path: Path, entry: str) -> None:
    back_up(stored, out)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / entry).write_text("here first")
    result = restore(out, tmp_path / "new")
    assert result.exit_code == 1
    assert "is not empty" in result.output
    assert files(tmp_path / "new") == {entry: b"here first"}


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda out: swap(out, "catalogue.db"), "files of different snapshots were mixed"),
        (lambda out: swap(out, "central.db"), "files of different snapshots were mixed"),
        (lambda out: swap(out, "blobs.list"), "files of different snapshots were mixed"),
        (lambda out: swap(out, "manifest.json"), "is that of snapshot 1"),
        (lambda out: (out / "snapshots" / "000002" / "catalogue.db").unlink(), "catalogue.db of snapshot 2"),
        (lambda out: shorten(out / "snapshots" / "000002" / "manifest.json"), "manifest.json"),
        (lambda out: shorten(a_blob(out)), "is missing or damaged"),
        (lambda out: a_blob(out).unlink(), "is missing or damaged"),
        (lambda out: shutil.rmtree(out / "blobs"), "is missing or damaged"),
        (lambda out: shutil.rmtree(out / "snapshots"), "has no snapshots"),
    ],
)
def test_a_backup_that_is_not_what_was_written_is_refused_before_anything_is_made(
    stored: Stored, out: Path, tmp_path: Path, harm: Callable[[Path], object], says: str
) -> None:
    back_up(stored, out)
    write(stored, "5", b"new")
    back_up(stored, out)
    harm(out)
    result = restore(out, tmp_path / "new")
    assert result.exit_code == 1
    assert says in result.output
    assert not (tmp_path / "new").exists()
    checked = CliRunner().invoke(main, ["restore", str(out), "--check"])
    assert (checked.exit_code, says in checked.output) == (1, True)


def test_a_manifest_signed_by_another_store_is_refused(stored: Stored, out: Path, tmp_path: Path) -> None:
    back_up(stored, out)
    back_up(make(tmp_path / "other"), tmp_path / "foreign")
    manifest = Path("snapshots") / "000001" / "manifest.json"
    shutil.copy(tmp_path / "foreign" / manifest, out / manifest)
    assert restore(out, tmp_path / "new").exit_code == 1


# -- what an end in the middle leaves ----------------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies here."""


def die(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize("where", ["begin", "finish", "next_number"])
def test_a_backup_that_dies_leaves_no_snapshot_and_the_next_one_is_good(
    stored: Stored, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    back_up(stored, out)
    write(stored, "5", b"new")
    with monkeypatch.context() as patch:
        patch.setattr(Repository, where, die)
        with pytest.raises(Killed):
            back_up(stored, out)
    assert [entry.name for entry in (out / "snapshots").iterdir() if entry.name.isdigit()] == ["000001"]
    assert restored(stored, out, tmp_path / "older").doctor("--deep", exit_code=0) == []
    assert back_up(stored, out)["snapshot"] == 2
    assert sorted(entry.name for entry in (out / "snapshots").iterdir()) == ["000001", "000002"]
    assert list((out / "staging").iterdir()) == []
    assert restored(stored, out, tmp_path / "new").doctor("--deep", exit_code=0) == []


@pytest.mark.parametrize("where", ["_copy", "_copy_file", "settle", "_end"])
def test_a_restore_that_was_cut_off_is_served_by_nobody_and_may_be_begun_again(
    stored: Stored, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    back_up(stored, out)
    with monkeypatch.context() as patch:
        patch.setattr(restoring, where, die)
        with pytest.raises(Killed):
            restore(out, tmp_path / "new")
    half = Stored(tmp_path / "new", stored.ann)
    for command in ("serve", "gc", "usage"):
        result = half.run(command)
        assert result.exit_code == 1
        assert "restore" in result.output, result.output
    again = restored(stored, out, tmp_path / "new")
    assert again.doctor("--deep", exit_code=0) == []


def test_a_restore_that_was_cut_off_is_not_gone_on_with_from_another_snapshot(
    stored: Stored, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(stored, out)
    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_end", die)
        with pytest.raises(Killed):
            restore(out, tmp_path / "new")
    back_up(stored, out)
    result = restore(out, tmp_path / "new")
    assert result.exit_code == 1
    assert "from another snapshot" in result.output
    assert restore(out, tmp_path / "new", "--snapshot", "1").exit_code == 0


def test_a_full_disk_ends_a_backup_with_a_message(stored: Stored, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutOfSpace("blobs: no space left on the device")

    monkeypatch.setattr(FilesystemBackend, "publish", full)
    result = stored.run("backup", str(out))
    assert result.exit_code == 1
    assert "no space left" in result.output


# -- what the store itself has lost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", [Path.unlink, shorten])
def test_bytes_that_the_store_itself_has_lost_are_told_and_quarantined_after_a_restore(
    stored: Stored, out: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    harm(stored.file(PHOTO))
    assert back_up(stored, out, exit_code=1)["missing"] == 1
    again = restored(stored, out, tmp_path / "new")
    assert again.kinds("--deep") == ["quarantined"]
    assert again.file(LETTER).read_bytes() == LETTER


# -- what was erased ---------------------------------------------------------------------------------------------------

ERASURES = {
    "record": ("--connector", CONNECTOR, "--stream", "documents", "--key", "1"),
    "claim": ("--connector", CONNECTOR, "--stream", "documents", "--key", "4"),
    "stream": ("--connector", CONNECTOR, "--stream", "documents"),
    "connector": ("--connector", CONNECTOR),
}
GONE = {
    "record": {("documents", "1")},
    "claim": set(),
    "stream": {("documents", "1"), ("documents", "3")},
    "connector": {("documents", "1"), ("documents", "3"), ("photos", "2")},
}
ALL = GONE["connector"]
HELD = {"record": {LETTER, PHOTO, DRAFT}, "claim": {LETTER, PHOTO}, "stream": {LETTER, PHOTO}, "connector": set()}
"""Blobs of ann that are left after each."""


def erase(stored: Stored, what: str) -> None:
    result = stored.run("erase", "--owner", "ann", *ERASURES[what])
    assert result.exit_code == 0, result.output


def keys(stored: Stored) -> set[tuple[str, str]]:
    async def work(store: RecordStore) -> set[tuple[str, str]]:
        engine = await store.engines.of(stored.ann)
        found = set()
        for place in await engine.stats():
            page = await engine.page([place], Order.ASC, None, 100)
            found |= {(place.stream, record.key) for record in page.records}
        return found

    return in_store(stored.data, work)


def blobs(stored: Stored) -> set[str]:
    return {path.name.partition(".")[0] for path in (stored.data / "blobs" / stored.ann).glob("*/*/*")}


@pytest.mark.parametrize("what", ERASURES)
def test_what_was_erased_after_the_snapshot_stays_erased(stored: Stored, out: Path, tmp_path: Path, what: str) -> None:
    back_up(stored, out)
    erase(stored, what)
    again = restored(stored, out, tmp_path / "new")
    assert keys(again) == keys(stored) == ALL - GONE[what]
    assert blobs(again) == blobs(stored) == {digest_of(data).hex for data in HELD[what]}
    assert again.doctor("--deep", exit_code=0) == []


@pytest.mark.parametrize("what", ["record", "stream", "connector"])
def test_what_was_written_after_an_erasure_and_is_in_the_snapshot_is_not_erased_again(
    stored: Stored, out: Path, tmp_path: Path, what: str
) -> None:
    erase(stored, what)

    async def register(store: RecordStore) -> None:
        await store.registry.register(await store.access.owner("ann"), json.dumps(MANIFEST).encode())

    in_store(stored.data, register)
    write(stored, "1", b"written later")
    back_up(stored, out)
    again = restored(stored, out, tmp_path / "new")
    assert ("documents", "1") in keys(again)
    assert again.file(b"written later").exists()


def test_what_was_erased_in_all_accounts_of_a_connector_stays_erased_in_all(
    stored: Stored, out: Path, tmp_path: Path
) -> None:
    async def work(store: RecordStore) -> None:
        await ingest(store, await store.access.owner("ann"), "9", [], instance="second")

    in_store(stored.data, work)
    back_up(stored, out)
    erase(stored, "stream")
    again = restored(stored, out, tmp_path / "new")
    assert keys(again) == keys(stored) == {("photos", "2")}
    assert again.doctor("--deep", exit_code=0) == []


def test_an_owner_who_was_erased_stays_erased(stored: Stored, out: Path, tmp_path: Path) -> None:
    back_up(stored, out)
    assert stored.run("erase", "--owner", "ann").exit_code == 0
    again = restored(stored, out, tmp_path / "new")
    assert keys(again) == set()
    assert blobs(again) == set()
    for path in again.data.rglob("*"):
        assert not path.is_file() or b'"ann"' not in path.read_bytes(), path
    assert again.doctor("--deep", exit_code=0) == []


def test_an_erasure_that_was_carried_out_again_is_known_to_later_snapshots(
    stored: Stored, out: Path, tmp_path: Path
) -> None:
    write(stored, "5", b"later record")
    back_up(stored, out)
    remove(stored, "5")
    back_up(stored, out)
    result = stored.run("erase", "--owner", "ann", "--connector", CONNECTOR, "--stream", "documents", "--key", "5")
    assert result.exit_code == 0
    # The second snapshot has no such record: nothing is to be erased, but from now on it is known as erased.
    again = restored(stored, out, tmp_path / "new")
    write(again, "5", b"newest record")
    back_up(again, out)
    newest = restored(stored, out, tmp_path / "newest", "--ledger", str(again.data / NAME))
    assert newest.file(b"newest record").exists()
    assert ("documents", "5") in keys(newest)


@pytest.mark.parametrize("where", ["_fence", "_drop_claims", "_remove_former"])
def test_an_erasure_that_was_cut_off_when_the_snapshot_was_made_is_finished(
    stored: Stored, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Erasing, where, die)
        with pytest.raises(Killed):
            erase(stored, "stream")
    back_up(stored, out)
    again = restored(stored, out, tmp_path / "new")
    assert keys(again) == ALL - GONE["stream"]
    assert again.doctor("--deep", exit_code=0) == []


def test_a_restore_without_a_ledger_must_be_asked_for(stored: Stored, out: Path, tmp_path: Path) -> None:
    back_up(stored, out)
    erase(stored, "record")
    result = CliRunner().invoke(main, ["restore", str(out), "--data", str(tmp_path / "new")])
    assert result.exit_code == 2
    assert "all comes back that was erased" in result.output
    assert not (tmp_path / "new").exists()
    assert keys(restored(stored, out, tmp_path / "new", "--without-ledger")) == ALL


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda ledger: shorten(ledger), "has not come as far"),
        (lambda ledger: ledger.write_bytes(ledger.read_bytes().replace(b"documents", b"dokuments")), "at line 2"),
        (lambda ledger: ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(True)[:1])), "has not come as far"),
        (lambda ledger: ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(True)[1:])), "at line 1"),
        (lambda ledger: ledger.write_bytes(b""), "first line is missing"),
        (lambda ledger: ledger.write_bytes(b"nonsense\n"), "at line 1"),
    ],
)
def test_a_ledger_that_is_not_whole_is_refused(
    stored: Stored, out: Path, tmp_path: Path, harm: Callable[[Path], object], says: str
) -> None:
    erase(stored, "record")
    back_up(stored, out)
    harm(stored.data / NAME)
    result = restore(out, tmp_path / "new")
    assert (result.exit_code, says in result.output) == (1, True), result.output
    assert not (tmp_path / "new").exists()


def test_the_ledger_of_another_store_is_refused(stored: Stored, out: Path, tmp_path: Path) -> None:
    back_up(stored, out)
    other = make(tmp_path / "other")
    result = restore(out, tmp_path / "new", "--ledger", str(other.data / NAME))
    assert (result.exit_code, "of another store" in result.output) == (1, True)


def test_a_ledger_that_is_kept_elsewhere_is_found_by_the_restore(tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere" / "ledger", tmp_path / "out"
    data = tmp_path / "data"
    configure(Opening(data, None, None, ledger=elsewhere))
    stored = Stored(data, in_store(data, fill, elsewhere))
    back_up(stored, out)
    erase(stored, "record")
    assert not (data / NAME).exists()
    result = CliRunner().invoke(main, ["restore", str(out), "--data", str(tmp_path / "new"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["erased"] == 1
    assert not (tmp_path / "new" / NAME).exists()
    refused = stored.run("gc", "--ledger", str(tmp_path / "another"))
    assert (refused.exit_code, "to move it" in refused.output) == (1, True)


def test_what_was_erased_only_in_a_copy_that_shares_the_ledger_is_not_erased_in_later_snapshots(tmp_path: Path) -> None:
    """A restore was tried, and something erased in what came of it; the store itself went on, and was lost later."""
    elsewhere, out, data = tmp_path / "elsewhere" / "ledger", tmp_path / "out", tmp_path / "data"
    configure(Opening(data, None, None, ledger=elsewhere))
    stored = Stored(data, in_store(data, fill, elsewhere))
    back_up(stored, out)
    copy = Stored(tmp_path / "copy", stored.ann)
    for target, number in ((copy.data, "1"), (tmp_path / "new", "2")):
        result = CliRunner().invoke(main, ["restore", str(out), "--data", str(target), "--snapshot", number])
        assert result.exit_code == 0, result.output
        if target == copy.data:
            erase(copy, "connector")
            assert keys(copy) != ALL
            erase(stored, "record")
            back_up(stored, out)
    assert keys(Stored(tmp_path / "new", stored.ann)) == keys(stored) == ALL - GONE["record"]


def test_a_restore_that_was_cut_off_is_begun_again_with_the_ledger_as_it_has_become(
    stored: Stored, out: Path, tmp_path: Path
) -> None:
    back_up(stored, out)
    new = tmp_path / "new"
    assert restored(stored, out, new).data == new
    marker = {"store": (new / "store-id").read_text(), "snapshot": 1}
    (new / "restoring").write_text(json.dumps(marker))  # as if the last step had not come
    erase(stored, "record")
    assert keys(restored(stored, out, new)) == keys(stored) == ALL - GONE["record"]
