"""The numbers that PostgreSQL knows locks with names by."""

import hashlib


def advisory_key(name: str) -> int:
    """The number of a lock with a name: 64 bits, so that two names do not meet by chance."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
