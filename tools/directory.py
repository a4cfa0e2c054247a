"""What a data directory is made of, seen from outside: nothing here opens a database.

To open a store makes what it does not find, so what is missing must be seen before.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from pathlib import Path

import click

from blobstore.findings import Finding, Severity, Suspicion, certain
from blobstore.space import Floor, Space
from records.layout import (
    LOCKS,
    RECORDS,
    RESTORING,
    STAGING,
    Topology,
    is_ours,
    is_record_folder,
    owner_of,
    parts_of,
    record_files,
)


def is_store(data: Path) -> bool:
    """Whether anything of a data directory is there."""
    return any((data / part).exists() for part in parts_of(Topology.SINGLE))


def tell_if_new(data: Path) -> None:
    """Say on standard error that a data directory is going to be made: a name that was mistyped is noticed then."""
    if not is_store(data):
        click.echo(f"{data.absolute()} is no data directory yet: a new one is made", err=True)


def require_store(data: Path) -> None:
    """Raise `click.ClickException` where nothing of a data directory is there."""
    if not is_store(data):
        raise click.ClickException(f"{data} is no data directory: `blobstore serve --data DIR` makes one")


def require_whole(data: Path, parts: Sequence[str]) -> None:
    """Raise `click.ClickException` where parts of a data directory are missing, or it is being restored."""
    for missing in missing_parts(data, parts):
        raise click.ClickException(f"{data / missing.subject}: {missing.message}")


def missing_parts(data: Path, parts: Sequence[str]) -> list[Finding]:
    """Why nothing may be opened: it is being restored, or parts are gone, in whose place empty ones would be made."""
    if (data / RESTORING).exists():
        message = "the directory is being restored, or that was cut off; run `blobstore restore` again"
        return [Finding("restore_unfinished", Severity.ERROR, RESTORING, message)]
    message = "it is {}; restore it from a backup: nothing was opened, for that would make an empty one"
    lost = {part: "missing" for part in parts if not (data / part).exists()}
    lost |= {part: "empty" for part in parts if (data / part).is_file() and not (data / part).stat().st_size}
    return [Finding("missing_part", Severity.ERROR, part, message.format(how)) for part, how in lost.items()]


async def foreign_entries(data: Path, owners: Iterable[str]) -> AsyncIterator[Suspicion]:
    """What lies in the directory and is not ours. `blobs/` is looked at with the blobs."""
    ours = (data, data / LOCKS, *_record_folders(data))
    strangers = (path for folder in ours for path in _entries(folder) if not _is_ours(data, path))
    for path in (*strangers, *(path for path in _entries(data / STAGING) if not path.is_dir())):
        message = "not made by this program; it is never touched: remove it by hand if it is not needed"
        yield certain(Finding("foreign_file", Severity.NOTE, str(path.relative_to(data)), message))
    known = set(owners)
    for path in record_files(data):
        if owner_of(path.relative_to(data)) not in {None, *known}:
            message = "records of an owner that is not known here; nobody can read or erase them: restore central.db"
            yield certain(Finding("unknown_owner", Severity.ERROR, str(path.relative_to(data)), message))


async def permissions(data: Path) -> AsyncIterator[Suspicion]:
    """Personal data: nobody but the server's own user should look, and that user must be able to write."""
    if _is_open(data):
        yield partial(_judge_permissions, data)
    user = data.stat().st_uid
    for path in (*_entries(data), *(path for folder in _record_folders(data) for path in _entries(folder))):
        if _is_ours(data, path) and _fault(path, user) is not None:
            yield partial(_judge_access, data, path)


async def space(data: Path, floor: Floor) -> AsyncIterator[Suspicion]:
    """Is there room for what comes?"""

    async def judge() -> Finding | None:
        lacking = await asyncio.to_thread(Space(data, floor).lacking)
        message = f"{lacking}: uploads and records are refused until there is room; collect, or give the disk more"
        return None if lacking is None else Finding("low_space", Severity.ERROR, ".", message)

    yield judge


async def _judge_permissions(data: Path) -> Finding | None:
    async def close() -> None:
        data.chmod(0o700)

    if not _is_open(data):
        return None
    message = "other users of this machine may look into the data directory"
    return Finding("open_permissions", Severity.NOTE, ".", message, "close it to others (chmod 700)", close)


async def _judge_access(data: Path, path: Path) -> Finding | None:
    async def mend() -> None:
        status, user = path.stat(), data.stat()
        if status.st_uid != user.st_uid:
            os.chown(path, user.st_uid, user.st_gid)
        path.chmod(stat.S_IMODE(path.stat().st_mode) | _needed(path))

    fault = _fault(path, data.stat().st_uid)
    if fault is None:
        return None
    repair = "give it to the directory's user, and let that user read and write it"
    return Finding("no_access", Severity.ERROR, str(path.relative_to(data)), fault, repair, mend)


def _fault(path: Path, user: int) -> str | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return None
    if status.st_uid != user:
        return "it belongs to another user than the directory (was a command run as root?): the server cannot write it"
    if status.st_mode & _needed(path) != _needed(path):
        return "its own user may not read or write it"
    return None


def _needed(path: Path) -> int:
    return stat.S_IRWXU if path.is_dir() else stat.S_IRUSR | stat.S_IWUSR


def _is_open(data: Path) -> bool:
    return bool(data.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _record_folders(data: Path) -> list[Path]:
    """The folder of the records, and those of owners in it."""
    return [data / RECORDS, *(path for path in _entries(data / RECORDS) if _is_record_folder(data, path))]


def _is_ours(data: Path, path: Path) -> bool:
    return is_ours(path.relative_to(data)) or _is_record_folder(data, path)


def _is_record_folder(data: Path, path: Path) -> bool:
    return is_record_folder(path.relative_to(data)) and path.is_dir()


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
