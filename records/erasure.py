"""Erasure: content, history, links, claims, state and orphaned bytes go, and the answer is given when they are gone.

An erasure is written down before its first step, on the erasure ledger too, and every step may be repeated, so one that
a crash cut off is finished by `resume`. In order: fence off late writers (rule P4), erase rows, drop claims and state,
release holders, remove the bytes that nobody holds any more, and cut the logs that still show what the rows held.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from blobstore.backend import ObjectName
from blobstore.catalogue import Catalogue
from blobstore.gc import BATCH, Collector
from blobstore.sqlitefile import try_file_lock
from records import spine, times
from records.audit import Audit
from records.central import Central, ErasureJob, Owner
from records.engine import Engine, Engines
from records.errors import Unknown
from records.keyring import Keyring
from records.ledger import Entry, Ledger
from records.model import Target
from records.registry import Registry
from records.scope import Scope, Selector
from records.slots import parse

ROWS = 1000
"""Records erased in one transaction: writers and readers go on between two."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an erasure did; sizes in bytes. `state` is `running` until all of it is gone, then `done`."""

    id: str
    state: str
    connector: str
    instances: Sequence[str]
    stream: str | None = None
    key: str | None = None
    consent_field: str | None = None
    """The stream's consent-time field, whose value its tombstones keep."""
    records: int = 0
    streams: int = 0
    blobs: int = 0
    bytes: int = 0
    requested_at: str = ""
    completed_at: str | None = None
    whole_connector: bool = False


@dataclass(slots=True)
class _Run:
    """One erasure while it is carried out."""

    owner: Owner
    report: Report
    whole: bool
    """The connector, or an instance of it, goes as a whole and takes no writes any more."""

    @property
    def of_connector(self) -> bool:
        """All of the connector goes."""
        return self.whole and self.report.whole_connector


