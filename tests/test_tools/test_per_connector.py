"""One file per connector: what is wrong with one is told of that one, and the others are looked at all the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from blobstore.errors import StorageUnavailable
from records.layout import Topology
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, Stored, in_store, ingest, make, upload
from tests.fakes.topologies import Storage
from tools.cli import main

STORAGE = Storage(Topology.PER_CONNECTOR)


async def another(store: RecordStore) -> dict[str, str]:
    """A second connector; where each of ann's lives."""
    ann = await store.access.owner("ann")
    await store.registry.register(ann, json.dumps(MANIFEST | {"connector_id": "other"}).encode())
    blob = await upload(store, ann, b"another file", "1", connector="other")
    await ingest(store, ann, "1", [blob], connector="other")
    await store.audit.drain_all()
    return {connector: home.shard for connector, home in (await store.central.shards(ann.id)).homes.items()}


@pytest.fixture
def stored(tmp_path: Path, at_rest: None) -> Stored:
    return make(tmp_path / "data", STORAGE)


@pytest.fixture
def files(stored: Stored) -> dict[str, Path]:
    """The file of each of ann's connectors."""
    homes = in_store(stored.data, another, storage=STORAGE)
    return {connector: stored.data / "records" / stored.ann / f"{shard}.db" for connector, shard in homes.items()}


async def readable(store: RecordStore) -> set[str]:
    """The connectors whose records can be read."""
    ann = await store.access.owner("ann")
    found = set()
    for connector in (CONNECTOR, "other"):
        try:
            counts = await (await store.engines.of(ann.id)).stats(connector)
        except StorageUnavailable:
            continue
        found |= {connector} if counts else set()
    return found


def damage(file: Path) -> None:
    for log in file.parent.glob(f"{file.name}-*"):
        log.unlink()
    content = bytearray(file.read_bytes())
    content[100:] = b"\xa5" * len(content[100:])
    file.write_bytes(content)


def test_a_damaged_file_takes_down_its_own_connector_alone(stored: Stored, files: dict[str, Path]) -> None:
    damage(files["other"])
    assert in_store(stored.data, readable, storage=STORAGE) == {CONNECTOR}
    subject = str(files["other"].relative_to(stored.data))
    found = {(each["kind"], each["subject"]) for each in stored.doctor("--deep")}
    assert ("damaged_file", subject) in found
    assert {kind for kind, _ in found} <= {"damaged_file", "damaged_records"}, found


def test_a_file_that_is_gone_is_named_and_nothing_is_deleted(stored: Stored, files: dict[str, Path]) -> None:
    blobs = sorted((stored.data / "blobs").rglob("*"))
    files["other"].unlink()
    assert in_store(stored.data, readable, storage=STORAGE) == {CONNECTOR}
    subject = str(files["other"].relative_to(stored.data))
    assert ("missing_part", subject) in {(each["kind"], each["subject"]) for each in stored.doctor()}
    stored.run("gc", "--grace", "0")
    assert sorted((stored.data / "blobs").rglob("*")) == blobs
    assert not files["other"].exists()


def test_other_ones_files_are_refused_in_its_place(stored: Stored, files: dict[str, Path]) -> None:
    files["other"].write_bytes(files[CONNECTOR].read_bytes())
    subject = str(files["other"].relative_to(stored.data))
    assert ("store_mismatch", subject) in {(each["kind"], each["subject"]) for each in stored.doctor()}


@pytest.mark.parametrize("harm", [damage, Path.unlink])
@pytest.mark.parametrize("awake", [False, True])
def test_no_snapshot_lacks_a_connector(
    stored: Stored, files: dict[str, Path], tmp_path: Path, harm: Callable[[Path], None], *, awake: bool
) -> None:
    out = tmp_path / "backup"
    assert stored.run("backup", str(out)).exit_code == 0
    if awake:
        in_store(stored.data, be_about_to_write, storage=STORAGE)
    harm(files["other"])
    failed = stored.run("backup", str(out), "--keep", "1")
    assert failed.exit_code == 1
    assert f"{files['other'].relative_to(stored.data)}: cannot be read, so no snapshot was made" in failed.stderr
    assert [each.name for each in (out / "snapshots").glob("0*")] == ["000001"]
    assert not files["other"].exists() or harm is damage
    ledger = ("--ledger", str(stored.data / "erasures.ledger"))
    restored = CliRunner().invoke(main, ["restore", str(out), "--data", str(tmp_path / "new"), *ledger])
    assert restored.exit_code == 0, restored.output


async def be_about_to_write(store: RecordStore) -> None:
    """As a process that died before it wrote."""
    ann = await store.access.owner("ann")
    home = (await store.central.shards(ann.id)).homes["other"]
    await store.central.wake(ann.id, "other", home.shard)


def test_commands_that_list_go_on_beside_a_damaged_file_and_name_it(stored: Stored, files: dict[str, Path]) -> None:
    assert stored.run("quota", "set", "--owner", "ann", "1GB").exit_code == 0

    async def be_about_to_write_then_damage(store: RecordStore) -> None:
        await be_about_to_write(store)
        damage(files["other"])  # while it is awake: of one at rest these commands know all without a look at its file

    in_store(stored.data, be_about_to_write_then_damage, storage=STORAGE)
    for command in (("topology", "show"), ("usage",), ("quota", "list")):
        found = stored.run(*command, "--json")
        assert (found.exit_code, found.stderr.partition(";")[0]) == (1, "of ann: the records of other cannot be read")
        rows = json.loads(found.stdout)
        if command == ("topology", "show"):
            places = {(each["owner"], each["connector"]): each["records"] for each in rows}
            assert places == {("ann", CONNECTOR): 3, ("ann", "other"): None, ("bob", CONNECTOR): 1}
        else:
            assert {each["owner"] for each in rows} == {"bob" if command == ("usage",) else "ann"}
