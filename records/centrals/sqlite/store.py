"""The central store over one SQLite file."""

from pathlib import Path
from typing import Self


class SqliteCentral:
    """See `records.central.Central`."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open `DIR/central.db`, made and migrated if need be; any number of processes may do so at once."""
        raise NotImplementedError
