"""The server's one secret and the keys that are derived from it.

Losing the secret ends cursors and change tokens; digests of keys on the spine then match no key any more, and what is
signed from then on is signed with another key.
"""

import os
import secrets
from pathlib import Path
from typing import Self

from blobstore.digest import derive
from blobstore.durable import make_folders, sync_folder
from blobstore.errors import StorageUnavailable
from blobstore.locked import file_lock
from records.history import Recorder
from records.layout import SECRET
from records.signing import Signer

SIZE = 32
"""Bytes of the secret and of every derived key."""

_CONTEXT = "blobstore 2026-11 derived key: "


class Keyring:
    """Keys derived from one secret of 32 bytes; each for one purpose and one owner."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SIZE:
            raise ValueError(f"a secret has {SIZE} bytes")
        self._secret = secret

    @classmethod
    def open(cls, folder: Path, file: Path | None = None) -> Self:
        """The keyring of a data directory; its file `secret` (0600) is made on first use, once and durably.

        `file` is one that has the secret in its place, is only read, and must be there. Blocks on the disk. Any number
        of processes may call at once; all get the same secret. Raises `StorageUnavailable` when the file cannot be
        read or made, or is not a secret.
        """
        path = file or folder / SECRET
        try:
            if file is None:
                make_folders(folder)
                with file_lock(folder / f"{SECRET}.lock"):
                    if not path.exists():
                        _create(path, secrets.token_bytes(SIZE))
            with path.open("rb") as opened:
                secret = opened.read(SIZE + 1)  # not all of whatever was named by mistake
        except OSError as error:
            raise StorageUnavailable(f"{file or path.name}: {error.strerror}") from error
        if len(secret) != SIZE:
            # Never replaced by itself: every cursor and every digest of a key depends on it.
            raise StorageUnavailable(f"{file or path.name} does not hold {SIZE} bytes; restore it from a backup")
        return cls(secret)

    def save(self, folder: Path) -> None:
        """Write the secret into a folder that has none, as a data directory has it. Blocks. Raises `OSError`."""
        _create(folder / SECRET, self._secret)

    def cursor_key(self, owner: str) -> bytes:
        """32 bytes that seal the owner's cursors and change tokens."""
        return self.derived("cursor", owner)

    def key_digest(self, owner: str, key: str) -> str:
        """What stands for a record's key where the key itself would be content: 32 hexadecimal digits.

        `key` is any text that the caller makes unambiguous (say, partition and key as a JSON array).
        """
        return derive(_CONTEXT + "digest of a key", self.derived("key digest", owner) + key.encode(), 16).hex()

    def owner_digest(self, owner: str, subject: str) -> str:
        """What stands for an owner where the subject's name may have to be forgotten: 32 hexadecimal digits.

        It covers the internal id and the name: an id that was given another name has another digest.
        """
        return derive(_CONTEXT + "digest of an owner", self.derived("owner digest", owner) + subject.encode(), 16).hex()

    def recorder(self, owner: str, consent_field: str | None) -> Recorder:
        """What makes a record's past comparable, for the owner's records of one stream."""
        return Recorder(self.derived("history", owner), consent_field)

    def signer(self) -> Signer:
        """Signs what the server gives away: receipts, checkpoints."""
        return Signer(self.derived("signing", ""))

    def mark(self) -> str:
        """What tells this secret from another and says nothing of it: 64 hexadecimal digits."""
        return self.derived("mark", "").hex()

    def derived(self, purpose: str, owner: str) -> bytes:
        """32 bytes for another purpose; equal only for equal arguments. `purpose` is a constant of the program."""
        return derive(_CONTEXT + purpose, self._secret + owner.encode())


def _create(path: Path, secret: bytes) -> None:
    """All of it or nothing, readable by nobody else at any moment. The caller holds the lock."""
    beside = path.with_name(".secret.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, secret)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.rename(path)
    sync_folder(path.parent)
