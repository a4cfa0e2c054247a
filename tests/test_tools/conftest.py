"""What tests of commands start from: a data directory with some of everything in it."""

import shutil
from pathlib import Path

import pytest

from tests.fakes.data_directory import Stored, make


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Made once; nobody changes it."""
    return make(tmp_path_factory.mktemp("template") / "data")


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else is at work where `doctor` is asked: nothing needs to be waited for."""
    monkeypatch.setattr("blobstore.findings.PAUSE", 0.0)
    monkeypatch.setattr("records.checks.central.DRAIN_WAIT", 0.0)


@pytest.fixture
def stored(template: Stored, tmp_path: Path, at_rest: None) -> Stored:
    """A copy of it, which nobody else uses."""
    shutil.copytree(template.data, tmp_path / "data")
    return Stored(tmp_path / "data", template.ann)
