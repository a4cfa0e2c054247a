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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.warm import fork, launch

EVERY_CALL = 1_000_000
ERRORS = [errno.EIO, errno.ENOSPC]
NAMES = ["EIO", "ENOSPC"]
TO_THE_END = 1_000_000


def everything(faulty: Path, data: Path, error: int, span: int, most: int, rng: random.Random) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(
        launch(faulty, "tests.faults.everything", data, error, span, most, rng.random()).end()
    )
    assert report["wrong"] == {}
    print(f"{report['hits']} calls failed in {report['rounds']} rounds of {report['calls']} calls")
    return report


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_call_that_fails_ends_cleanly_loses_nothing_and_leaves_nothing(
    faulty: Path, tmp_path: Path, error: int, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    report = everything(faulty, tmp_path / "data", error, 1, sized(3, EVERY_CALL), rng)
    assert report["calls"] > 500
    # Some rounds make a few calls more than others: groups of writers share commits as it happens.
    assert report["hits"] >= report["rounds"] * 0.8


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_disk_that_fails_for_a_while_loses_nothing(
    faulty: Path, tmp_path: Path, error: int, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    report = everything(faulty, tmp_path / "data", error, TO_THE_END, sized(1, 100), rng)
    assert report["hits"] > report["rounds"]


# -- processes that start and end --------------------------------------------------------------------------------------


def run(
    faulty: Path, data: Path, arguments: Sequence[str], nth: int = 0, error: int = 0
) -> tuple["subprocess.CompletedProcess[str]", int, str]:
    """Run a command; how many calls it made, and which of them failed. A server is stopped once it is ready."""
    data.parent.mkdir(exist_ok=True)
    told, errors = data.with_name("report"), data.with_name("errors")
    reading, writing = os.pipe()
    with errors.open("wb") as err, open(reading) as out:
        process = fork(
            faulty, "tests.faults.command", [*map(str, (told, nth, error, data)), *arguments], writing, err.fileno()
        )
        os.close(writing)
        ready = out.readline()
        if ready.startswith("serving on"):
            os.kill(process.pid, signal.SIGTERM)
        printed = ready + out.read()
    code = process.wait(120)
    calls, hits, what = told.read_text().split(" ", 2)
    assert int(hits) <= 1
    done = subprocess.CompletedProcess(arguments, code, printed, errors.read_text())
    return done, int(calls), what.strip() if int(hits) else ""


def sound(forks: Path, data: Path) -> None:
    """The directory serves, and doctor finds nothing that a collection does not take."""
    for command in ("gc", "doctor"):
        print(launch(forks, "tests.fakes.at_rest", command, "--data", data, "--json").end())


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
@pytest.mark.parametrize("fresh", [True, False], ids=["a new directory", "one that was served"])
def test_a_server_that_cannot_start_says_why_and_starts_when_it_can(
    faulty: Path,
    forks: Path,
    tmp_path: Path,
    error: int,
    fresh: bool,
    rng: random.Random,
    sized: Callable[[int, int], int],
) -> None:
    serve = ["serve", "--port", "0"]
    _, calls, _ = run(faulty, tmp_path / "counted" / "data", serve) if fresh else _second(faulty, tmp_path, serve)
    for nth in rng.sample(range(1, calls + 1), sized(1, calls)):
        data = tmp_path / f"{nth}" / "data"
        if not fresh:
            run(faulty, data, serve)
        done, _, what = run(faulty, data, serve, nth, error)
        assert done.returncode in (0, 1), f"{nth} {what}: {done.stderr}"
        assert "Traceback" not in done.stderr, f"{nth} {what}: {done.stderr}"
        if done.returncode:
            assert done.stderr.splitlines()[-1].startswith("Error: "), f"{nth} {what}: {done.stderr}"
        again, _, _ = run(faulty, data, serve)
        assert again.returncode == 0, f"{nth} {what}: {again.stderr}"
        sound(forks, data)


def _second(faulty: Path, tmp_path: Path, command: Sequence[str]) -> Any:
    run(faulty, tmp_path / "counted" / "data", command)
    return run(faulty, tmp_path / "counted" / "data", command)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_token_is_shown_if_and_only_if_it_is_stored(
    faulty: Path, forks: Path, tmp_path: Path, error: int, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    data = tmp_path / "data"
    create = ["token", "create", "--owner", "ada"]
    run(faulty, data, create)
    _, calls, _ = run(faulty, data, create)
    stored = 2
    for nth in rng.sample(range(1, calls + 1), sized(1, calls)):
        done, _, what = run(faulty, data, create, nth, error)
        assert "Traceback" not in done.stderr, f"{nth} {what}: {done.stderr}"
        found = len(json.loads(launch(forks, "tools", "token", "list", "--json", "--data", data).end()))
        assert (found > stored) == bool(done.stdout.strip()), f"{nth} {what}: {done.stdout} {done.stderr}"
        assert bool(done.stdout.strip()) or done.returncode == 1
        stored = found
    sound(forks, data)
