"""Whether this machine's clock agrees with the database's, by which those of other machines are compared, too.

Leases, pins, and times until which something is kept are written by one machine and judged by another. With a clock
that is far ahead one would take the uploads of others for dead, and call bytes gone that may still come.
"""

import time

from blobstore.errors import StorageUnavailable
from blobstore.postgres.admission import Session

APART = 30.0
"""Seconds by which they may differ: half of the shortest time that rests on them (`blobstore.backend.LATE_SECONDS`)."""


async def require_agreeing(db: Session) -> None:
    """Raise `StorageUnavailable` where the clocks are further apart."""
    begun = time.time()
    [[told]] = await db.fetch("SELECT extract(epoch FROM clock_timestamp())::float8")
    ahead, behind = begun - told, told - time.time()
    if max(ahead, behind) > APART:
        off = f"{ahead:,.0f} s ahead of" if ahead > behind else f"{behind:,.0f} s behind"
        raise StorageUnavailable(f"the clock of this machine is {off} the database's: set both, by NTP for one")
