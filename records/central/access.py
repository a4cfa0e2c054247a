"""Owners, and the tokens of those who may act."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner: internal id and the name of the subject; once it is erased, what stands for the name."""

    id: str
    subject: str
    erased_at: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """What a token resolves to. `digest` names it; the token itself is never stored. Times as everywhere here.

    `grant` is the grant that a client's token stands for; None for an owner's.
    """

    digest: bytes
    kind: str
    owner: Owner
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    label: str | None = None
    grant: str | None = None


class Access(Protocol):
    """Owners and tokens."""

    async def ensure_owner(self, subject: str, now: str) -> Owner:
        """The owner of that name, made on first use; one and the same for everybody who asks at once.

        The name of one who was erased makes a new owner.
        """
        ...

    async def owners(self) -> list[Owner]:
        """All owners in the order of their subjects, erased ones under what stands for their names."""
        ...

    async def add_token(self, token: Token, event: bytes) -> None:
        """Durable when this returns. Raises `Conflict` when there is one with this digest, or the owner was erased."""
        ...

    async def token(self, digest: bytes) -> Token | None:
        """Also expired and revoked ones: the caller decides what that means."""
        ...

    async def tokens(self) -> list[Token]:
        """All tokens of all owners, oldest first; of the same age in the order in which they were added."""
        ...

    async def revoke_token(self, digest: bytes, now: str, event: bytes) -> bool:
        """False when there is no such token; revoking again changes nothing and is true."""
        ...
