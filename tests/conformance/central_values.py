"""Values for the tests of central stores."""

from dataclasses import replace

from records.central import Central, ErasureJob, Instance, Owner, StoredGrant, Token

EVENT = b"{}"
T1 = "2026-11-01T10:00:00.000000Z"
T2 = "2026-11-02T10:00:00.000000Z"
T3 = "2026-11-03T10:00:00.000000Z"
NOBODY = "o0000000000000000"


def token_of(owner: Owner, number: int, created_at: str = T1) -> Token:
    return Token(bytes([number]) * 32, "owner", owner, created_at, None, None, f"token {number}")


def job_of(owner: Owner, id: str, connector: str | None = None, instance: str | None = None) -> ErasureJob:
    return ErasureJob(id, owner.id, b'{"what":"it"}', "running", T2, None, None, connector, instance)


async def registered(central: Central, subject: str = "ann", *connectors: str) -> Owner:
    owner = await central.ensure_owner(subject, T1)
    for connector in connectors or ("slack",):
        await central.register(owner.id, connector, b"{}", T1, EVENT)
    return owner


async def added(central: Central, owner: Owner, id: str, connector: str = "slack") -> Instance:
    return await central.add_instance(owner.id, Instance(id, connector, False, T1, None))


def grant_of(owner: Owner, id: str, connector: str = "slack", created_at: str = T1) -> StoredGrant:
    return StoredGrant(id, owner, "client", connector, b'{ "to":\t"the letter" }', created_at, T3, None)


def token_for(grant: StoredGrant, number: int) -> Token:
    return replace(token_of(grant.owner, number, grant.created_at), kind="client", grant=grant.id)


async def granted(central: Central, owner: Owner, id: str, number: int, connector: str = "slack") -> StoredGrant:
    grant = grant_of(owner, id, connector)
    await central.add_grant(grant, token_for(grant, number), EVENT)
    return grant
