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
        """The pass of this erasure of the owner, which may be begun later: text that fits into an address."""
        return seal(self._key, _BINDING, (owner.id, erasure))

    def opened(self, owner: Owner, given: str) -> str:
        """The id of the owner's erasure whose pass that is, whether it was begun or not. Raises `Unknown`."""
        id, erasure = self._opened(given)
        if id != owner.id:
            raise Unknown("no such erasure")
        return erasure

    async def is_begun(self, given: str) -> bool:
        """Whether there is an erasure whose pass that is."""
        try:
            await self.find(given)
        except Unknown:
            return False
        return True

    async def find(self, given: str) -> Erasure:
        """How the erasure stands whose pass that is, with its receipt once it is done. Raises `Unknown`."""
        id, erasure = self._opened(given)
        for owner in await self._central.owners():
            if owner.id == id:
                return await self._erasures.find(owner, erasure)
        raise Unknown("no such erasure")

    def _opened(self, given: str) -> tuple[str, str]:
        try:
            return unseal(self._key, _BINDING, given, tuple[str, str])
        except InvalidCursor:
            raise Unknown("no such erasure: the address is not whole, or not of this server") from None
