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
def stored(template: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """A copy of it, which nobody else uses: nothing needs to be waited for."""
    monkeypatch.setattr("blobstore.findings.PAUSE", 0.0)
    monkeypatch.setattr("records.checks.central.DRAIN_WAIT", 0.0)
    shutil.copytree(template.data, tmp_path / "data")
    return Stored(tmp_path / "data", template.ann)
