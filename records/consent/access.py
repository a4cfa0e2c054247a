"""Who may act: owners, and clients by their grants. Tokens are stored only as digests."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from records import times
from records.audit import spine
from records.central import Central, Owner, StoredGrant, Token
from records.consent import grants, tokens
from records.consent.scope import Scope
from records.errors import Forbidden, Invalid
from records.manifest import require_id


class GrantEnded(Forbidden):
    """The token's grant was revoked or has expired; `scope` is what it gave."""

    def __init__(self, message: str, code: str, scope: Scope) -> None:
        super().__init__(message, code)
        self.scope = scope


@dataclass(frozen=True, slots=True)
class Standing:
    """A token that is good: what it may see, and the grant that a client has it by."""

    token: Token
    grant: StoredGrant | None
    scope: Scope


class Access:
    """Issues, resolves and revokes tokens."""

    def __init__(self, central: Central, clock: Callable[[], str] = times.now) -> None:
        self._central = central
        self._clock = clock

    async def resolve(self, token: str) -> Scope | None:
        """Who asks with this token; None when it is unknown, expired or revoked.

        Raises `Forbidden` (`grant_revoked`, `grant_expired`, `grant_invalid`) and `Invalid` (`unsupported_version`)
        for a client's whose grant is not in force.
        """
        standing = await self.standing(token)
        return None if standing is None else standing.scope

    async def standing(self, token: str) -> Standing | None:
        """The same, with what is stored of it."""
        found = await self._central.token(tokens.digest(token))
        if found is None or found.revoked_at is not None:
            return None
        if found.expires_at is not None and found.expires_at <= self._clock():
            return None
        if found.kind == "owner":
            return Standing(found, None, Scope.of_owner(found.owner))
        grant = None if found.grant is None else await self._central.grant(found.grant)
        if found.kind != "client" or grant is None:
            return None
        scope = Scope(grant.owner, grants.decode(grant.document))
        match grants.status(grant, self._clock()):
            case "revoked":
                raise GrantEnded("the grant was revoked", "grant_revoked", scope)
            case "expired":
                raise GrantEnded("the grant has expired", "grant_expired", scope)
        return Standing(found, grant, scope)

    async def owner(self, subject: str) -> Owner:
        """The owner of that name, made on first use. Raises `Invalid` for what is no name."""
        if not subject.strip():
            raise Invalid("the name of an owner is blank", param="owner")
        return await self._central.ensure_owner(require_id(subject, "owner"), self._clock())

    async def create_owner_token(self, subject: str, expires_in: timedelta | None) -> str:
        """A new token; it is shown here and nowhere else."""
        token = tokens.make()
        expires_at = None if expires_in is None else times.text(datetime.now(UTC) + expires_in)
        owner = await self.owner(subject)
        made = Token(tokens.digest(token), "owner", owner, self._clock(), expires_at, revoked_at=None)
        event = spine.body("token.create", {"token_kind": made.kind, "expires_at": expires_at})
        await self._central.add_token(made, event)
        return token

    async def tokens(self) -> list[Token]:
        """All tokens ever made, oldest first."""
        return await self._central.tokens()

    async def revoke(self, digest_prefix: str) -> Token | None:
        """Revoke the one token whose digest begins so (hexadecimal, as listed); None when none or several do."""
        matching = [token for token in await self.tokens() if token.digest.hex().startswith(digest_prefix)]
        if len(matching) != 1:
            return None
        event = spine.body("token.revoke", {"token_kind": matching[0].kind})
        await self._central.revoke_token(matching[0].digest, self._clock(), event)
        return matching[0]
