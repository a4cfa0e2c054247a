"""The library that lets calls to the operating system fail, and processes that have it loaded."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.faults import compiled
from tests.fakes.warm import forking


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled anew; skips where nothing can compile it."""
    library = compiled(tmp_path_factory.mktemp("faults"))
    if library is None:
        pytest.skip("no C compiler")
    return library


@pytest.fixture(scope="session")
def faulty(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """As `forks`, with the library in each process."""
    with forking(tmp_path_factory.mktemp("faulty"), library) as listening:
        yield listening
