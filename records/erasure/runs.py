"""Runs of an erasure: from its intent, through all that must go, to its signed receipt.

A run that a crash cut off is taken up again: what the first has done stays done.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from blobstore.catalogue import Catalogue
from records import times
from records.audit import spine
from records.audit.checkpoints import Checkpoints
from records.central import Central, ErasureJob, Owner, Seen
from records.copies import Copies
from records.engine import Engines
from records.erasure import ledger as ledgers
from records.erasure import receipts
from records.erasure.erasing import Erasing, reason
from records.erasure.ledger import Ledger
from records.erasure.report import Covered, Erasure, Report, Residue
from records.erasure.residue import Residues
from records.erasure.sampling import Sample
from records.erasure.told import Told
from records.erasure.underway import unfinished
from records.keyring import Keyring
from records.locks import Locks, taken

log = logging.getLogger(__name__)

PAUSE, LONG_PAUSE = 0.05, 2.0
"""Seconds between two looks at an erasure that another process carries out; and at most, where each look costs more."""

Decide = Callable[[Callable[[Seen], Awaitable[bool]]], Awaitable[None]]
"""Begins an erasure by calling what it is given (`Central.begin_erasure`), or raises, and nothing is begun."""


class Runs:
    """Carries erasures out, one run under the lock of each."""

    def __init__(
        self,
        locks: Locks,
        central: Central,
        engines: Engines,
        catalogue: Catalogue,
        checkpoints: Checkpoints,
        keyring: Keyring,
        ledger: Ledger,
        residues: Residues,
        copies: Copies,
        erasing: Erasing,
        told: Told,
    ) -> None:
        self._locks = locks
        self._central = central
        self._engines = engines
        self._catalogue = catalogue
        self._checkpoints = checkpoints
        self._keyring = keyring
        self._ledger = ledger
        self._residues = residues
        self._copies = copies
        self._erasing = erasing
        self._told = told
        self._signer = keyring.signer()

    @property
    def public_key(self) -> str:
        """Whose signature the receipts have."""
        return self._signer.public_key

    async def begin(
        self,
        owner: Owner,
        report: Report,
        wait: float,
        written: asyncio.Future[None] | None = None,
        decide: Decide | None = None,
    ) -> Erasure:
        covered = report.covered
        job = ErasureJob(
            id=report.id,
            owner=owner.id,
            target=msgspec.json.encode(report),
            state="running",
            requested_at=report.requested_at,
            completed_at=None,
            result=None,
            connector=covered.connector if covered.whole else None,
            instance=covered.instances[0] if covered.kind == "instance" else None,
            owner_digest=self._keyring.owner_digest(owner.id, owner.subject) if covered.kind == "owner" else None,
        )
        # Before: some of it goes in the step that marks the rest.
        samples = [] if report.gone else await self._sampled(owner, covered)
        # Locked before anybody can see it: nobody takes it for one that was cut off.
        async with taken(self._locks, job.id) as locked:
            begin = partial(
                self._central.begin_erasure, job, spine.body("erasure.begin", self._told.facts(owner, report))
            )
            await (begin() if decide is None else decide(begin))
            await self._residues.keep(job.id, samples)
            if written is not None:
                written.set_result(None)
            return await self._run(owner, job, wait) if locked is not None else await self._told.find(owner, job.id)

    async def take_up(self, owner: Owner, erasure: str, wait: float) -> bool:
        """Whether the erasure is done now."""
        async with taken(self._locks, erasure) as locked:
            # Read under the lock: who had it may have finished meanwhile.
            job = None if locked is None else await self._central.take_up_erasure(erasure)
            if job is None:
                return locked is not None
            return (await self._run(owner, job, wait)).report.state == "done"

    async def _run(self, owner: Owner, job: ErasureJob, wait: float) -> Erasure:
        deadline = time.monotonic() + wait
        report = replace(msgspec.json.decode(job.target, type=Report), resumed=job.resumed)
        if not report.gone:
            if not await self._residues.are_kept(job.id):  # cut off before its first step
                await self._residues.keep(job.id, await self._sampled(owner, report.covered))
            await ledgers.write(self._ledger, self._told.entry(owner, report))
            report = await self._erasing.remove(owner, report)
        complete = (
            await self._earlier_are_gone(owner, report, deadline)
            and await self._copies_are_gone(owner, report, deadline)
            and await self._all_has_arrived(owner, report, deadline)
            and await self._sanitized(owner, deadline)
        )
        if complete:
            report = await self._searched(owner, report, deadline)
            # Of the samples, and of the key that they were sealed with, no file shows anything either.
            complete = await self._central.sanitize(max(0.0, deadline - time.monotonic()))
        if not complete or report.residue is None:
            await self._central.pause_erasure(report.id)
            return await self._told.so_far(owner, report)
        return await self._finish(owner, report, report.residue)

    async def _sampled(self, owner: Owner, covered: Covered) -> Sequence[Sample]:
        going, texts = await self._erasing.going(owner, covered), await self._erasing.texts(owner, covered)
        return await self._residues.take(owner, going, texts)

    async def _searched(self, owner: Owner, report: Report, deadline: float) -> Report:
        """Look once for traces of what went; what was found is durable before the samples go."""
        if report.residue is None:
            again = partial(self._sanitized, owner, deadline)
            whole = report.covered.whole
            residue = await self._residues.scan(owner, report.id, whole=whole, reason=reason(report), again=again)
            for place in residue.places:
                log.error("erasure %s left a trace in %s, at byte %d", report.id, place.path, place.offset)
            report = replace(report, residue=residue)
            await self._central.redact_erasure(report.id, msgspec.json.encode(report))
        await self._residues.forget(report.id)
        return report

    async def _earlier_are_gone(self, owner: Owner, report: Report, deadline: float) -> bool:
        """Whether every erasure that was begun before this one, and has to do with it, has taken all that it covers.

        Otherwise one that a crash cut off, and that its sender asked for again, would later take what was written after
        the second answer. Each waits only for earlier ones, so there is always one that waits for none.
        """
        while earlier := await self._earlier(owner, report):
            for job in earlier:
                await self.take_up(owner, job.id, 0.0)
            if await self._earlier(owner, report):  # another process is at it
                if time.monotonic() >= deadline:
                    return False
                await asyncio.sleep(PAUSE)
        return True

    async def _copies_are_gone(self, owner: Owner, report: Report, deadline: float) -> bool:
        """Whether no export that is open holds anything of what went: each lets go as soon as it sees this erasure."""
        while await self._copies.are_made(owner.id, report.covered.connector):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(PAUSE)
        return True

    async def _all_has_arrived(self, owner: Owner, report: Report, deadline: float) -> bool:
        """Whether no bytes come any more of uploads that were under way; what came is gone."""
        pause = PAUSE
        while not await self._erasing.has_arrived(owner, report):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONG_PAUSE)
        return True

    async def _earlier(self, owner: Owner, report: Report) -> list[ErasureJob]:
        begun = await unfinished(self._central, owner)
        ids = [job.id for job, _ in begun]
        before = begun[: ids.index(report.id)] if report.id in ids else []
        return [job for job, earlier in before if not earlier.gone and _meet(report.covered, earlier.covered)]

    async def _sanitized(self, owner: Owner, deadline: float) -> bool:
        """Whether no file shows any more what was removed."""
        for place in (await self._engines.of(owner.id), self._catalogue, self._central):
            if not await place.sanitize(max(0.0, deadline - time.monotonic())):
                return False
        return True

    async def _finish(self, owner: Owner, report: Report, residue: Residue) -> Erasure:
        counted, removed = await self._erasing.counted(owner, report)
        embedded = await self._checkpoints.members(owner)
        now = times.now()
        done = replace(counted, state="done", completed_at=now)
        receipt = receipts.make(self._signer, done, removed, embedded, residue)
        facts = self._told.facts(owner, done) | receipts.counts(done) | {"clean": done.clean}
        facts["receipt"] = receipts.digest(receipt)
        event = spine.body("erasure.done", facts)
        await self._central.finish_erasure(done.id, msgspec.json.encode(done), receipt, now, event)
        # Another run may have been first: there is one receipt.
        return await self._told.find(owner, done.id)


def _meet(one: Covered, other: Covered) -> bool:
    """Whether anything may be covered by both; of two connectors one need not answer for the other to be erased."""
    return None in (one.connector, other.connector) or one.connector == other.connector
