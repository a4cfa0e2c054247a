"""Grants that were made here."""

from dataclasses import dataclass
from typing import Protocol

from records.central.access import Owner, Token


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant that was made here. `document` is its JSON text as it is shown; it never changes."""

    id: str
    owner: Owner
    client: str
    connector: str
    document: bytes
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class Grants(Protocol):
    """Grants of all owners."""

    async def add_grant(self, grant: StoredGrant, token: Token, event: bytes) -> None:
        """A grant and its client's token in one step. Raises `Conflict` as `add_token`, and when the grant is there."""
        ...

    async def grant(self, grant: str) -> StoredGrant | None:
        """One grant of any owner, also an expired or revoked one."""
        ...

    async def grants(self, owner: str) -> list[StoredGrant]:
        """The owner's grants, oldest first; of the same age in the order in which they were added."""
        ...

    async def latest_grants(self, owner: str, after: str | None, limit: int) -> list[StoredGrant]:
        """The same the other way round: newest first, beyond the one with the id `after`; nothing beyond an unknown."""
        ...

    async def revoke_grant(self, owner: str, grant: str, now: str, event: bytes) -> bool:
        """False when the owner has no such grant; revoking again changes nothing and is true. Its sync state goes."""
        ...
