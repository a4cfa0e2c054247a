"""Who may act: owners and their tokens, which are stored only as digests."""

from datetime import UTC, datetime, timedelta

from records import spine, times, tokens
from records.central import Central, Owner, Token
from records.errors import Invalid
from records.manifest import require_id


class Access:
    """Issues, resolves and revokes tokens."""

    def __init__(self, central: Central) -> None:
        self._central = central

    async def resolve(self, token: str) -> Token | None:
        """What a token stands for; None when it is unknown, expired or revoked."""
        found = await self._central.token(tokens.digest(token))
        if found is None or found.revoked_at is not None:
            return None
        if found.expires_at is not None and found.expires_at <= times.now():
            return None
        return found

    async def owner(self, subject: str) -> Owner:
        """The owner of that name, made on first use. Raises `Invalid` for what is no name."""
        if not subject.strip():
            raise Invalid("the name of an owner is blank", param="owner")
        return await self._central.ensure_owner(require_id(subject, "owner"), times.now())

    async def create_owner_token(self, subject: str, expires_in: timedelta | None) -> str:
        """A new token; it is shown here and nowhere else."""
        token = tokens.make()
        expires_at = None if expires_in is None else times.text(datetime.now(UTC) + expires_in)
        owner = await self.owner(subject)
        made = Token(tokens.digest(token), "owner", owner, times.now(), expires_at, revoked_at=None)
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
        await self._central.revoke_token(matching[0].digest, times.now(), event)
        return matching[0]
