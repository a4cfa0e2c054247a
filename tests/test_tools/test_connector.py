"""`blobstore connector detach` and `attach`."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from records.central import Instance, SpineEvent
from records.store import RecordStore
from tests.fakes.bags import CHAT, INSTANCES, MAIL, Writer, fill, manifest
from tests.fakes.data_directory import in_store, vandal
from tests.fakes.detach_cut import STEPS as CUT
from tests.fakes.topologies import DURABLE, IN_FILES, Storage
from tests.fakes.warm import launch
from tools.cli import main

pytestmark = pytest.mark.usefixtures("at_rest")

OWNER = "ann"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)


def good(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def exported(data: Path, owner: str, *options: str) -> bytes:
    return good("export", "--data", data, "--owner", owner, "-", *options).stdout_bytes


def filled(data: Path, storage: Storage = IN_FILES) -> Path:
    """A directory with two connectors of ann's."""

    async def work(store: RecordStore) -> None:
        await fill(store, await store.access.owner(OWNER))

    good("token", "create", "--data", data, "--owner", OWNER, *storage.options)
    in_store(data, work, storage=storage)
    return data


def detached(data: Path, out: Path, *options: str, connector: str = MAIL) -> Result:
    result = run("connector", "detach", "--data", data, "--owner", OWNER, "--connector", connector, out, *options)
    print(result.output)
    return result


def attached(data: Path, bundle: Path, *options: str, owner: str = "bob") -> Result:
    result = run("connector", "attach", "--data", data, "--owner", owner, bundle, *options)
    print(result.output)
    return result


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory, and a bundle of it."""
    folder = tmp_path_factory.mktemp("detached")
    assert detached(filled(folder / "data"), folder / "bundle", "--keep").exit_code == 0
    return folder


@pytest.fixture
def bundle(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template / "bundle", tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("storage", DURABLE, ids=str, indirect=True)
def test_a_connector_goes_from_any_topology_to_another_owner(tmp_path: Path, storage: Storage) -> None:
    data, out = filled(tmp_path / "data", storage), tmp_path / "bundle"
    before = exported(data, OWNER, "--connector", MAIL, *storage.options)
    rest = exported(data, OWNER, "--connector", CHAT, *storage.options)
    assert detached(data, out, *storage.options).exit_code == 0
    assert exported(data, OWNER, *storage.options) == rest
    good("receipt", "verify", out / "erasure.json")
    assert attached(tmp_path / "new", out).exit_code == 0
    assert exported(tmp_path / "new", "bob") == before
    good("doctor", "--data", tmp_path / "new", "--deep")


@pytest.mark.parametrize("storage", DURABLE, ids=str, indirect=True)
def test_a_connector_comes_into_any_topology(template: Path, bundle: Path, tmp_path: Path, storage: Storage) -> None:
    before = exported(template / "data", OWNER, "--connector", MAIL)
    assert attached(tmp_path / "new", bundle, *storage.options).exit_code == 0
    assert attached(tmp_path / "new", bundle, *storage.options).exit_code == 0
    assert exported(tmp_path / "new", "bob", *storage.options) == before
    assert good("gc", "--data", tmp_path / "new", "--grace", "0", *storage.options).exit_code == 0
    assert exported(tmp_path / "new", "bob", *storage.options) == before


def test_the_records_open_as_a_database_with_a_view_for_each_stream(bundle: Path) -> None:
    with vandal(bundle / "bag" / "data" / "records.sqlite") as db:
        assert db.execute("SELECT count(*) FROM pairs").fetchone()[0] > 0


def test_what_was_detached_comes_back_under_other_names(tmp_path: Path) -> None:
    data, out = filled(tmp_path / "data"), tmp_path / "bundle"
    assert detached(data, out).exit_code == 0
    assert attached(data, out, owner=OWNER).exit_code == 0
    connections = {each.id for each in in_store(data, _instances) if each.connector == MAIL}
    assert len(connections) == len(INSTANCES[MAIL])
    assert not connections & set(INSTANCES[MAIL])
    once = exported(data, OWNER)
    assert attached(data, out, owner=OWNER).exit_code == 0
    assert exported(data, OWNER) == once
    good("doctor", "--data", data, "--deep")


async def _instances(store: RecordStore) -> list[Instance]:
    return list(await store.central.instances((await store.access.owner(OWNER)).id))


def test_an_account_with_other_records_is_left_as_it_is(bundle: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def other(store: RecordStore) -> None:
        bob = await store.access.owner("bob")
        await store.registry.register(bob, manifest(MAIL))
        await Writer(store, bob, MAIL, "home").put("messages", "mine", '{"id":"mine"}')

    in_store(data, other)
    before = exported(data, "bob")
    result = attached(data, bundle)
    assert result.exit_code == 1
    assert "has other records" in result.output
    assert exported(data, "bob") == before
    assert attached(data, bundle, "--instance", "home=second").exit_code == 0


def test_a_connector_that_was_written_to_meanwhile_is_not_erased(tmp_path: Path) -> None:
    data, out = filled(tmp_path / "data"), tmp_path / "bundle"
    assert detached(data, out, "--keep").exit_code == 0

    async def more(store: RecordStore) -> None:
        await Writer(store, await store.access.owner(OWNER), MAIL, "home").put("messages", "new", '{"id":"new"}')

    in_store(data, more)
    result = detached(data, out)
    assert result.exit_code == 1
    assert "written to since" in result.output
    shutil.rmtree(out)
    assert detached(data, out).exit_code == 0


def spoiled(bundle: Path) -> Iterator[Callable[[], object]]:
    """Ways in which a stranger's bundle is not what it says."""
    files = [path for path in (bundle / "bag" / "data" / "blobs").rglob("*") if path.is_file()]
    blob = max(files, key=lambda path: path.stat().st_size)
    spine, document = bundle / "spine.ndjson", bundle / "bundle.json"
    lines = spine.read_bytes().splitlines(keepends=True)
    shown = next(number for number, line in enumerate(lines) if b"body" in line)
    said = json.loads(document.read_text())

    def linked(path: Path) -> None:
        path.rename(bundle.parent / "elsewhere")
        path.symlink_to(bundle.parent / "elsewhere")

    yield lambda: blob.write_bytes(b"x" * blob.stat().st_size)
    yield lambda: blob.unlink()
    yield lambda: linked(blob)
    yield lambda: linked(bundle / "bag")
    yield lambda: linked(spine)
    yield lambda: (bundle / "bag" / "data" / "more.txt").write_text("more")
    yield lambda: (bundle / "more.txt").write_text("more")
    yield lambda: os.mkfifo(bundle / "erasure.json")
    yield lambda: document.write_text(json.dumps(said | {"connector": CHAT}))
    yield lambda: document.write_text("{" * 100_000)
    yield lambda: document.write_bytes(b" " * (2 << 20))
    yield lambda: spine.write_bytes(b"".join(lines[:-1]))
    yield lambda: spine.write_bytes(b"".join(lines[:shown] + lines[shown + 1 :]))
    yield lambda: spine.write_bytes(spine.read_bytes().replace(b'"puts":', b'"Puts":', 1))
    yield lambda: spine.write_bytes(b"x" * 100)


