"""What the staging folder of one resumable upload says of it. Everything blocks.

Its bytes are a file, and how many there are tells how far it has come: what was acknowledged was made durable before.
Those of a part whose checksum was not seen to hold are not relied on: a note says where it begins.
"""

import os
from contextlib import suppress
from typing import TypeVar

import msgspec

from blobstore.digest import Content, Digest, derive
from blobstore.durable import sync_folder
from blobstore.errors import translated
from blobstore.staging import ABOUT, DONE, ENDING, UNCHECKED, WRITING, Staging

T = TypeVar("T")


class About(msgspec.Struct, frozen=True):
    """What is known of an upload from its beginning. `metadata` is its sender's, and opaque.

    `sha256` (hexadecimal) was declared. `partial`: it is to be a part of others, and never stored alone.
    """

    length: int
    media_type: str
    metadata: str = ""
    sha256: str | None = None
    partial: bool = False


class Done(msgspec.Struct, frozen=True):
    """What became of an upload whose bytes are all there. `place` stands for the slot that it was claimed for.

    `parts` are the ids of those that were put together, `whole` the id of what this one is a part of.
    """

    namespace: str
    digest: Digest
    sha256: str
    length: int
    place: str
    parts: tuple[str, ...] = ()
    whole: str | None = None

    @property
    def content(self) -> Content:
        """Its digests and its length."""
        return Content(self.digest, bytes.fromhex(self.sha256), self.length)


def place(id: str, holder: str, slot: str) -> str:
    """What stands for a slot where no content may be."""
    return derive("blobstore resumable upload slot v1", msgspec.json.encode([id, holder, slot]), 16).hex()


class Folder:
    """The folder of one upload. Only who holds its lock may change what is in it."""

    def __init__(self, staging: Staging, process: str, id: str) -> None:
        self.path = staging.path(process, id)
        """Of its bytes."""

    def begin(self, about: About) -> None:
        """Nothing has come yet. The folder is kept from here on."""
        with translated("staging"):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._note(ABOUT, msgspec.json.encode(about))

    def about(self) -> About | None:
        """None where nothing is known of it: it is over, or was never begun."""
        return self._read(ABOUT, About)

    def offset(self) -> int | None:
        """How many bytes have come, which are durable then; None where there are none any more."""
        with translated("staging", FileNotFoundError), suppress(FileNotFoundError):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(descriptor).st_size
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            unchecked = self._read(UNCHECKED, int)
            return size if unchecked is None else min(size, unchecked)
        return None

    def distrust(self, offset: int) -> None:
        """What comes from here on is not relied on before it is found good."""
        with translated("staging"):
            self._note(UNCHECKED, str(offset).encode())

    def trust(self) -> None:
        """What there is, and is durable, is good."""
        with translated("staging", FileNotFoundError), suppress(FileNotFoundError):
            self.path.with_suffix(UNCHECKED).unlink()
            sync_folder(self.path.parent)

    def ending(self, done: Done) -> None:
        """Its bytes are about to be stored as this says."""
        with translated("staging"):
            self._note(ENDING, msgspec.json.encode(done))

    def ended(self) -> None:
        """They are. Nothing else is left of it."""
        with translated("staging"):
            self.path.with_suffix(ENDING).rename(self.path.with_suffix(DONE))
            for suffix in ("", ABOUT, UNCHECKED, WRITING):
                self.path.with_suffix(suffix).unlink(missing_ok=True)
            sync_folder(self.path.parent)

    def done(self) -> tuple[Done, bool] | None:
        """What became of it, and whether that is known to have come to pass."""
        for suffix in (DONE, ENDING):
            if (found := self._read(suffix, Done)) is not None:
                return found, suffix == DONE
        return None

    def clear(self) -> None:
        """Remove all that is in it but its lock."""
        with translated("staging"):
            for suffix in ("", UNCHECKED, WRITING, ABOUT, ENDING, DONE):
                self.path.with_suffix(suffix).unlink(missing_ok=True)

    def _note(self, suffix: str, data: bytes) -> None:
        """Write a note, durably. Until it is whole there is the former one, or none: nothing was said yet."""
        beside = self.path.with_suffix(WRITING)  # one is enough: who writes has the lock
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.rename(self.path.with_suffix(suffix))
        sync_folder(self.path.parent)

    def _read(self, suffix: str, form: type[T]) -> T | None:
        with translated("staging", FileNotFoundError), suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode(self.path.with_suffix(suffix).read_bytes(), type=form)
        return None
