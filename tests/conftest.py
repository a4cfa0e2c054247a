"""Fixtures for every test: shared data, sizes, seeds.

BLOBSTORE_SHARED  directory with data and tools that are no part of the repository (default: beside the checkout)
BLOBSTORE_SOAK    when set, the tests marked `long` run at full size
BLOBSTORE_SEED    repeats the random choices of an earlier run
TMPDIR            where tests keep their files (default: in memory where there is room, on the disk with full sizes)
"""

import os
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from records.layout import Topology
from tests.fakes import scratch
from tests.fakes.emptied import Emptied
from tests.fakes.postgres import Cluster
from tests.fakes.power import Disk
from tests.fakes.s3 import S3Server
from tests.fakes.tcp_proxy import TcpProxy, proxying
from tests.fakes.topologies import Storage, stored_in
from tests.fakes.warm import forking

T = TypeVar("T")

scratch.settle()
settings.register_profile("no clocks", deadline=None)  # a slow machine is no mistake
settings.load_profile("no clocks")

SOAK = bool(os.environ.get("BLOBSTORE_SOAK"))
SEED = int(os.environ.get("BLOBSTORE_SEED") or secrets.randbits(32))
os.environ["BLOBSTORE_SEED"] = str(SEED)  # pytest-xdist: its workers must choose alike
SHARED = Path(os.environ.get("BLOBSTORE_SHARED") or Path(__file__).resolve().parents[1].parent / "shared")


ALLOWED_SKIPS = (
    "shared data not present",
    "powercut not present",
    "no C compiler",
    "permissions do not bind root",
    "mount namespaces are not allowed here",
    "no --other-token was given",
    "this medium does not keep removed objects for their readers",
    "the server has no grants of its own",
    "no such peer of the benchmarks here",  # .ci/run installs none of them
    "no such Python here",  # the wheel is tried with each that is
)
"""Why a test may be skipped; any other reason fails the run."""

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if any(not any(reason in skip for reason in ALLOWED_SKIPS) for skip in _skipped):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"{session_ran(terminalreporter)} tests ran, {len(_skipped)} were skipped")
    for skip in _skipped:
        if not any(reason in skip for reason in ALLOWED_SKIPS):
            terminalreporter.write_line(f"skipped for a reason that is not on the list: {skip}", red=True)


def session_ran(terminalreporter: pytest.TerminalReporter) -> int:
    """Tests that passed or failed."""
    return sum(len(terminalreporter.stats.get(outcome, [])) for outcome in ("passed", "failed"))


def pytest_report_header() -> str:
    return f"sizes: {'full' if SOAK else 'sample'}, BLOBSTORE_SEED={SEED}"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of shared data; skips where there is none."""
    if not SHARED.is_dir():
        pytest.skip("shared data not present")
    return SHARED


@pytest.fixture(scope="session")
def sized() -> Callable[[T, T], T]:
    """Chooses between the size of a sample and the full size."""
    return lambda sample, full: full if SOAK else sample


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random choices of this test alone, repeated by the printed seed."""
    print(f"BLOBSTORE_SEED={SEED}")
    return random.Random(f"{SEED}/{request.node.nodeid}")


@pytest.fixture
def disk(shared: Path, tmp_path: Path) -> Iterator[Disk]:
    """A disk whose power can be cut; skips where there is no tool for it."""
    tool = shared / "bin" / "powercut"
    if not tool.exists() or os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("powercut not present")
    disk = Disk(tool, tmp_path)
    yield disk
    disk.unmount()


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a process that forks others which start at once."""
    with forking(tmp_path_factory.mktemp("forks")) as listening:
        yield listening


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server that this session shares; a test that stops it makes a `Cluster` of its own."""
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def emptied(postgres: Cluster) -> Emptied:
    """Databases whose tables many tests share, one after another; what a test does to them ends with it."""
    return Emptied(postgres)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 store that this session shares; a test that stops it makes an `S3Server` of its own."""
    server = S3Server()
    yield server
    server.remove()


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[TcpProxy]:
    """Stands before the store of S3, and does to requests what a test wants."""
    with proxying(s3.url) as proxy:
        yield proxy
        proxy.go.set()


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    """An empty place for records in the topology that is its parameter, else in the usual one."""
    with stored_in(getattr(request, "param", Topology.SINGLE), request) as storage:
        yield storage


@pytest.fixture
async def database_url(postgres: Cluster) -> AsyncIterator[str]:
    """The URL of an empty database of this test alone."""
    name = await postgres.database()
    yield postgres.url(name)
    await postgres.drop(name)
