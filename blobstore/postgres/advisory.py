"""PostgreSQL's locks that are no row's: numbers that stand for names."""

import hashlib
from typing import NamedTuple


class Advisory(NamedTuple):
    """A lock that a transaction has until it is over, alone or with others who share it."""

    number: int
    shared: bool = False

    @property
    def function(self) -> str:
        """What takes it, in SQL."""
        return "pg_advisory_xact_lock_shared" if self.shared else "pg_advisory_xact_lock"


def advisory_key(name: str) -> int:
    """The number of a lock with a name: 64 bits, so that two names do not meet by chance."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