@pytest.mark.parametrize("number", range(15))
def test_a_bundle_that_is_not_sound_leaves_nothing(bundle: Path, tmp_path: Path, number: int) -> None:
    list(spoiled(bundle))[number]()
    result = attached(tmp_path / "new", bundle)
    assert result.exit_code == 1, result.output
    assert not list((tmp_path / "new" / "records").rglob("*.db"))
    assert not [path for path in (tmp_path / "new" / "blobs").rglob("*") if path.is_file()]


def test_what_is_too_large_or_signed_by_another_is_refused(bundle: Path, tmp_path: Path) -> None:
    assert "--limit" in attached(tmp_path / "new", bundle, "--limit", "20000").output
    assert "another key" in attached(tmp_path / "new", bundle, "--key", "A" * 43).output
    key = json.loads((bundle / "bundle.json").read_text())["signature"]["public_key"]
    assert attached(tmp_path / "new", bundle, "--key", key).exit_code == 0


def test_the_audit_log_shows_what_is_about_the_connector_and_nothing_else(template: Path, bundle: Path) -> None:
    async def events(store: RecordStore) -> list[SpineEvent]:
        return await store.audit.events(await store.access.owner(OWNER), 0, 1000)

    known = {each.seq: each for each in in_store(template / "data", events)}
    lines = [json.loads(line) for line in (bundle / "spine.ndjson").read_text().splitlines()]
    for line in lines:
        assert line["hash"] == known[line["seq"]].hash.hex()
    shown = [line["body"] for line in lines if "body" in line]
    assert {each["kind"] for each in shown} >= {"connector.register", "records.ingest", "connector.detach", "export"}
    assert CHAT not in {each.get("connector") for each in shown}
    assert len(shown) == sum(json.loads(each.body).get("connector") == MAIL for each in known.values()) + 1