class Erasures:
    """Erases, and finishes what was begun."""

    def __init__(
        self,
        locks: Path,
        central: Central,
        engines: Engines,
        catalogue: Catalogue,
        collector: Collector,
        registry: Registry,
        audit: Audit,
        keyring: Keyring,
        ledger: Ledger,
    ) -> None:
        self._locks = locks
        self._central = central
        self._engines = engines
        self._catalogue = catalogue
        self._collector = collector
        self._registry = registry
        self._audit = audit
        self._keyring = keyring
        self._ledger = ledger

    async def connector(self, owner: Owner, name: str, *, wait: float) -> Report:
        """Erase all that a connector brought. Raises `Unknown`."""
        key = (await self._registry.connector(Scope.of_owner(owner), name)).key
        instances = [each.id for each in await self._central.instances(owner.id, key)]
        report = Report(_fresh(), "running", key, instances, whole_connector=True)
        return await self._begin(owner, report, wait, whole=True)

    async def instance(self, owner: Owner, instance: str, *, wait: float) -> Report:
        """Erase one account of a connector. Raises `Unknown`."""
        found = await self._central.instance(owner.id, instance)
        if found is None or found.erased_at is not None:
            raise Unknown("no such connection")
        report = Report(_fresh(), "running", found.connector, [found.id])
        return await self._begin(owner, report, wait, whole=True, instance=found.id)

    async def records(
        self, owner: Owner, selector: Selector, stream: str, key: str | None = None, *, wait: float
    ) -> Report:
        """Erase a stream's records, or the one record with this key; none there is no error. Raises `Unknown`."""
        registration, declaration = await self._registry.declared(owner, stream, selector)
        if selector.instance is not None:
            named = await self._registry.existing(owner, registration.key, selector.instance)
            instances = [] if named is None else [named.id]
        else:
            instances = [each.id for each in await self._central.instances(owner.id, registration.key)]
        report = Report(_fresh(), "running", registration.key, instances, stream, key, declaration.consent_time_field)
        return await self._begin(owner, report, wait, whole=False)

    async def report(self, owner: Owner, erasure: str) -> Report:
        """How an erasure stands. Raises `Unknown`."""
        job = await self._central.erasure(owner.id, erasure)
        if job is None:
            raise Unknown("no such erasure")
        return msgspec.json.decode(job.result or job.target, type=Report)

    async def resume(self, wait: float = 0.0) -> int:
        """Go on with erasures that were begun and not completed, unless another process is at them; how many remain."""
        remaining = 0
        owners = {owner.id: owner for owner in await self._central.owners()}
        for job in await self._central.unfinished_erasures():
            report = msgspec.json.decode(job.target, type=Report)
            whole = report.stream is None
            done = await self._run_locked(_Run(owners[job.owner], report, whole), wait)
            remaining += done.state != "done"
        return remaining

    async def again(self, owner: Owner, entry: Entry, key: str | None) -> Report:
        """Carry out, under its id, an erasure that another life of the store carried out (`records.replay`).

        `key` is that of the record that goes; None where there is none of it, or more than one record goes.
        """
        report = Report(
            *(entry.erasure, "running", entry.connector or "", entry.instances, entry.stream, key, entry.consent_field),
            requested_at=entry.requested_at,
            whole_connector=entry.kind == "connector",
        )
        whole = entry.stream is None
        target = msgspec.json.encode(report)
        job = ErasureJob(entry.erasure, owner.id, target, "running", entry.requested_at, None, None)
        if whole:
            instance = None if report.whole_connector else entry.instances[0]
            job = replace(job, connector=entry.connector, instance=instance)
        facts = self._facts(owner, report) | ({} if entry.record is None else {"record": entry.record})
        await self._central.begin_erasure(job, spine.body("erasure.begin", facts))
        if entry.kind == "record" and key is None:
            done = replace(report, state="done", key=entry.record, completed_at=times.now())
            event = spine.body("erasure.done", facts | _counts(done))
            await self._central.finish_erasure(done.id, msgspec.json.encode(done), times.now(), event)
            return done
        return await self._run_locked(_Run(owner, report, whole), 0.0)

    async def _begin(
        self, owner: Owner, report: Report, wait: float, *, whole: bool, instance: str | None = None
    ) -> Report:
        report = replace(report, requested_at=times.now())
        job = ErasureJob(
            id=report.id,
            owner=owner.id,
            target=msgspec.json.encode(report),
            state="running",
            requested_at=report.requested_at,
            completed_at=None,
            result=None,
            connector=report.connector if whole else None,
            instance=instance,
        )
        # What was acknowledged before stands before it on the spine, too.
        await self._audit.drain(owner)
        await self._central.begin_erasure(job, spine.body("erasure.begin", self._facts(owner, report)))
        return await self._run_locked(_Run(owner, report, whole), wait)

    async def _run_locked(self, run: _Run, wait: float) -> Report:
        with try_file_lock(self._locks / run.report.id) as locked:
            # Shielded: a caller that hangs up must not stop an erasure half-way.
            return await asyncio.shield(asyncio.ensure_future(self._run(run, wait))) if locked else run.report

    async def _run(self, run: _Run, wait: float) -> Report:
        deadline = time.monotonic() + wait
        await self._ledger.write(self._entry(run))
        engine = await self._engines.of(run.owner.id)
        await self._fence(run, engine)
        await self._erase_rows(run, engine)
        await self._drop_claims(run)
        await self._drop_state(run)
        await self._let_go(run, engine)
        await self._remove_bytes(run)
        report = replace(run.report, key=None if run.report.key is None else self._digest(run))
        await self._central.redact_erasure(report.id, msgspec.json.encode(report))
        for place in (engine, self._catalogue, self._central):
            if not await place.sanitize(max(0.0, deadline - time.monotonic())):
                return replace(report, state="running")
        done = replace(report, state="done", completed_at=times.now())
        event = spine.body("erasure.done", self._facts(run.owner, done) | _counts(done))
        await self._central.finish_erasure(done.id, msgspec.json.encode(done), times.now(), event)
        return done

    async def _fence(self, run: _Run, engine: Engine) -> None:
        """Whoever began to write before this fails from here on, and leaves nothing."""
        if run.whole:
            for instance in run.report.instances:
                leases = await self._catalogue.fence(run.owner.id, run.report.connector, instance)
                await engine.fence(run.report.connector, instance)
                await self._collector.drop_staged(leases)

    async def _erase_rows(self, run: _Run, engine: Engine) -> None:
        report = run.report
        stats = await engine.stats(report.connector)
        touched = {
            part
            for part, of in stats.items()
            if part.instance in report.instances and report.stream in (None, part.stream) and of.records
        }
        records = 0
        for instance in report.instances:
            target = Target(report.connector, instance, report.stream, report.key, report.consent_field)
            finished = False
            while not finished:
                step = await engine.erase(target, report.requested_at, ROWS)
                records += step.records
                finished = step.finished
        run.report = replace(report, records=records, streams=len(touched) if report.key is None else min(records, 1))

    async def _drop_claims(self, run: _Run) -> None:
        owner, report, now = run.owner.id, run.report, time.time()
        for instance in report.instances:
            slots = None if run.whole else await self._slots(owner, report, instance)
            await self._catalogue.drop_claims(owner, report.connector, scope=instance, slots=slots, now=now)

    async def _slots(self, owner: str, report: Report, instance: str) -> set[str]:
        """The slots of the claims that belong to the erased stream or record."""
        slots: set[str] = set()
        after = None
        while claims := await self._catalogue.claims_by(owner, report.connector, BATCH, after):
            for claimed in claims:
                where, stream, key, _ = parse(claimed.claim.slot)
                if where == instance and stream == report.stream and report.key in (None, key):
                    slots.add(claimed.claim.slot)
            after = claims[-1].claim.slot, claims[-1].digest
        return slots

    async def _drop_state(self, run: _Run) -> None:
        if run.report.key is None:
            for instance in run.report.instances:
                await self._central.drop_state(run.owner.id, run.report.connector, instance, run.report.stream)

    async def _let_go(self, run: _Run, engine: Engine) -> None:
        """Release what the connector holds without a link: from here on the catalogue knows it as let go of."""
        owner, connector = run.owner.id, run.report.connector
        while waiting := await engine.unlinked(BATCH, connector):
            await self._collector.release(owner, connector, {digest for _, digest in waiting})
        after = None
        while run.of_connector and (rows := await self._catalogue.held(owner, connector, after, BATCH)):
            await self._collector.release(owner, connector, [row.digest for row in rows])
            after = rows[-1].digest

    async def _remove_bytes(self, run: _Run) -> None:
        """Remove all that the connector let go of, now or earlier, and that nobody holds."""
        owner, connector, reason = run.owner.id, run.report.connector, f"erasure {run.report.id}"
        after = None
        while digests := await self._catalogue.former(owner, connector, after, BATCH):
            # A writer that died after its hold left a holder without a link.
            await self._collector.release(owner, connector, digests)
            await self._collector.erase(owner, digests, reason)
            after = digests[-1]
        while run.of_connector and await self._catalogue.forget_former(owner, connector, BATCH):
            pass
        blobs, size = await self._removed(owner, reason)
        run.report = replace(run.report, blobs=blobs, bytes=size)

    async def _removed(self, owner: str, reason: str) -> tuple[int, int]:
        """Blobs and bytes that went for this reason, whoever removed them."""
        blobs = size = 0
        last: ObjectName | None = None
        while page := await self._catalogue.removed(owner, reason, last, BATCH):
            for gone in page:
                blobs += last is None or last.digest != gone.name.digest
                size += gone.size
                last = gone.name
        return blobs, size

    def _entry(self, run: _Run) -> Entry:
        report = run.report
        kind: Literal["record", "stream", "instance", "connector"] = "record" if report.key is not None else "stream"
        if run.whole:
            kind = "connector" if report.whole_connector else "instance"
        return Entry(
            *(report.id, report.requested_at, kind, run.owner.id, report.connector, tuple(report.instances)),
            stream=report.stream,
            record=None if report.key is None else self._digest(run),
            consent_field=report.consent_field,
        )

    def _digest(self, run: _Run) -> str:
        return self._keyring.key_digest(run.owner.id, run.report.key or "")

    def _facts(self, owner: Owner, report: Report) -> dict[str, object]:
        key = report.key
        if key is not None and report.state == "running":
            key = self._keyring.key_digest(owner.id, key)
        named = {"stream": report.stream, "record": key}
        return {
            "erasure": report.id,
            "connector": report.connector,
            "instances": list(report.instances),
            **{name: value for name, value in named.items() if value is not None},
        }


def _counts(report: Report) -> dict[str, object]:
    return {"records": report.records, "streams": report.streams, "blobs": report.blobs, "bytes": report.bytes}


def _fresh() -> str:
    return "era_" + secrets.token_hex(12)
