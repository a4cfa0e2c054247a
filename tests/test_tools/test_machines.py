"""Several machines on one database and one bucket, a directory for each: who may join, and what that means."""

import asyncio
import json
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from blobstore.backends.where import Where
from records.layout import Topology
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, fill
from tests.fakes.s3 import S3Server
from tests.fakes.topologies import Storage, stored_in
from tools.cli import main

pytestmark = pytest.mark.usefixtures("at_rest")


@dataclass(frozen=True, slots=True)
class Machine:
    """A directory, and what its commands are told."""

    data: Path
    told: tuple[str, ...]

    def run(self, *arguments: str, exit_code: int = 0) -> Result:
        """A command of it."""
        result = CliRunner().invoke(main, [*arguments, "--data", str(self.data), *self.told])
        assert result.exit_code == exit_code, result.output
        return result

    def owners(self) -> list[str]:
        return [each["owner"] for each in json.loads(self.run("token", "list", "--json").stdout)]


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    with stored_in(Topology.POSTGRES, request) as storage:
        yield storage


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "run-secrets" / "secret"
    path.parent.mkdir()
    path.write_bytes(secrets.token_bytes(32))
    path.chmod(0o400)
    return path


@pytest.fixture
def where(s3: S3Server) -> Where:
    return s3.where()


def told(storage: Storage, where: Where, *more: str) -> tuple[str, ...]:
    place = ("--blobs", where.location, "--s3-endpoint", str(where.endpoint), "--s3-region", str(where.region))
    return (*storage.options, *place, *more)


@pytest.fixture
def first(tmp_path: Path, storage: Storage, where: Where, secret: Path) -> Machine:
    """The machine that has made the store."""
    machine = Machine(tmp_path / "first", told(storage, where, "--secret-file", str(secret)))
    machine.run("token", "create", "--owner", "ann")
    return machine


def test_a_new_directory_with_the_secret_joins(tmp_path: Path, first: Machine) -> None:
    second = replace(first, data=tmp_path / "second")
    second.run("token", "create", "--owner", "bob")
    assert first.owners() == second.owners() == ["ann", "bob"]
    bare = replace(second, told=())  # what it was told is written down, and the secret is not copied
    assert bare.owners() == ["ann", "bob"]
    assert not (second.data / "secret").exists()
    assert tomllib.loads((second.data / "blobstore.toml").read_text())["secret_file"].endswith("run-secrets/secret")
    assert json.loads(bare.run("doctor", "--json").stdout) == []


def test_a_snapshot_of_one_that_was_told_nothing_knows_where_the_blobs_were(
    tmp_path: Path, storage: Storage, where: Where, first: Machine
) -> None:
    second = Machine(tmp_path / "second", (*storage.options, "--secret-file", first.told[-1]))
    second.run("token", "create", "--owner", "bob")
    assert "blobs" not in tomllib.loads((second.data / "blobstore.toml").read_text())
    second.run("backup", str(tmp_path / "out"))
    command = ["restore", str(tmp_path / "out"), "--data", str(tmp_path / "new"), *storage.options[2:]]
    refused = CliRunner().invoke(main, command)
    assert f"were in {where.location}: say with --blobs where they go" in refused.output


def test_one_that_copied_the_secret_joins(tmp_path: Path, storage: Storage, where: Where, first: Machine) -> None:
    second = Machine(tmp_path / "second", told(storage, where))
    second.data.mkdir()
    shutil.copy(first.told[-1], second.data / "secret")
    second.run("token", "create", "--owner", "bob")
    assert first.owners() == ["ann", "bob"]


def test_who_has_no_secret_or_another_is_refused_and_leaves_nothing(
    tmp_path: Path, storage: Storage, where: Where, first: Machine
) -> None:
    none = Machine(tmp_path / "none", told(storage, where))
    assert "(--secret-file FILE)" in none.run("token", "create", "--owner", "bob", exit_code=1).output
    assert not (none.data / "secret").exists()
    other = tmp_path / "other-secret"
    other.write_bytes(secrets.token_bytes(32))
    wrong = Machine(tmp_path / "wrong", told(storage, where, "--secret-file", str(other)))
    assert "was made with" in wrong.run("token", "create", "--owner", "bob", exit_code=1).output
    short = tmp_path / "short-secret"
    short.write_bytes(b"password\n")
    endless = Path("/dev/zero")
    refused = (
        (short, "does not hold 32 bytes"),
        (endless, "does not hold 32 bytes"),
        (tmp_path / "nowhere", "No such"),
    )
    for file, message in refused:
        machine = Machine(tmp_path / "short", told(storage, where, "--secret-file", str(file)))
        assert message in machine.run("token", "create", "--owner", "bob", exit_code=1).output
    assert first.owners() == ["ann"]


