"""The steps of an erasure that take things away; what they took is told by what they left behind.

In order: fence off late writers (rule P4), erase rows, drop claims and state, release holders, and remove the bytes
that nobody holds any more. Nothing is remembered in memory from one step to the next: the engine counts what it erased
and notes what lost its last link, the catalogue remembers who let go of a blob and why one is gone. So a run that
begins again after a crash, at any point, comes to the same end and the same counts.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import msgspec

from blobstore.catalogue import Catalogue, State
from blobstore.checks import survey
from blobstore.digest import Digest
from blobstore.gc import BATCH, Collector
from records.central import Central, Owner
from records.engine import Engine, Engines
from records.erasure.receipts import Removed
from records.erasure.report import Covered, Report
from records.erasure.sampling import Going
from records.keyring import Keyring
from records.model import Target
from records.slots import beginning

ROWS = 1000
"""Records erased in one transaction: writers and readers go on between two."""


class Erasing:
    """Takes away what an erasure covers."""

    def __init__(
        self, central: Central, engines: Engines, catalogue: Catalogue, collector: Collector, keyring: Keyring
    ) -> None:
        self._central = central
        self._engines = engines
        self._catalogue = catalogue
        self._collector = collector
        self._keyring = keyring

    async def remove(self, owner: Owner, report: Report) -> Report:
        """Remove all that is covered, whatever an earlier run has removed; durable when this returns.

        From then on the erasure takes nothing that comes later, and knows no record's key.
        """
        engine = await self._engines.of(owner.id)
        covered = await self._settled(owner, report)
        targets = await self._targets(owner, engine, covered)
        await self._fence(owner, engine, covered, targets)
        for target in targets:
            while not (await engine.erase(target, report.requested_at, ROWS, report.id)).finished:
                pass
        for target in targets:
            await self._drop_claims(owner, target)
        await self._drop_state(owner, covered)
        for connector in sorted({target.connector for target in targets}):
            await self._release(owner, engine, connector, whole=covered.kind in ("connector", "owner"))
            await self._remove_former(owner, connector, report)
        if covered.kind == "owner":
            await self._remove_everything(owner, report)
            await self._drop_limits(owner)
            await self._central.forget_owner(owner.id)
        # What a run before this one condemned, and did not come to remove.
        await self._collector.remove_condemned()
        key = None if covered.key is None else self._keyring.key_digest(owner.id, covered.key)
        done = replace(report, covered=replace(covered, key=key), gone=True)
        await self._central.redact_erasure(report.id, msgspec.json.encode(done))
        return done

    async def has_arrived(self, owner: Owner, report: Report) -> bool:
        """Whether no bytes of what was removed, or fenced off while it was stored, can come any more; none are there.

        Until then an upload that was under way may store them: on another machine, or one whose process is gone.
        """
        coming = await self._catalogue.may_come(owner.id, report.covered.connector, reason(report), time.time())
        await self._collector.remove_condemned()
        return not coming

    async def going(self, owner: Owner, covered: Covered) -> list[Going]:
        """What goes, to take samples of it."""
        if covered.connector is not None:
            return [Going(covered.connector, covered.instances, covered.stream, covered.key)]
        targets = await self._targets(owner, await self._engines.of(owner.id), covered)
        return [Going(target.connector) for target in targets]

    async def texts(self, owner: Owner, covered: Covered) -> list[bytes]:
        """What goes beside it, as JSON: what the manifests of an owner declare. Their ids stand in the audit log."""
        if covered.kind != "owner":
            return []
        manifests = [each.manifest for each in await self._central.connectors(owner.id)]
        return [bytes(msgspec.json.decode(each, type=dict[str, msgspec.Raw]).get("streams", b"")) for each in manifests]

    async def release_noted(self, owner: Owner, engine: Engine, connector: str) -> None:
        """Release what the connector holds though it lost its last link: the catalogue knows it as let go of then."""
        while waiting := await engine.unlinked(BATCH, connector):
            await self._collector.release(owner.id, connector, {digest for _, digest in waiting})

    async def counted(self, owner: Owner, report: Report) -> tuple[Report, str]:
        """The report with what went until now, whoever removed it; and a digest over the blobs (`receipts.Removed`)."""
        records = await (await self._engines.of(owner.id)).erased(report.id)
        removed, size, last = Removed(), 0, None
        while page := await self._catalogue.removed(owner.id, reason(report), last, BATCH):
            for gone in page:
                removed.add(gone.name.digest)
                size += gone.size
            last = page[-1].name
        counted = replace(report, records=sum(records.values()), streams=len(records), blobs=removed.blobs, bytes=size)
        return counted, removed.digest()

    # -- steps -----------------------------------------------------------------------------------------------------

    async def _settled(self, owner: Owner, report: Report) -> Covered:
        """With the instances that were marked: one may have been made since they were listed."""
        if report.covered.kind != "connector":
            return report.covered
        marked = await self._central.erased_by(owner.id, report.id)
        return replace(report.covered, instances=[each.id for each in marked])

    async def _targets(self, owner: Owner, engine: Engine, covered: Covered) -> Sequence[Target]:
        """What goes, instance by instance; of an owner every connector that anything knows of."""
        if covered.connector is not None:
            rest = (covered.stream, covered.key, covered.consent_field)
            return [Target(covered.connector, instance, *rest) for instance in covered.instances]
        connectors = {partition.connector for partition in await engine.stats()}
        connectors |= {holder for namespace, holder in await self._catalogue.parties() if namespace == owner.id}
        connectors |= {connector.id for connector in await self._central.connectors(owner.id)}
        return [Target(connector) for connector in sorted(connectors)]

    async def _fence(self, owner: Owner, engine: Engine, covered: Covered, targets: Sequence[Target]) -> None:
        """Uploads begun before this fail, and leave nothing; ingests do so where all of an instance goes.

        Where less goes, the step that erases the last of it fences ingests off.
        """
        for target in targets:
            slots = _slots(target)
            leases = await self._catalogue.fence(owner.id, target.connector, target.instance, slots)
            if covered.whole:
                await engine.fence(target.connector, target.instance)
            await self._collector.drop_staged(leases)

    async def _drop_claims(self, owner: Owner, target: Target) -> None:
        now = time.time()
        await self._catalogue.drop_claims(
            owner.id, target.connector, scope=target.instance, beginning=_slots(target), now=now
        )

    async def _drop_state(self, owner: Owner, covered: Covered) -> None:
        """Of what goes as a whole the state went when it was marked."""
        if covered.kind == "stream" and covered.connector is not None:
            for instance in covered.instances:
                await self._central.drop_state(owner.id, covered.connector, instance, covered.stream)

    async def _release(self, owner: Owner, engine: Engine, connector: str, *, whole: bool) -> None:
        await self.release_noted(owner, engine, connector)
        after = None
        while whole and (rows := await self._catalogue.held(owner.id, connector, after, BATCH)):
            await self._collector.release(owner.id, connector, [row.digest for row in rows])
            after = rows[-1].digest

    async def _remove_former(self, owner: Owner, connector: str, report: Report) -> None:
        """Remove all that the connector let go of, now or earlier, and that nobody has."""
        after = None
        while digests := await self._catalogue.former(owner.id, connector, after, BATCH):
            # A writer that died after its hold left a holder without a link.
            await self._collector.release(owner.id, connector, digests)
            await self._collector.erase(owner.id, digests, reason(report))
            after = digests[-1]
        while report.covered.kind == "connector" and await self._catalogue.forget_former(owner.id, connector, BATCH):
            pass

    async def _remove_everything(self, owner: Owner, report: Report) -> None:
        """Remove what no connector is known to have held, too."""
        async for digests in self._stored(owner):
            await self._collector.erase(owner.id, digests, reason(report))

    async def _drop_limits(self, owner: Owner) -> None:
        for limit in await self._catalogue.limits():
            if limit.namespace == owner.id:
                await self._catalogue.unlimit(owner.id, limit.holder)

    async def _stored(self, owner: Owner) -> AsyncIterator[Sequence[Digest]]:
        async for page in survey(self._catalogue, owner.id):
            yield [each.stored.name.digest for each in page if each.stored.state is not State.CONDEMNED]


def reason(report: Report) -> str:
    """Why blobs that an erasure removed are gone."""
    return f"erasure {report.id}"


def _slots(target: Target) -> str:
    """How the slots begin that the target covers."""
    return "" if target.instance is None else beginning(target.instance, target.stream, target.key)
