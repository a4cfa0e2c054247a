"""Every write, fsync, rename, link and unlink that fails, one after the other: clean errors, nothing acknowledged lost.

The calls of a run without a fault are counted; then each of them fails in turn, with EIO and with ENOSPC, those of
SQLite included. In `make test` a sample of them.
"""

import errno
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.faults import environment

ERRORS = [errno.EIO, errno.ENOSPC]
NAMES = ["EIO", "ENOSPC"]
TO_THE_END = 1_000_000


def everything(library: Path, data: Path, error: int, span: int, rounds: Sequence[int]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.faults.everything", data, error, span, *rounds]
    environ = {**os.environ, "LD_PRELOAD": str(library)}
    done = subprocess.run(list(map(str, command)), env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_call_that_fails_ends_cleanly_loses_nothing_and_leaves_nothing(
    library: Path, tmp_path: Path, error: int, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    calls = everything(library, tmp_path / "counted", error, 1, [])["calls"]
    assert calls > 500
    # Some rounds make a few calls more than others: groups of writers share commits as it happens.
    chosen = rng.sample(range(1, calls), sized(3, calls - 1))
    report = everything(library, tmp_path / "data", error, 1, chosen)
    assert report["wrong"] == {}
    assert report["hits"] >= len(chosen) * 0.8
    print(f"{report['hits']} calls failed of {calls}")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_disk_that_fails_for_a_while_loses_nothing(
    library: Path, tmp_path: Path, error: int, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    chosen = [rng.randrange(1, 1000) for _ in range(sized(1, 100))]
    report = everything(library, tmp_path / "data", error, TO_THE_END, chosen)
    assert report["wrong"] == {}
    assert report["hits"] > len(chosen)


# -- processes that start and end --------------------------------------------------------------------------------------


def run(
    library: Path, data: Path, arguments: Sequence[str], nth: int = 0, error: int = 0
) -> tuple["subprocess.CompletedProcess[str]", int, str]:
    """Run a command; how many calls it made, and which of them failed. A server is stopped once it is ready."""
    told = data.with_name("report")
    command = [sys.executable, "-m", "tools", arguments[0], *arguments[1:], "--data", str(data)]
    process = subprocess.Popen(
        command,
        env=environment(library, data, nth, error, told),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    if ready.startswith("serving on"):
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    calls, hits, what = told.read_text().split(" ", 2)
    assert int(hits) <= 1
    done = subprocess.CompletedProcess(command, process.returncode, ready + out, err)
    return done, int(calls), what.strip() if int(hits) else ""


def sound(data: Path) -> None:
    """The directory serves, and doctor finds nothing that a collection does not take."""
    for command in ("gc", "doctor"):
        done = subprocess.run(
            [sys.executable, "-m", "tools", command, "--data", str(data), "--json"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
@pytest.mark.parametrize("fresh", [True, False], ids=["a new directory", "one that was served"])
def test_a_server_that_cannot_start_says_why_and_starts_when_it_can(
    library: Path, tmp_path: Path, error: int, fresh: bool, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    serve = ["serve", "--port", "0"]
    _, calls, _ = run(library, tmp_path / "counted" / "data", serve) if fresh else _second(library, tmp_path, serve)
    for nth in rng.sample(range(1, calls + 1), sized(1, calls)):
        data = tmp_path / f"{nth}" / "data"
        data.parent.mkdir()
        if not fresh:
            run(library, data, serve)
        done, _, what = run(library, data, serve, nth, error)
        assert done.returncode in (0, 1), f"{nth} {what}: {done.stderr}"
        assert "Traceback" not in done.stderr, f"{nth} {what}: {done.stderr}"
        if done.returncode:
            assert done.stderr.splitlines()[-1].startswith("Error: "), f"{nth} {what}: {done.stderr}"
        again, _, _ = run(library, data, serve)
        assert again.returncode == 0, f"{nth} {what}: {again.stderr}"
        sound(data)


def _second(library: Path, tmp_path: Path, command: Sequence[str]) -> Any:
    (tmp_path / "counted").mkdir()
    run(library, tmp_path / "counted" / "data", command)
    return run(library, tmp_path / "counted" / "data", command)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_token_is_shown_if_and_only_if_it_is_stored(
    library: Path, tmp_path: Path, error: int, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    data = tmp_path / "data"
    create = ["token", "create", "--owner", "ada"]
    run(library, data, create)
    _, calls, _ = run(library, data, create)
    stored = 2
    for nth in rng.sample(range(1, calls + 1), sized(1, calls)):
        done, _, what = run(library, data, create, nth, error)
        assert "Traceback" not in done.stderr, f"{nth} {what}: {done.stderr}"
        listed = subprocess.run(
            [sys.executable, "-m", "tools", "token", "list", "--json", "--data", str(data)],
            capture_output=True,
            text=True,
        )
        found = len(json.loads(listed.stdout))
        assert (found > stored) == bool(done.stdout.strip()), f"{nth} {what}: {done.stdout} {done.stderr}"
        assert bool(done.stdout.strip()) or done.returncode == 1
        stored = found
    sound(data)
