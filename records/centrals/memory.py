"""The central store in memory: the contract in its shortest form, lost with the process."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from records.audit import spine
from records.central import (
    About,
    Checkpoint,
    Connector,
    ErasureJob,
    Instance,
    Owner,
    Seen,
    SpineEvent,
    StoredGrant,
    Token,
)
from records.errors import Conflict, Unknown
from records.shards import Home, Left, Shards


class MemoryCentral:
    """Adapter of `records.central.Central`. No method awaits, so each is one step."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}
        self._tokens: dict[bytes, Token] = {}
        self._grants: dict[str, StoredGrant] = {}
        self._connectors: dict[tuple[str, str], Connector] = {}
        self._instances: dict[tuple[str, str], Instance] = {}
        self._states: dict[_Place, tuple[bytes, str]] = {}
        self._erasures: dict[str, ErasureJob] = {}
        self._erased_by: dict[tuple[str, str], str] = {}
        self._paused: set[str] = set()
        self._spines: dict[str, list[SpineEvent]] = {}
        self._noted: dict[str, list[tuple[int, About]]] = {}
        self._delivered: dict[tuple[str, str], int] = {}
        self._samples: dict[str, tuple[bytes, bytes]] = {}
        self._shards: dict[str, Shards] = {}
        self._name: str | None = None
        self._checkpoints: dict[str, dict[int, Checkpoint]] = {}

    # -- owners and tokens -----------------------------------------------------------------------------------------

    async def ensure_owner(self, subject: str, now: str) -> Owner:
        for owner in self._owners.values():
            if owner.subject == subject and owner.erased_at is None:
                return owner
        owner = Owner("o" + secrets.token_hex(8), subject)
        self._owners[owner.id] = owner
        return owner

    async def owners(self) -> list[Owner]:
        return sorted(self._owners.values(), key=lambda owner: (owner.subject, owner.id))

    async def add_token(self, token: Token, event: bytes) -> None:
        self._require_present(token.owner.id)
        if token.digest in self._tokens:
            raise Conflict("there is a token with this digest")
        self._tokens[token.digest] = token
        self._chain(token.owner.id, event, token.created_at)

    async def token(self, digest: bytes) -> Token | None:
        found = self._tokens.get(digest)
        return None if found is None else replace(found, owner=self._owners[found.owner.id])

    async def tokens(self) -> list[Token]:
        found = [replace(token, owner=self._owners[token.owner.id]) for token in self._tokens.values()]
        return sorted(found, key=lambda token: token.created_at)

    async def revoke_token(self, digest: bytes, now: str, event: bytes) -> bool:
        token = self._tokens.get(digest)
        if token is not None and token.revoked_at is None:
            self._tokens[digest] = replace(token, revoked_at=now)
            self._chain(token.owner.id, event, now)
        return token is not None

    # -- grants ----------------------------------------------------------------------------------------------------

    async def add_grant(self, grant: StoredGrant, token: Token, event: bytes) -> None:
        if grant.id in self._grants:
            raise Conflict("there is a grant with this id")
        await self.add_token(token, event)
        self._grants[grant.id] = grant

    async def grant(self, grant: str) -> StoredGrant | None:
        found = self._grants.get(grant)
        return None if found is None else replace(found, owner=self._owners[found.owner.id])

    async def grants(self, owner: str) -> list[StoredGrant]:
        mine = [replace(grant, owner=self._owners[owner]) for grant in self._grants.values() if grant.owner.id == owner]
        return sorted(mine, key=lambda grant: grant.created_at)

    async def latest_grants(self, owner: str, after: str | None, limit: int) -> list[StoredGrant]:
        mine = (await self.grants(owner))[::-1]
        ids = [grant.id for grant in mine]
        start = 0 if after is None else ids.index(after) + 1 if after in ids else len(mine)
        return mine[start : start + limit]

    async def revoke_grant(self, owner: str, grant: str, now: str, event: bytes) -> bool:
        there = self._grants.get(grant)
        if there is None or there.owner.id != owner:
            return False
        if there.revoked_at is None:
            self._grants[grant] = replace(there, revoked_at=now)
            for place in [place for place in self._states if place.owner == owner and place.grant == grant]:
                del self._states[place]
            self._chain(owner, event, now)
        return True

    # -- connectors and instances ----------------------------------------------------------------------------------

    async def register(self, owner: str, connector: str, manifest: bytes, now: str, event: bytes) -> bool:
        self._require_present(owner)
        there = self._connectors.get((owner, connector))
        registered_at = now if there is None else there.registered_at
        self._connectors[owner, connector] = Connector(connector, manifest, registered_at, None)
        self._chain(owner, event, now)
        return there is None or there.erased_at is not None

    async def connector(self, owner: str, connector: str) -> Connector | None:
        return self._connectors.get((owner, connector))

    async def connectors(self, owner: str) -> list[Connector]:
        return [self._connectors[place] for place in sorted(self._connectors) if place[0] == owner]

    async def ensure_default_instance(self, owner: str, connector: str, fresh_id: str, now: str) -> Instance:
        self._require_living(owner, connector)
        for instance in await self.instances(owner, connector):
            if instance.is_default:
                return instance
        return await self.add_instance(owner, Instance(fresh_id, connector, True, now, None))

    async def add_instance(self, owner: str, instance: Instance) -> Instance:
        there = self._instances.get((owner, instance.id))
        if there is not None:
            return there
        self._require_living(owner, instance.connector)
        if instance.is_default and any(each.is_default for each in await self.instances(owner, instance.connector)):
            raise Conflict("the connector has a default instance")
        self._instances[owner, instance.id] = instance
        return instance

    async def instance(self, owner: str, instance: str) -> Instance | None:
        return self._instances.get((owner, instance))

    async def instances(self, owner: str, connector: str | None = None) -> list[Instance]:
        living = [
            instance
            for (of, _), instance in self._instances.items()
            if of == owner and instance.erased_at is None and connector in (None, instance.connector)
        ]
        return sorted(living, key=lambda instance: (instance.connector, instance.id))

    # -- shards ----------------------------------------------------------------------------------------------------

    async def shards(self, owner: str) -> Shards:
        return self._shards.get(owner, Shards())

    async def shards_revision(self, owner: str) -> int:
        return self._shards.get(owner, Shards()).revision

    async def set_topology(self, owner: str, source: str | None, to: str) -> bool:
        there = await self._changeable(owner)
        if there.topology != source:
            return False
        self._shards[owner] = replace(there, topology=to, revision=there.revision + 1)
        return True

    async def topologies(self) -> dict[str, str]:
        return {owner: there.topology for owner, there in self._shards.items() if there.topology is not None}

    async def place(self, owner: str, connector: str, shard: str) -> Home:
        if await self._shard(owner, connector) is None:
            self._rehome(owner, connector, Home(shard, 1))
        return self._shards[owner].homes[connector]

    async def move(self, owner: str, connector: str, source: str | None, to: str | None) -> bool:
        if await self._shard(owner, connector) != source:
            return False
        self._rehome(owner, connector, None if to is None else Home(to, 1))
        return True

    async def wake(self, owner: str, connector: str, shard: str) -> int | None:
        if await self._shard(owner, connector) != shard:
            return None
        number = self._shards[owner].homes[connector].number + 1
        self._rehome(owner, connector, Home(shard, number))
        return number

    async def rest(self, owner: str, connector: str, shard: str, number: int, left: Left) -> bool:
        there = (await self._changeable(owner)).homes.get(connector)
        if there is None or (there.shard, there.number) != (shard, number):
            return False
        whose = self._owners.get(owner)
        if whose is not None and whose.erased_at is not None:
            left = replace(left, holds=None)
        self._rehome(owner, connector, replace(there, left=left))
        return True

    async def _changeable(self, owner: str) -> Shards:
        self._require_owner(owner)
        return await self.shards(owner)

    async def _shard(self, owner: str, connector: str) -> str | None:
        home = (await self._changeable(owner)).homes.get(connector)
        return None if home is None else home.shard

    def _rehome(self, owner: str, connector: str, home: Home | None) -> None:
        there = self._shards.get(owner, Shards())
        homes = dict(there.homes)
        if home is None:
            homes.pop(connector, None)
        else:
            homes[connector] = home
        self._shards[owner] = replace(there, homes=homes, revision=there.revision + 1)

    # -- sync state ------------------------------------------------------------------------------------------------

    async def state(
        self, owner: str, connector: str, instance: str, grant: str | None = None
    ) -> tuple[dict[str, bytes], str | None]:
        places = [place for place in self._of(owner, connector, instance, None) if place.grant == grant]
        found = {place.stream: self._states[place] for place in sorted(places, key=lambda place: place.stream)}
        changed = max((updated_at for _, updated_at in found.values()), default=None)
        return {stream: value for stream, (value, _) in found.items()}, changed

    async def merge_state(
        self,
        owner: str,
        connector: str,
        instance: str,
        state: Mapping[str, bytes],
        now: str,
        event: bytes,
        grant: str | None = None,
    ) -> None:
        there = self._instances.get((owner, instance))
        if there is None or there.connector != connector:
            raise Unknown("no such instance of this connector")
        if there.erased_at is not None:
            raise Conflict("the instance was erased")
        if grant is not None:
            self._require_namespace(owner, connector, grant)
        for stream, value in state.items():
            self._states[_Place(owner, instance, grant, stream)] = (value, now)
        self._chain(owner, event, now)

    async def drop_state(self, owner: str, connector: str | None, instance: str | None, stream: str | None) -> None:
        for place in self._of(owner, connector, instance, stream):
            del self._states[place]

    # -- erasures --------------------------------------------------------------------------------------------------

    async def begin_erasure(self, job: ErasureJob, event: bytes, seen: Seen | None = None) -> bool:
        self._require_owner(job.owner)
        there = self._erasures.get(job.id)
        if there is not None and there.owner != job.owner:
            raise Conflict("the id is another erasure's")
        if there is None:
            if seen is not None and seen != await self._seen(job):
                return False
            if job.owner_digest is not None:
                self._require_present(job.owner)
            self._erasures[job.id] = job
            await self._mark(job)
            self._chain(job.owner, event, job.requested_at)
        return True

    async def _seen(self, job: ErasureJob) -> Seen | None:
        found = await self.connector(job.owner, job.connector or "")
        if found is None or found.erased_at is not None:
            return None
        living = [each.id for each in await self.instances(job.owner, found.id)]
        return Seen(found.manifest, {each: (await self.state(job.owner, found.id, each))[0] for each in living})

    async def _mark(self, job: ErasureJob) -> None:
        if job.connector is None and job.owner_digest is None:
            return
        await self.drop_state(job.owner, job.connector, job.instance, None)
        for instance in await self.instances(job.owner, job.connector):
            if job.instance in (None, instance.id):
                self._instances[job.owner, instance.id] = replace(instance, erased_at=job.requested_at)
                self._erased_by[job.owner, instance.id] = job.id
        for connector in await self.connectors(job.owner):
            if job.instance is None and job.connector in (None, connector.id) and connector.erased_at is None:
                self._connectors[job.owner, connector.id] = replace(connector, erased_at=job.requested_at)
        if job.owner_digest is not None:
            self._owners[job.owner] = Owner(job.owner, job.owner_digest, job.requested_at)

    async def erased_by(self, owner: str, erasure: str) -> list[Instance]:
        found = [self._instances[place] for place, by in self._erased_by.items() if (place[0], by) == (owner, erasure)]
        return sorted(found, key=lambda instance: (instance.connector, instance.id))

    async def take_up_erasure(self, erasure: str) -> ErasureJob | None:
        job = self._job(erasure)
        if job.state == "done":
            return None
        self._erasures[erasure] = replace(job, resumed=job.resumed + (erasure not in self._paused))
        self._paused.discard(erasure)
        return self._erasures[erasure]

    async def pause_erasure(self, erasure: str) -> None:
        self._job(erasure)
        self._paused.add(erasure)

    async def forget_owner(self, owner: str) -> None:
        self._require_owner(owner)
        if self._owners[owner].erased_at is None:
            raise Conflict("the owner was not erased")
        await self.drop_state(owner, None, None, None)
        self._instances = {place: each for place, each in self._instances.items() if place[0] != owner}
        self._erased_by = {place: by for place, by in self._erased_by.items() if place[0] != owner}
        self._connectors = {place: each for place, each in self._connectors.items() if place[0] != owner}
        self._grants = {id: grant for id, grant in self._grants.items() if grant.owner.id != owner}
        for connector, home in self._shards.get(owner, Shards()).homes.items():
            if home.left is not None:
                self._rehome(owner, connector, replace(home, left=replace(home.left, holds=None)))
        self._tokens = {
            digest: replace(token, label=None) if token.owner.id == owner else token
            for digest, token in self._tokens.items()
            if token.owner.id != owner or token.kind == "owner"
        }

    async def keep_samples(self, erasure: str, key: bytes, sealed: bytes) -> None:
        self._samples.setdefault(self._job(erasure).id, (key, sealed))

    async def samples(self, erasure: str) -> tuple[bytes, bytes] | None:
        return self._samples.get(erasure)

    async def drop_samples(self, erasure: str) -> None:
        self._samples.pop(erasure, None)

    async def redact_erasure(self, erasure: str, target: bytes) -> None:
        self._erasures[erasure] = replace(self._job(erasure), target=target)

    async def finish_erasure(self, erasure: str, result: bytes, receipt: bytes, now: str, event: bytes) -> None:
        job = self._job(erasure)
        if job.state != "done":
            self._erasures[erasure] = replace(job, state="done", completed_at=now, result=result, receipt=receipt)
            if job.owner_digest is not None:
                self._tokens = {digest: token for digest, token in self._tokens.items() if token.owner.id != job.owner}
            self._chain(job.owner, event, now)

    async def erasure(self, owner: str, erasure: str) -> ErasureJob | None:
        job = self._erasures.get(erasure)
        return job if job is not None and job.owner == owner else None

    async def erasures(self, owner: str, after: str | None, limit: int) -> list[ErasureJob]:
        mine = [job for job in reversed(self._erasures.values()) if job.owner == owner]
        ids = [job.id for job in mine]
        start = 0 if after is None else ids.index(after) + 1 if after in ids else len(mine)
        return mine[start : start + limit]

    async def unfinished_erasures(self) -> list[ErasureJob]:
        unfinished = [job for job in self._erasures.values() if job.state != "done"]
        return sorted(unfinished, key=lambda job: job.requested_at)

    # -- spine -----------------------------------------------------------------------------------------------------

    async def append(self, owner: str, source: str, events: Sequence[tuple[int, bytes]], now: str) -> int:
        self._require_owner(owner)
        fresh = spine.risen(events, self._delivered.get((owner, source), 0))
        for number, body in fresh:
            self._chain(owner, body, now)
            self._delivered[owner, source] = number
        return len(fresh)

    async def delivered(self, owner: str, source: str) -> int:
        return self._delivered.get((owner, source), 0)

    async def delivered_by(self, source: str) -> int:
        return max((number for (_, by), number in self._delivered.items() if by == source), default=0)

    async def bind(self, name: str) -> str:
        self._name = self._name or name
        return self._name

    def _chain(self, owner: str, body: bytes, now: str) -> None:
        chained = self._spines.setdefault(owner, [])
        previous = chained[-1].hash if chained else spine.GENESIS
        seq = len(chained) + 1
        chained.append(SpineEvent(seq, now, body, previous, spine.chain(previous, seq, now, body)))

    async def note(self, owner: str, event: bytes, now: str, about: About) -> None:
        self._require_owner(owner)
        self._chain(owner, event, now)
        self._noted.setdefault(owner, []).append((len(self._spines[owner]), about))

    async def noted(self, owner: str, about: About, after: int, limit: int) -> list[SpineEvent]:
        found = [seq for seq, noted in self._noted.get(owner, []) if seq > after and about.covers(noted)]
        return [self._spines[owner][seq - 1] for seq in found[:limit]]

    async def spine(self, owner: str, after: int, limit: int) -> list[SpineEvent]:
        return self._spines.get(owner, [])[after : after + limit]

    async def spine_head(self, owner: str) -> SpineEvent | None:
        chained = self._spines.get(owner)
        return chained[-1] if chained else None

    async def chained(self, owner: str) -> int:
        self._require_owner(owner)
        return len(self._spines.get(owner, []))

    async def add_checkpoint(self, owner: str, checkpoint: Checkpoint) -> None:
        self._require_owner(owner)
        self._checkpoints.setdefault(owner, {}).setdefault(checkpoint.seq, checkpoint)

    async def newest_checkpoint(self, owner: str) -> Checkpoint | None:
        return max(self._checkpoints.get(owner, {}).values(), key=lambda each: each.seq, default=None)

    async def checkpoints(self, owner: str, after: int, limit: int) -> list[Checkpoint]:
        made = self._checkpoints.get(owner, {})
        return [made[seq] for seq in sorted(made) if seq > after][:limit]

    # -- files -----------------------------------------------------------------------------------------------------

    async def sanitize(self, timeout: float) -> bool:
        return True

    async def check(self) -> list[str]:
        return []

    async def close(self) -> None:
        """Nothing to let go of."""

    # -- inside ----------------------------------------------------------------------------------------------------

    def _require_owner(self, owner: str) -> None:
        if owner not in self._owners:
            raise Unknown("no such owner")

    def _require_present(self, owner: str) -> None:
        self._require_owner(owner)
        if self._owners[owner].erased_at is not None:
            raise Conflict("the owner was erased")

    def _require_living(self, owner: str, connector: str) -> None:
        there = self._connectors.get((owner, connector))
        if there is None:
            raise Unknown("no such connector")
        if there.erased_at is not None:
            raise Conflict("the connector was erased")

    def _job(self, erasure: str) -> ErasureJob:
        if erasure not in self._erasures:
            raise Unknown("no such erasure")
        return self._erasures[erasure]

    def _require_namespace(self, owner: str, connector: str, grant: str) -> None:
        there = self._grants.get(grant)
        if there is None or (there.owner.id, there.connector) != (owner, connector):
            raise Unknown("no such grant for this connector")
        if there.revoked_at is not None:
            raise Conflict("the grant was revoked")

    def _of(self, owner: str, connector: str | None, instance: str | None, stream: str | None) -> list["_Place"]:
        """The places of the states that these name; None names all."""
        return [
            place
            for place in self._states
            if place.owner == owner
            and connector in (None, self._instances[owner, place.instance].connector)
            and instance in (None, place.instance)
            and stream in (None, place.stream)
        ]


class _Place(NamedTuple):
    """Where one stream's state stands."""

    owner: str
    instance: str
    grant: str | None
    stream: str
