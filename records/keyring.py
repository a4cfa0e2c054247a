"""The server's one secret and the keys that are derived from it; losing it only ends cursors and change tokens."""

from pathlib import Path
from typing import Self


class Keyring:
    """Keys derived from one secret of 32 bytes; each for one purpose and one owner."""

    def __init__(self, secret: bytes) -> None:
        raise NotImplementedError

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The keyring of a data directory; its file `secret` (0600) is made on first use, once and durably.

        Blocks on the disk. Any number of processes may call at once; all get the same secret. Raises
        `StorageUnavailable` when the file is there but is not a secret.
        """
        raise NotImplementedError

    def cursor_key(self, owner: str) -> bytes:
        """32 bytes that seal the owner's cursors and change tokens."""
        raise NotImplementedError

    def key_digest(self, owner: str, key: str) -> str:
        """What stands for a record's key where the key itself would be content: 32 hexadecimal digits.

        `key` is any text that the caller makes unambiguous (say, partition and key as a JSON array).
        """
        raise NotImplementedError

    def derived(self, purpose: str, owner: str) -> bytes:
        """32 bytes for another purpose; equal only for equal arguments."""
        raise NotImplementedError
