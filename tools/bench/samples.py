"""Files that cannot be compressed, and are like no other."""

import hashlib
from pathlib import Path

MIB = 1 << 20


def made(path: Path, size: int, seed: bytes) -> Path:
    """Bytes that no other seed shares."""
    block = bytearray(hashlib.shake_256(seed).digest(MIB))
    with path.open("wb") as file:
        for index in range(0, size, MIB):
            block[:16] = index.to_bytes(16, "big")
            file.write(block[: size - index])
    return path


def digest_of(path: Path) -> str:
    """Its SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
