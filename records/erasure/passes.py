"""Passes: how who has erased all of an owner comes back for the receipt, when no token of theirs is left."""

from records.central import Central, Owner
from records.erasure.erasures import Erasures
from records.erasure.report import Erasure
from records.errors import InvalidCursor, Unknown
from records.keyring import Keyring
from records.reading.cursor import Binding, seal, unseal

_BINDING = Binding("erasure pass", "", "", "", "")


class Passes:
    """Whoever has the pass of an erasure may ask how that one stands, and for nothing else.

    It is good for as long as the erasure is remembered, and says nothing to who only reads it.
    """

    def __init__(self, keyring: Keyring, central: Central, erasures: Erasures) -> None:
        self._key = keyring.derived("erasure pass", "")
        self._central = central
        self._erasures = erasures

    def of(self, owner: Owner, erasure: str) -> str:
        """The pass of this erasure of the owner: text that fits into an address."""
        return seal(self._key, _BINDING, (owner.id, erasure))

    async def find(self, given: str) -> Erasure:
        """How the erasure stands whose pass that is, with its receipt once it is done. Raises `Unknown`."""
        try:
            id, erasure = unseal(self._key, _BINDING, given, tuple[str, str])
        except InvalidCursor:
            raise Unknown("no such erasure: the address is not whole, or not of this server") from None
        for owner in await self._central.owners():
            if owner.id == id:
                return await self._erasures.find(owner, erasure)
        raise Unknown("no such erasure")
