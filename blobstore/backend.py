"""The port to where bytes live: whole immutable objects under names that are never used twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from blobstore.digest import Digest
from blobstore.notes import Notes

LATE_SECONDS = 60.0
"""After so long a medium carries nothing out any more of what it was asked by one who is gone, or had no answer."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """One physical copy of a blob: a namespace, a digest and the generation (32 lower-case hex, random, never reused).

    All three are internal ids or parsed digests, so a backend may build a path or a key from them. `place` says where
    the copy is (`blobstore.place`): it is no part of what it is called.
    """

    namespace: str
    digest: Digest
    generation: str
    place: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ForeignObject:
    """Something in the backend's space that no name of ours explains; reported, never touched."""

    where: str
    size: int


class Reader(Protocol):
    """An open object. Reads at any offset, from any thread; survives the object's removal where the medium allows."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; fewer only at the end of the object. Raises `StorageUnavailable`."""
        ...

    def fileno(self) -> int | None:
        """A descriptor fit for sendfile, or None where there is none."""
        ...

    def path(self) -> str | None:
        """Where another program finds these bytes as a file: below the folder of all blobs, steps parted by `/`.

        Made of the object's name alone. None where they are in no file of their own.
        """
        ...

    def link(self, seconds: int, media_type: str, disposition: str) -> str | None:
        """An address at which whoever has it gets these bytes for so long, whole or in ranges, without further rights.

        They come with this `Content-Type` and `Content-Disposition`, and for no cache. None where the medium gives
        nothing out by itself. Raises `StorageUnavailable`.
        """
        ...

    def close(self) -> None:
        """Harmless when called twice."""
        ...


class Backend(Protocol):
    """A place for bytes. Every call blocks: the store runs them in its own threads. Any calls may run at once.

    Errors: `StorageUnavailable` when the medium does not answer, `OutOfSpace` when it is full.
    """

    @property
    def threads(self) -> int:
        """Calls that are worth making at once."""
        ...

    @property
    def lacks(self) -> Sequence[str]:
        """What a medium of this kind may do and this one does not, in words for the operator; empty where it does."""
        ...

    def bind(self, store_id: str) -> str:
        """The id of the store that these bytes belong to: the first who asks decides, and it is durable."""
        ...

    def bound(self) -> str | None:
        """The id that `bind` wrote, or None where nobody asked yet, or it is gone."""
        ...

    def is_empty(self) -> bool:
        """Whether there is no object at all; what is foreign may or may not count as one."""
        ...

    def publish(self, name: ObjectName, staged: Path) -> bool:
        """Put the staged file's bytes under `name`; when this returns they are durable under it.

        True: the medium was asked more than once, and may put them there again within `LATE_SECONDS`, also when they
        were removed meanwhile. After `StorageUnavailable` it may do so where `comes_late` says so.

        The staged file is complete and fsynced; it may be moved or left (the caller discards it afterwards). Raises
        `FileNotFoundError` when it is gone. After a failure the name holds all the bytes or nothing. A name that is
        there already is never replaced: names are fresh, so it is an error (`FileExistsError`).
        """
        ...

    def comes_late(self, name: ObjectName) -> bool:
        """Whether bytes may come under the name for `LATE_SECONDS` after who published them is gone.

        Not so where its staged file is gone as well.
        """
        ...

    def open(self, name: ObjectName) -> Reader:
        """Raises `BlobNotFound` when there is no such object."""
        ...

    def size(self, name: ObjectName) -> int | None:
        """Length in bytes, or None when there is no such object."""
        ...

    def remove(self, names: Sequence[ObjectName]) -> None:
        """Durably gone when this returns. Removing what is not there is no error."""
        ...

    def left(self, names: Sequence[ObjectName]) -> list[ObjectName]:
        """Those of which anything is there: the object, older versions of it, parts that were never put together.

        After `remove` none is: what the medium keeps beyond that (blocks of a disk, replicas) it shows to nobody.
        """
        ...

    def list(self) -> Iterator[tuple[ObjectName, int] | ForeignObject]:
        """Everything in the backend's space, with lengths, in no order; what comes or goes meanwhile may be missed."""
        ...

    def notes(self) -> Sequence[Notes | None]:
        """Small objects beside the bytes, which everybody sees who uses these: of the place that takes in what is new,
        then of others that are known. None stands for a place that other machines do not see."""
        ...

    def close(self) -> None:
        """Wait for what is under way, and let go of the medium; readers are closed before. Harmless when repeated."""
        ...