@pytest.mark.parametrize("storage", DURABLE, ids=str, indirect=True)
def test_who_writes_all_the_time_while_a_connector_is_detached_loses_nothing(
    tmp_path: Path, forks: Path, storage: Storage
) -> None:
    data, out = filled(tmp_path / "data", storage), tmp_path / "bundle"
    url = [] if storage.database_url is None else [storage.database_url]
    writer = launch(forks, "tests.fakes.endless_writer", data, OWNER, storage.topology, *url)
    said = [writer.out.readline() for _ in range(10)]
    assert detached(data, out, *storage.options).exit_code == 0
    said = "".join([*said, writer.end()]).splitlines()
    assert attached(tmp_path / "new", out).exit_code == 0
    came = exported(tmp_path / "new", "bob")
    last = [name for name in said if name.startswith("state")][-1:]
    wanted = [name for name in said if not name.startswith("state")] + last
    assert not [name for name in wanted if f'"{name}"'.encode() not in came]
    assert MAIL.encode() not in exported(data, OWNER, *storage.options)


STEPS = [(step, when) for step in CUT for when in ("before", "after")]


def test_a_detach_that_is_killed_at_any_step_is_finished(
    template: Path, tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    for number, step in enumerate(rng.sample(STEPS, sized(5, len(STEPS)))):
        print(*step)
        shutil.copytree(template / "data", tmp_path / str(number) / "data")
        finished_after(step, tmp_path / str(number), forks)


def finished_after(step: tuple[str, str], folder: Path, forks: Path) -> None:
    data, out = folder / "data", folder / "bundle"
    before = exported(data, OWNER, "--connector", MAIL)
    arguments = ["connector", "detach", "--data", data, "--owner", OWNER, "--connector", MAIL, out]
    assert launch(forks, "tests.fakes.detach_cut", *step, *arguments).wait() == -signal.SIGKILL
    if run("export", "--data", data, "--owner", OWNER, "--connector", MAIL, "-").exit_code == 0:
        more = in_store(data, _put_more)  # nobody is held off any more
        before = exported(data, OWNER, "--connector", MAIL)
        assert more.encode() in before
    for _ in range(2):
        assert detached(data, out).exit_code == 0
        good("receipt", "verify", out / "erasure.json")
    assert attached(folder / "new", out).exit_code == 0
    assert exported(folder / "new", "bob") == before
    good("doctor", "--data", data, "--deep")


async def _put_more(store: RecordStore) -> str:
    await Writer(store, await store.access.owner(OWNER), MAIL, "home").put("messages", "late", '{"id":"late"}')
    return "late"


def test_a_bundle_whose_connector_has_come_again_is_left_as_it_is(tmp_path: Path) -> None:
    data, out = filled(tmp_path / "data"), tmp_path / "bundle"
    assert detached(data, out).exit_code == 0
    assert attached(data, out, owner=OWNER).exit_code == 0
    result = detached(data, out)
    assert result.exit_code == 1
    assert "come again" in result.output
    assert detached(data, tmp_path / "other").exit_code == 0


@pytest.mark.long
def test_a_detach_or_attach_that_is_killed_again_and_again_is_finished_in_the_end(
    tmp_path: Path, forks: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    data, new = filled(tmp_path / "data"), tmp_path / "new"
    before = exported(data, OWNER, "--connector", MAIL)
    out = ["--data", data, "--owner", OWNER, "--connector", MAIL, tmp_path / "bundle"]
    commands = [["detach", *out], ["attach", "--data", new, "--owner", "bob", tmp_path / "bundle"]]
    for command in commands:
        killed = 0
        for _ in range(sized(3, 50)):
            process = launch(forks, "tools", "connector", *command)
            time.sleep(rng.uniform(0.0, 0.3))
            process.killed()
            killed += process.wait() < 0
        assert killed > 0
        launch(forks, "tools", "connector", *command).end()
    good("gc", "--data", data, "--grace", "1s")
    assert exported(new, "bob") == before
    for each in (data, new):
        good("doctor", "--data", each, "--deep")
