"""The library that lets calls to the operating system fail."""

from pathlib import Path

import pytest

from tests.fakes.faults import compiled


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled anew; skips where nothing can compile it."""
    library = compiled(tmp_path_factory.mktemp("faults"))
    if library is None:
        pytest.skip("no C compiler")
    return library
