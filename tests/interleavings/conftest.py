"""The data directory that every run begins with."""

from collections.abc import Iterator

import pytest

from tests.interleavings.machine import Directory


@pytest.fixture(scope="session")
def template() -> Iterator[Directory]:
    directory = Directory()
    yield directory
    directory.close()