def test_where_blobs_are_files_a_second_directory_is_refused(tmp_path: Path, storage: Storage, secret: Path) -> None:
    options = (*storage.options, "--blobs", "file", "--secret-file", str(secret))
    Machine(tmp_path / "first", options).run("token", "create", "--owner", "ann")
    output = Machine(tmp_path / "second", options).run("token", "create", "--owner", "bob", exit_code=1).output
    assert "it is another directory's, whose files are needed, too" in output


def test_who_comes_with_another_database_or_another_bucket_is_refused(
    tmp_path: Path, storage: Storage, s3: S3Server, where: Where, secret: Path, first: Machine, database_url: str
) -> None:
    elsewhere = Storage(Topology.POSTGRES, database_url)
    other = Machine(tmp_path / "other", told(elsewhere, where, "--secret-file", str(secret)))
    assert "another store" in other.run("token", "create", "--owner", "bob", exit_code=1).output


def test_a_directory_that_is_lost_loses_nothing(
    tmp_path: Path, storage: Storage, where: Where, secret: Path, first: Machine
) -> None:
    async def work() -> None:
        store = await RecordStore.open(
            first.data,
            topology=storage.topology,
            database_url=storage.database_url,
            where=where,
            secret_file=secret,
        )
        await fill(store)
        await store.close()

    asyncio.run(work())
    erased = first.run("erase", "--owner", "ann", "--connector", CONNECTOR, "--stream", "photos", "--json").stdout
    first.run("export", "--owner", "ann", str(tmp_path / "before.tar"))
    shutil.rmtree(first.data)
    first.run("token", "create", "--owner", "carol")
    assert first.owners() == ["ann", "carol"]
    first.run("export", "--owner", "ann", str(tmp_path / "after.tar"))
    assert (tmp_path / "after.tar").read_bytes() == (tmp_path / "before.tar").read_bytes()
    first.run("spine", "verify", "--owner", "ann")
    assert json.loads(first.run("doctor", "--deep", "--json").stdout) == []  # each erasure is on the ledger
    assert json.loads(erased)[0]["state"] == "done"
    assert not (first.data / "erasures.ledger").exists()


# -- an owner in files of one of them ----------------------------------------------------------------------------------


@pytest.fixture
def apart(tmp_path: Path, storage: Storage, where: Where, secret: Path, first: Machine) -> Machine:
    """The first machine, which has the records of ann in its files and all else in the database."""

    async def work() -> None:
        store = await RecordStore.open(
            first.data, topology=storage.topology, database_url=storage.database_url, where=where, secret_file=secret
        )
        await fill(store)
        await store.close()

    asyncio.run(work())
    first.run("topology", "migrate", "--owner", "ann", "--to", "single")
    return first


def photos(machine: Machine) -> list[str]:
    rows = json.loads(machine.run("usage", "--json").stdout)
    return [row["owner"] for row in rows if row.get("stream") == "photos" and row.get("records")]


def test_no_other_directory_opens_a_store_while_an_owner_is_in_files_of_one(tmp_path: Path, apart: Machine) -> None:
    second = replace(apart, data=tmp_path / "second")
    refused = second.run("token", "create", "--owner", "bob", exit_code=1).output
    assert f"the records of ann are in files of another directory, {apart.data}" in refused
    assert "`blobstore topology migrate --owner ann --to postgres` there" in refused
    assert not (second.data / "store-id").exists()
    apart.run("topology", "migrate", "--owner", "ann", "--to", "postgres")
    second.run("token", "create", "--owner", "bob")
    assert photos(second) == ["ann"]
    apart.run("topology", "migrate", "--owner", "ann", "--to", "per-connector")
    assert "the records of ann" in second.run("usage", exit_code=1).output  # though it has joined before
    assert photos(apart) == ["ann"]
    replace(apart, told=()).run("topology", "migrate", "--to", "single")
    assert "files of another directory that one alone has" in second.run("usage", exit_code=1).output


def test_files_of_a_directory_that_was_moved_are_there_and_of_one_that_was_lost_others_must_be_told(
    tmp_path: Path, apart: Machine
) -> None:
    moved, second = (replace(apart, data=tmp_path / name) for name in ("moved", "second"))
    shutil.copytree(apart.data, moved.data)
    shutil.rmtree(apart.data)
    assert photos(moved) == ["ann"]
    lost = ("topology", "migrate", "--to", "postgres", "--files-lost")
    shutil.rmtree(moved.data)
    second.run("token", "create", "--owner", "bob", exit_code=1)
    assert "one --owner" in second.run(*lost, exit_code=2).output
    assert "no owner" in second.run(*lost, "--owner", "zoe", exit_code=1).output
    second.run(*lost, "--owner", "ann")
    second.run("token", "create", "--owner", "bob")
    second.run(*lost, "--owner", "ann")
    assert photos(second) == []
