"""Copies of records that are being made: no erasure is complete while one of them still holds what it took.

An export keeps text of records in files without names, which no search for traces can find. While it does, it has a
lock whose detail says of which connectors: by digests, for names of connectors go with their owner.
"""

from collections.abc import Collection
from secrets import token_hex

from blobstore.digest import derive
from records import jsontext
from records.locks import COPY, Held, Locks

_CONTEXT = "blobstore 2026-11 copied connector"


class Copies:
    """Knows what is being copied, in every process, on every machine, that has the store open."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks

    async def making(self, owner: str, connectors: Collection[str]) -> Held:
        """Records of these connectors are copied until this is released, and nothing of them is kept after it.

        Nor may it be once it is lost. Begin before looking whether an erasure is under way: either it is seen then, or
        it sees this.
        """
        detail = jsontext.encode(sorted(_stands_for(connector) for connector in connectors))
        while True:
            # None: who looks for what dead processes left was quicker to lock the new file.
            if (held := await self._locks.take(f"{COPY}{owner}_{token_hex(8)}", detail)) is not None:
                return held

    async def are_made(self, owner: str, connector: str | None) -> bool:
        """Whether somebody holds a copy of what this connector (None: any of the owner's) brought."""
        found = await self._locks.held(f"{COPY}{owner}_")
        return any(connector is None or _covers(detail, connector) for detail in found.values())


def _covers(detail: bytes, connector: str) -> bool:
    """Whether it may be about the connector: one that does not say yet is about all."""
    try:
        return _stands_for(connector) in jsontext.decode(detail)
    except ValueError:
        return True


def _stands_for(connector: str) -> str:
    return derive(_CONTEXT, connector.encode(), 16).hex()
