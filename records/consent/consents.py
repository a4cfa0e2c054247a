"""Consents: the grants that owners give to clients here, and take back."""

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any

from records import jsontext, times
from records.audit import spine
from records.central import Central, Owner, StoredGrant, Token
from records.consent import grant_request, grants, tokens
from records.consent.grant_request import Frame, GrantRequest
from records.consent.scope import Scope
from records.errors import Unknown
from records.keyring import Keyring
from records.registry import Registration, Registry


class Consents:
    """Gives, lists and revokes grants. Every step is on the spine, without content."""

    def __init__(
        self, central: Central, registry: Registry, keyring: Keyring, clock: Callable[[], str] = times.now
    ) -> None:
        self._central = central
        self._registry = registry
        self._keyring = keyring
        self._clock = clock

    async def create(self, owner: Owner, request: GrantRequest) -> tuple[StoredGrant, str]:
        """A grant and its client's token, which is shown here and nowhere else.

        Where the connector has no instance yet, its default one is made. Raises `Invalid` that names the parameter,
        `Unknown` for a connector that is not there.
        """
        registration = await self._registry.connector(Scope.of_owner(owner), request.connector_id)
        id, now = "grant_" + secrets.token_hex(12), self._clock()
        document = await self._document(owner, registration, request, id, now)
        made = StoredGrant(
            id=id,
            owner=owner,
            client=request.client_id,
            connector=registration.key,
            document=jsontext.encode(document),
            created_at=now,
            expires_at=document.get("expires_at"),
            revoked_at=None,
        )
        text = tokens.make()
        # It ends with its grant: an end of its own would hide why it ended.
        token = Token(tokens.digest(text), "client", owner, now, None, None, grant=made.id)
        await self._central.add_grant(made, token, spine.body("grant.create", self._facts(made, document)))
        return made, text

    async def listed(self, owner: Owner) -> list[StoredGrant]:
        """The owner's grants, oldest first, also those that have ended."""
        return await self._central.grants(owner.id)

    async def latest(self, owner: Owner, after: str | None, limit: int) -> list[StoredGrant]:
        """So many of them, newest first, beyond the one with the id `after`."""
        return await self._central.latest_grants(owner.id, after, limit)

    async def get(self, owner: Owner, grant: str) -> StoredGrant:
        """One of the owner's grants. Raises `Unknown`."""
        found = await self._central.grant(grant)
        if found is None or found.owner.id != owner.id:
            raise Unknown("no such grant")
        return found

    async def revoke(self, owner: Owner, grant: str) -> StoredGrant:
        """Take a grant back, at once and for good; again changes nothing. Raises `Unknown`."""
        found = await self.get(owner, grant)
        facts = {"grant": found.id, "client": found.client, "connector": found.connector}
        await self._central.revoke_grant(owner.id, grant, self._clock(), spine.body("grant.revoke", facts))
        return await self.get(owner, grant)

    def status(self, grant: StoredGrant) -> str:
        """`active`, `expired` or `revoked`."""
        return grants.status(grant, self._clock())

    async def _document(
        self, owner: Owner, registration: Registration, request: GrantRequest, id: str, now: str
    ) -> dict[str, Any]:
        def with_(instances: Collection[str]) -> dict[str, Any]:
            return grant_request.document(request, Frame(id, owner.subject, now, registration.manifest, instances))

        living = [each.id for each in await self._central.instances(owner.id, registration.key)]
        if living:
            return with_(living)
        with_([id])  # what cannot be granted is refused before an instance is made for it
        return with_([(await self._registry.default(owner, registration.key)).id])

    def _facts(self, grant: StoredGrant, document: Mapping[str, Any]) -> dict[str, object]:
        return {
            "grant": grant.id,
            "client": grant.client,
            "connector": grant.connector,
            "purpose_code": document["purpose_code"],
            "access_mode": document["access_mode"],
            "expires_at": grant.expires_at,
            "streams": [self._stream_facts(grant.owner, stream) for stream in document["streams"]],
        }

    def _stream_facts(self, owner: Owner, stream: Mapping[str, Any]) -> dict[str, object]:
        """The stream as it was granted; keys of records are content, their digests are not."""
        if "resources" not in stream:
            return dict(stream)
        return {**stream, "resources": [self._keyring.key_digest(owner.id, key) for key in stream["resources"]]}
