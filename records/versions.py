"""Schema versions of all database files of a data directory: shown, and brought to the latest by a sweep.

Opening a file takes the steps that it cannot do without (`blobstore.sqlite.versions`); the sweep takes those that are
left, one file after the other, by one process at a time, while all use the files. How far it came need not be
remembered, for a file that has the latest version costs a look; that it came to the end is (`swept`), so a start
costs nothing, however many files there are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Migrations

from blobstore.catalogues.sqlite.schema import MIGRATIONS as CATALOGUE
from blobstore.errors import translated
from blobstore.locked import try_file_lock
from blobstore.sqlite.outside import Standing, State, finish, look
from records.centrals.sqlite.schema import MIGRATIONS as CENTRAL
from records.engines.sqlite.schema import MIGRATIONS as RECORDS
from records.layout import DATABASES, SWEPT, record_files

KINDS: Mapping[str, Migrations] = {"central": CENTRAL, "catalogue": CATALOGUE, "records": RECORDS}


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A database file, by its path in the directory, or a schema of the database: its kind, what version it has."""

    file: str
    kind: str
    standing: Standing


def versions(directory: Path) -> Iterator[FileVersion]:
    """Every file as it is; opens nothing for writing. For a process that has none of them open (`outside.look`)."""
    for file, kind in _files(directory):
        yield FileVersion(file, kind, look(directory / file, KINDS[kind]))


def migrate(directory: Path) -> Iterator[FileVersion]:
    """Bring every file to the latest version, also while servers run; each as it is afterwards."""
    for file, kind in _files(directory):
        if (standing := finish(directory / file, KINDS[kind])) is not None:
            yield FileVersion(file, kind, standing)


class Sweep:
    """The sweep of one process. Every method blocks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._left: Iterator[tuple[str, str]] | None = None
        self._whole = True

    def step(self) -> bool:
        """Bring one more file to the latest version; False where nothing is left, or another process sweeps."""
        with translated(SWEPT):
            if self._is_over():
                return False
            with try_file_lock(self._directory / f"{SWEPT}.lock") as mine:
                return mine and self._step()

    def _step(self) -> bool:
        if self._left is None:
            self._left, self._whole = _files(self._directory), True
        for file, kind in self._left:
            standing = finish(self._directory / file, KINDS[kind])
            self._whole &= standing is None or standing.state is State.CURRENT
            return True
        self._left = None
        if self._whole:
            (self._directory / SWEPT).write_text(_present())  # half of it, or none, means another sweep
        return False

    def _is_over(self) -> bool:
        swept = self._directory / SWEPT
        return swept.exists() and swept.read_text() == _present()


def _present() -> str:
    return "".join(f"{kind} {len(migrations._migrations)}\n" for kind, migrations in KINDS.items())


def _files(directory: Path) -> Iterator[tuple[str, str]]:
    """Files and their kinds, the central ones first."""
    for name in DATABASES:
        if (directory / name).exists():
            yield name, Path(name).stem
    for path in record_files(directory):
        yield str(path.relative_to(directory)), "records"
