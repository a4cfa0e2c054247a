"""A directory or a zip as one thing: a tree of regular files that is only ever read, and never extracted."""

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from tools.slack.source import Located, SourceError

_UTF8_NAME = 0x800
"""Bit 11 of a zip member's flags: its name is UTF-8. Slack writes UTF-8 names without it."""


class Tree(Protocol):
    """Regular files under one root. `Located.where` is a path below that root, parts joined by `/`."""

    def members(self, under: str = "") -> Iterator[Located]:
        """Every regular file below the folder `under`, in the order of paths; links and special files are none."""
        ...

    def open(self, where: str) -> io.BufferedReader:
        """The bytes from their start. Raises `OSError`, also while reading, when they cannot be read."""
        ...

    def close(self) -> None:
        """Harmless when called twice."""
        ...


class DirectoryTree:
    """A directory. Symbolic links are neither listed nor followed, except where `under` itself is one."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def members(self, under: str = "") -> Iterator[Located]:
        """As the port says."""
        folder = self._root / under
        if folder.is_dir():
            prefix = f"{under}/" if under else ""
            yield from sorted(_walk(str(folder), prefix), key=lambda located: located.where)

    def member(self, where: str) -> Located:
        """One of the members. Raises `OSError`."""
        return _located(where, (self._root / where).stat(follow_symlinks=False))

    def open(self, where: str) -> io.BufferedReader:
        """As the port says."""
        descriptor = os.open(self._root / where, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            # Non-blocking until here, so that a pipe planted since the listing cannot hang us.
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(f"{where} is no regular file")
        except OSError:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")

    def close(self) -> None:
        """Nothing is held open."""


def _walk(directory: str, prefix: str) -> Iterator[Located]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                yield _located(f"{prefix}{entry.name}", entry.stat(follow_symlinks=False))


def _located(where: str, status: os.stat_result) -> Located:
    return Located(where, status.st_size, f"{status.st_mtime_ns}-{status.st_size}")


class ZipTree:
    """A zip, streamed member by member; of two members with one name the later counts, as for every unzip."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
            self._infos = {_name(info): info for info in self._zip.infolist() if not info.is_dir()}
        except Exception as error:  # whatever the zip library stumbles over
            raise SourceError(f"{path} is no readable zip ({error}); download it again") from error

    def members(self, under: str = "") -> Iterator[Located]:
        """As the port says."""
        for name, info in sorted(self._infos.items()):
            if not under or name.startswith(f"{under}/"):
                yield Located(name, info.file_size, f"{info.CRC:08x}-{info.file_size}")

    def open(self, where: str) -> io.BufferedReader:
        """As the port says."""
        if (info := self._infos.get(where)) is None:
            raise FileNotFoundError(f"{where} is not in the zip")
        try:
            return io.BufferedReader(_Member(self._zip.open(info)))
        except OSError:
            raise
        except Exception as error:  # as above
            raise OSError(f"{where} cannot be read from the zip: {error}") from error

    def close(self) -> None:
        """As the port says."""
        self._zip.close()


def _name(info: zipfile.ZipInfo) -> str:
    """The member's name, whether or not its writer set the UTF-8 flag."""
    if info.flag_bits & _UTF8_NAME:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


class _Member(io.RawIOBase):
    """One zip member, with what the zip library raises turned into `OSError`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # narrower than Buffer
        try:
            piece = self._stream.read(len(buffer))
        except OSError:
            raise
        except Exception as error:  # each compression has errors of its own
            raise OSError(f"the zip member is damaged: {error}") from error
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()


@dataclass(frozen=True, slots=True)
class Rooted:
    """A tree seen from one of its folders: exports are often zipped together with the folder that held them."""

    tree: Tree
    prefix: str
    """Empty, or a path that ends with `/`."""

    def members(self, under: str = "") -> Iterator[Located]:
        """As the port says, without what lies outside the folder."""
        for located in self.tree.members(self.prefix + under if under else self.prefix.removesuffix("/")):
            yield Located(located.where.removeprefix(self.prefix), located.size, located.stamp)

    def open(self, where: str) -> io.BufferedReader:
        """As the port says."""
        return self.tree.open(self.prefix + where)

    def close(self) -> None:
        """As the port says."""
        self.tree.close()


def rooted(tree: Tree, landmarks: frozenset[str]) -> Tree:
    """`tree` seen from the shallowest folder that holds one of `landmarks`; `tree` itself where none does."""
    found = [
        folders
        for *folders, name in (member.where.split("/") for member in tree.members())
        if name in landmarks and not {"__uploads", "attachments", "__MACOSX"} & set(folders)
    ]
    top = min(found, key=lambda folders: (len(folders), folders), default=[])
    return Rooted(tree, "/".join(top) + "/") if top else tree
