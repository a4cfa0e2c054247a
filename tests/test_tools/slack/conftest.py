"""Fixtures of the tests of Slack sources."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.test_tools.slack.archives import Database
from tools.slack.layout import open_source
from tools.slack.source import Source

Open = Callable[[Path], Source]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens sources, and closes them when the test is over."""
    sources: list[Source] = []

    def open_(path: Path) -> Source:
        sources.append(open_source(path))
        return sources[-1]

    yield open_
    for source in sources:
        source.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty archive in `tmp_path / "archive"`."""
    database = Database(tmp_path / "archive")
    yield database
    database.connection.close()
