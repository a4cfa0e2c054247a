"""`blobstore hydrate slack` as a process: its output, its exit codes, and what it leaves when it is stopped."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web
from click.testing import CliRunner

from tests.fakes.resource_server import TOKEN, ResourceServer, serving
from tests.fakes.slack_export import SlackExport
from tools.hydrate import hydrate
from tools.slack.ledger import Settled

T = TypeVar("T")

# The intervals of the process under test are short, so that there is something saved to go on from.
PROGRAM = """
import sys
from tools.slack import checkpoint, recorder
checkpoint.EVERY, recorder.LINGER = 0.0, 0.02
from tools.hydrate import hydrate
hydrate(sys.argv[1:], prog_name="hydrate")
"""


@dataclass
class Ended:
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str


async def start(*arguments: str, address: str, program: str = PROGRAM) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BLOBSTORE_")}
    environment = clean | {"BLOBSTORE_SERVER": address, "BLOBSTORE_TOKEN": TOKEN, "PYTHONPATH": os.getcwd()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "slack", *arguments, env=environment, stdout=-1, stderr=-1
    )


async def ended(process: asyncio.subprocess.Process) -> Ended:
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def export(tmp_path: Path) -> SlackExport:
    export = SlackExport(tmp_path / "export")
    for n in range(40):
        export.add(f"F{n:03}", b"%d" % (n // 2) * 1000, name=f"{n}.bin")
    export.add("FBIG", random.Random(1).randbytes(5_000_000))
    export.add("FSHORT", b"short", size=10, credential=None)
    export.say(3000)
    return export


def total(rows: Sequence[dict[str, object]]) -> dict[str, object]:
    return next(row for row in rows if row["kind"] == "total")


def assert_state_tells_no_lie(server: ResourceServer) -> None:
    """Whatever the state calls settled is in the store."""
    for file_id, text in server.state.get("files", {}).get("files", {}).items():
        record = server.records["files"][file_id]
        assert record["hydration_status"] == Settled.parse(text).status
        if record["blob_ref"]:
            assert server.claims[file_id] == record["blob_ref"]["blob_id"]


@pytest.mark.long
async def test_killed_anywhere_the_next_run_completes_the_work(
    export: SlackExport, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    server = ResourceServer()
    source = str(export.write())
    process: asyncio.subprocess.Process | None = None
    left = 0

    async def kill(request: web.Request) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            await request.content.readany()
            assert process is not None
            process.kill()

    server.faults.append(kill)
    killed = 0
    async with serving(server) as address:
        for _ in range(sized(6, 100)):
            left = rng.randint(3, 45)
            process = await start(source, "--quiet", address=address)
            killed += (await ended(process)).code == -signal.SIGKILL
            assert_state_tells_no_lie(server)
        left = 0
        assert (await ended(await start(source, "--quiet", address=address))).code == 0
        assert killed
        assert server.statuses() == dict.fromkeys(export.held, "hydrated") | {"FSHORT": "truncated"}
        for file_id, content in export.held.items():
            if file_id != "FSHORT":
                assert server.blobs[server.claims[file_id]] == content
        assert len(server.records["messages"]) == 3042
        server.seen.clear()
        again = await ended(await start(source, "--json", address=address))
    assert not server.seen
    assert total(json.loads(again.out))["blob_bytes_sent"] == 0


async def test_what_only_a_data_directory_needs_is_not_loaded_for_a_server(tmp_path: Path) -> None:
    """It would be half of what a run takes in which nothing is new."""
    export = SlackExport(tmp_path / "export")
    export.add("F1", b"1" * 1000)
    program = PROGRAM.replace("hydrate(sys", "import atexit\natexit.register(lambda: print(*sys.modules))\nhydrate(sys")
    async with serving(ResourceServer()) as address:
        ran = await ended(await start(str(export.write()), "--quiet", address=address, program=program))
    loaded = set(ran.out.splitlines()[-1].split())
    assert "tools.http_sink" in loaded
    assert not loaded & {"tools.local_sink", "records.store", "blobstore.store", "sqlite_utils", "boto3"}


async def test_interrupted_it_saves_where_it_was_and_says_so(export: SlackExport) -> None:
    server = ResourceServer()
    process: asyncio.subprocess.Process | None = None

    async def interrupt(request: web.Request) -> None:
        if server.seen["uploads"] >= 20 and not server.seen["interrupts"]:
            server.seen["interrupts"] = 1
            assert process is not None
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(1)

    server.faults.append(interrupt)
    async with serving(server) as address:
        process = await start(str(export.write()), "--uploads", "4", address=address)
        stopped = await ended(process)
        server.faults.clear()
        assert stopped.code == 130
        assert "goes on" in stopped.err
        assert "Traceback" not in stopped.err
        assert_state_tells_no_lie(server)
        saved = len(server.state["files"]["files"])
        assert saved >= 16, "all but the four that were under way"
        server.seen.clear()
        assert (await ended(await start(str(export.root), address=address))).code == 0
    assert server.seen["uploads"] <= 42 - saved
    assert len(server.statuses()) == 42


async def test_the_report_is_an_array_of_objects_for_programs(export: SlackExport) -> None:
    server = ResourceServer()
    async with serving(server) as address:
        result = await ended(await start(str(export.write()), "--json", address=address))
    rows = json.loads(result.out)
    assert result.code == 0
    assert [(row["status"], row["files"], row["bytes"]) for row in rows if row["kind"] == "status"] == [
        ("hydrated", 41, sum(map(len, export.held.values())) - 5),
        ("truncated", 1, 10),
    ]
    assert {row["stream"]: row["records_sent"] for row in rows if row["kind"] == "stream"} == {
        "channels": 1,
        "users": 1,
        "files": 42,
        "messages": 3042,
    }
    assert total(rows)["files"] == 42


async def test_people_get_tables_and_no_token(export: SlackExport) -> None:
    server = ResourceServer()
    async with serving(server) as address:
        result = await ended(await start(str(export.write()), "--instance", "work", address=address))
    assert "truncated" in result.out
    assert "FSHORT" in result.out
    assert TOKEN not in result.out + result.err
    assert all("connector_instance_id=work" in request for request in server.requests[1:])


async def test_what_fails_is_one_line_and_exit_code_1(export: SlackExport, tmp_path: Path) -> None:
    nothing = await ended(await start(str(export.write()), address="http://127.0.0.1:9/path?token=x"))
    assert (nothing.code, "Traceback" in nothing.err) == (1, False)
    assert "--server must be like" in nothing.err
    no_workspace = await ended(await start(str(tmp_path), address="http://127.0.0.1:9"))
    assert (no_workspace.code, "Traceback" in no_workspace.err) == (1, False)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {}, "Say where to write to"),
        (["--server", "http://x"], {}, "--server needs --token"),
        (["--data", "d"], {}, "--data needs --owner"),
        (["--server", "http://x", "--token", "t", "--data", "d", "--owner", "o"], {}, "not both"),
        ([], {"BLOBSTORE_SERVER": "http://x", "BLOBSTORE_DATA": "d"}, "not both"),
        (["--data", "d"], {"BLOBSTORE_SERVER": "http://x"}, "--data needs --owner"),
        (
            ["--server", "http://x", "--token", "t", "--max-file-size", "much"],
            {},
            "Invalid value for '--max-file-size'",
        ),
    ],
)
def test_unclear_targets_are_usage_errors(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    names = ("SERVER", "TOKEN", "DATA", "OWNER")
    clean = dict.fromkeys((f"BLOBSTORE_{name}" for name in names), None) | environment
    result = CliRunner().invoke(hydrate, ["slack", str(tmp_path), *arguments], env=clean)
    assert result.exit_code == 2
    assert said in result.output


def test_a_data_directory_is_opened_as_its_configuration_says(tmp_path: Path, export: SlackExport) -> None:
    data, ledger = tmp_path / "data", tmp_path / "kept" / "erasures.ledger"
    ledger.parent.mkdir()
    data.mkdir()
    (data / "blobstore.toml").write_text(f'ledger = "{ledger}"\nmin_free = "1000TiB"\n')
    arguments = ["slack", str(export.write()), "--data", str(data), "--owner", "me", "--quiet"]
    full = CliRunner().invoke(hydrate, arguments)
    assert (full.exit_code, "free" in full.output) == (1, True)
    assert CliRunner().invoke(hydrate, [*arguments, "--min-free", "0"]).exit_code == 0
    assert (ledger.exists(), (data / ledger.name).exists()) == (True, False)
