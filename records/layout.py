"""What a data directory is made of, by topology: names of its files, and what messages call the parts of a store.

Nothing here opens or reads a file.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from blobstore import mark
from blobstore.backends.where import FOLDER, IN_FILES, Where
from records.shards import MAIN


class Topology(StrEnum):
    """Where records, what is central, and the catalogue live. Private: no answer over HTTP tells which it is."""

    MEMORY = "memory"
    """Lost with the process; the blobs are files all the same. For tests."""
    SINGLE = "single"
    """One SQLite file per owner."""
    PER_CONNECTOR = "per-connector"
    """One SQLite file per owner and connector."""
    POSTGRES = "postgres"
    """One PostgreSQL database."""

    @property
    def is_files(self) -> bool:
        """Whether all of it is SQLite files in the directory."""
        return self in (Topology.SINGLE, Topology.PER_CONNECTOR)

    @property
    def shard(self) -> str:
        """The shard of connectors that have no home of their own."""
        return "postgres" if self is Topology.POSTGRES else MAIN

    @property
    def central(self) -> str:
        """What messages call the central store."""
        return CENTRAL if self.is_files else "schema central"

    @property
    def catalogue(self) -> str:
        """What messages call the catalogue."""
        return CATALOGUE if self.is_files else "schema catalogue"

    def records(self, owner: str, shard: str | None = None) -> str:
        """What messages call an owner's records, or one part of them."""
        if not self.is_files:
            return "schema records"
        return f"{owner}.db" if shard is None else f"{owner}/{shard}.db"


CENTRAL, CATALOGUE, STORE_ID, SECRET, BLOBS = "central.db", "catalogue.db", mark.NAME, "secret", FOLDER
DATABASES = (CENTRAL, CATALOGUE)
"""The databases of a store whose records are files, but for the records."""


def parts_of(topology: Topology, where: Where | None = IN_FILES, secret_file: Path | None = None) -> tuple[str, ...]:
    """What every directory has once it was served, in the order in which it is made.

    `where` is None where only the catalogue knows where bytes live; a `secret_file` is no part of the directory.
    """
    secret = () if secret_file is not None else (SECRET,)
    databases = DATABASES if topology.is_files else ()
    blobs = (BLOBS,) if where is not None and where.is_files else ()
    return (*secret, *databases, STORE_ID, *blobs)


CONFIGURATION = "blobstore.toml"
RECORDS, STAGING, LOCKS = "records", "staging", "locks"

SWEPT = "swept"
"""A file of this name says which schema versions all database files have."""

RESTORING = "restoring"
"""A file of this name says that the directory is being restored: nothing of it is served or collected before it is."""

_DATABASE = r"\.db(-wal|-shm|-journal|\.lock)?"
_ID = r"[a-z0-9]+"
_TOP = re.compile(
    rf"(central|catalogue){_DATABASE}|(store-id|secret|staging|swept)(\.lock)?|\.(store-id|secret|blobstore\.toml)\.new"
    r"|\.?host(\.new)?|blobs|records|locks|restoring|erasures\.ledger(\.lock)?|blobstore\.(toml|lock)"
)
_RECORDS = re.compile(rf"records/(?:({_ID})(/{_ID})?{_DATABASE}|\.{_ID}\.db\.new(-wal|-shm|-journal|\.lock)?)")
_LOCKS = re.compile(r"locks/(era|copy|move|pause|lead|host|ledger)_[0-9a-z_]+")
_LOGS = re.compile(r".*\.db-(wal|shm|journal)")
_CENTRAL = re.compile(r"(central|catalogue)\.db(-wal|-shm|-journal)?")
_SETTINGS = re.compile(
    r"locks/.*|records/(.*/)?[^/]*\.lock|[^/]*\.lock|blobstore\.toml|secret|store-id|host|swept|erasures\.ledger"
)


def record_file(directory: Path, owner: str) -> Path:
    """Where the records of an owner lie in the topology `single`."""
    return directory / RECORDS / f"{owner}.db"


def record_files(directory: Path, owner: str | None = None) -> Iterator[Path]:
    """All files of records that are there, or one owner's, in order."""
    name = owner or "*"
    yield from sorted((directory / RECORDS).glob(f"{name}.db"))
    yield from sorted((directory / RECORDS).glob(f"{name}/*.db"))


def owner_of(path: Path) -> str | None:
    """Whose records a file has, or is the log or the lock of; `path` is relative to the directory."""
    found = _RECORDS.fullmatch(path.as_posix())
    return None if found is None else found[1]


def is_ours(path: Path) -> bool:
    """Whether a file or folder has a name that a store gives; `path` is relative to the directory.

    Nothing is said of what is in `blobs` and `staging`, and of folders with an owner's records see below.
    """
    return any(each.fullmatch(path.as_posix()) for each in (_TOP, _RECORDS, _LOCKS))


def is_record_folder(path: Path) -> bool:
    """Whether a folder has a name that those with an owner's record files have; `path` is relative to the directory."""
    return re.fullmatch(rf"records/{_ID}", path.as_posix()) is not None


def storage_class(path: Path) -> str:
    """The class of storage that a file is, as receipts name it; `path` is relative to the directory."""
    name = path.as_posix()
    if path.parts[0] == STAGING:
        return "staging"
    if _CENTRAL.fullmatch(name) or (_RECORDS.fullmatch(name) and not name.endswith(".lock")):
        return "logs" if _LOGS.fullmatch(name) else "databases"
    return "settings" if _SETTINGS.fullmatch(name) else "other"
