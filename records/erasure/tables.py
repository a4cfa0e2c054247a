"""Tables that are searched for traces of an erasure: those of the database, where the store has one at this moment.

A store of files gets one when an owner moves there, and servers that are open go on.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from blobstore.tracing import Found
from records.centre import Centre
from records.erasure.residue import SILENT

if TYPE_CHECKING:
    from blobstore.postgres.tracing import Tables

SCHEMAS = ("central", "catalogue", "records")
"""Those of the topology `postgres`."""


class TablesOfCentre:
    """Adapter of `records.erasure.residue.Tables`."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre

    async def search(self, samples: Sequence[bytes], owner: str | None) -> Found:
        tables = self._tables()
        return Found(0, 0, [], [], []) if tables is None else await tables.search(samples, owner)

    async def living(self, samples: Sequence[bytes]) -> set[int]:
        tables = self._tables()
        return set() if tables is None else await tables.living(samples)

    def _tables(self) -> "Tables | None":
        # Who erases what is in the database has opened it for that.
        if self._centre.opened is None:
            return None
        from blobstore.postgres.tracing import Tables

        return Tables(self._centre.opened, SCHEMAS, SILENT)
