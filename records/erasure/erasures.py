"""Erasure: content, history, links, claims, state and orphaned bytes go, and the answer is given when they are gone.

What goes is looked at first (`previews`), written down before its first step, on the erasure ledger too, then done
(`erasing`): every step may be repeated, so one that a crash cut off is finished by `resume`. All scopes, from a record
to a whole owner, take this one way.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from blobstore.catalogue import Catalogue
from blobstore.errors import StorageUnavailable
from blobstore.gc import Collector
from records import times
from records.audit import spine
from records.audit.checkpoints import Checkpoints
from records.audit.outboxes import Audit
from records.central import Central, ErasureJob, Owner, Seen
from records.copies import Copies
from records.engine import Engines
from records.erasure import ledger as ledgers
from records.erasure import receipts
from records.erasure.coverage import Coverage
from records.erasure.erasing import Erasing, reason
from records.erasure.ledger import Entry, Ledger
from records.erasure.previews import Previews
from records.erasure.report import Covered, Kept, Preview, Report, Residue
from records.erasure.residue import Residues
from records.erasure.sampling import Sample
from records.erasure.underway import Tasks, takes, unfinished
from records.errors import Unknown
from records.keyring import Keyring
from records.locks import ERASURE, PREFIXES, Locks, taken
from records.model import Partition
from records.registry import Registry

log = logging.getLogger(__name__)

PAGE = 500
"""Erasures that are read at once."""

PAUSE, LONG_PAUSE = 0.05, 2.0
"""Seconds between two looks at an erasure that another process carries out; and at most, where each look costs more."""

SETTLING = 20.0
"""Seconds that a write waits for an erasure of its place that was cut off before."""


Decide = Callable[[Callable[[Seen], Awaitable[bool]]], Awaitable[None]]
"""Begins an erasure by calling what it is given (`Central.begin_erasure`), or raises, and nothing is begun."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """How an erasure stands; `receipt` is a signed document's JSON text, None until it is done."""

    report: Report
    receipt: bytes | None


class Erasures:
    """Shows what erasures would do, erases, and finishes what was begun."""

    def __init__(
        self,
        locks: Locks,
        central: Central,
        engines: Engines,
        catalogue: Catalogue,
        collector: Collector,
        registry: Registry,
        audit: Audit,
        checkpoints: Checkpoints,
        keyring: Keyring,
        ledger: Ledger,
        residues: Residues,
        copies: Copies,
    ) -> None:
        self._locks = locks
        self._central = central
        self._engines = engines
        self._catalogue = catalogue
        self._audit = audit
        self._checkpoints = checkpoints
        self._keyring = keyring
        self._ledger = ledger
        self._residues = residues
        self._copies = copies
        self._tasks = Tasks()
        self._signer = keyring.signer()
        self._previews = Previews(catalogue)
        self.coverage = Coverage(central, engines, registry)
        self._erasing = Erasing(central, engines, catalogue, collector, keyring)

    @property
    def public_key(self) -> str:
        """Whose signature the receipts of this server have."""
        return self._signer.public_key

    # -- looking, erasing ------------------------------------------------------------------------------------------

    async def preview(self, owner: Owner, covered: Covered) -> Preview:
        """What erasing this would do now. It removes nothing."""
        engine = await self._engines.of(owner.id)
        if covered.connector is not None:
            await self._erasing.release_noted(owner, engine, covered.connector)
        return await self._previews.preview(owner, engine, covered)

    async def erase(self, owner: Owner, covered: Covered, *, wait: float, within: float | None = None) -> Erasure:
        """Erase; complete when the state is `done`. A reader that stands in the way is waited for `wait` seconds.

        After `within` seconds, where they are given, it is told how the erasure stands once it is written down. It goes
        on by itself then, as it does when the caller is cancelled; `close` cuts it off, and `resume` finishes it.
        """
        erasure = new_id()
        written = asyncio.get_running_loop().create_future()
        task = self._tasks.start(self._new(owner, erasure, covered, wait, written))
        if not (await asyncio.wait({task}, timeout=within))[0]:
            await asyncio.wait({task, written}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else await self.find(owner, erasure)

    async def erase_if(self, owner: Owner, covered: Covered, erasure: str, decide: Decide, *, wait: float) -> Erasure:
        """`erase` under an id from `new_id`, if it is decided so when all is ready. Raises what `decide` raises."""
        return await asyncio.shield(self._tasks.start(self._new(owner, erasure, covered, wait, decide=decide)))

    async def finish(self, owner: Owner, erasure: str, *, wait: float) -> Erasure:
        """Go on with one that was begun, also where others are at it, for `wait` seconds. Raises `Unknown`."""
        deadline = time.monotonic() + wait
        while (found := await self.find(owner, erasure)).receipt is None and time.monotonic() < deadline:
            await asyncio.shield(self._tasks.start(self._take_up(owner, erasure, deadline - time.monotonic())))
            await asyncio.sleep(PAUSE)
        return found

    async def close(self) -> None:
        """Cut off what is under way; `resume` finishes it, in this process's next life or in another one."""
        await self._tasks.end()

    async def settled(self, owner: Owner, place: Partition) -> None:
        """Wait until nothing that is written there from now on is taken by an erasure that was cut off before.

        Whoever asked for that one may never have had an answer, and may have begun anew. Raises `StorageUnavailable`
        where it takes longer than `SETTLING` seconds. An erasure that is carried out by the one that began it is not
        waited for: what is written meanwhile is wholly on one side of it (rule P4).
        """
        deadline = time.monotonic() + SETTLING
        seen, tasks = set[str](), dict[str, asyncio.Task[bool]]()
        while begun := [
            job for job in await self._taking(owner, place) if job.id not in seen or await self._is_cut_off(job)
        ]:
            if time.monotonic() >= deadline:
                raise StorageUnavailable("an erasure of this stream was cut off and is being finished: try again later")
            for job in begun:
                if job.id in tasks and tasks[job.id].done():
                    tasks[job.id].result()  # raises what kept it from being finished
                if job.id not in tasks or tasks[job.id].done():
                    tasks[job.id] = self._tasks.start(self._take_up(owner, job.id, 0.0))
            # Twice at least: who takes one up has its lock a moment before it says so.
            seen |= {job.id for job in begun}
            await asyncio.sleep(PAUSE)

    async def again(self, owner: Owner, entry: Entry, key: str | None) -> Erasure:
        """Carry out, under its id, an erasure that another life of the store carried out (`records.erasure.replay`).

        `key` is that of the record that goes; None where there is none of it, or more than one record goes.
        """
        covered = Covered(
            *(entry.kind, entry.connector, entry.instances, entry.stream, key or entry.record, entry.consent_field),
            everywhere=entry.everywhere,
        )
        nothing = entry.kind == "record" and key is None
        kept = Kept() if nothing else (await self.preview(owner, covered)).kept
        report = Report(entry.erasure, covered, entry.requested_at, kept=kept, gone=nothing)
        return await self._begin(owner, report, 0.0)

    async def resume(self, wait: float = 0.0) -> int:
        """Go on with erasures that were begun and not completed, unless another process is at them; how many remain."""
        remaining = 0
        owners = {owner.id: owner for owner in await self._central.owners()}
        for begun in await self._central.unfinished_erasures():
            task = self._tasks.start(self._take_up(owners[begun.owner], begun.id, wait))
            remaining += not await asyncio.shield(task)
        await self._locks.held(*PREFIXES)  # what a crash or a failing disk left of locks goes
        return remaining

    # -- what was done ---------------------------------------------------------------------------------------------

    async def find(self, owner: Owner, erasure: str) -> Erasure:
        """How an erasure stands, with its receipt once it is done. Raises `Unknown`."""
        job = await self._central.erasure(owner.id, erasure)
        if job is None:
            raise Unknown("no such erasure")
        return await self._told(owner, job)

    async def listed(self, owner: Owner, after: str | None, limit: int) -> Sequence[Erasure]:
        """The owner's erasures, newest first, beyond the one with the id `after`."""
        return [await self._told(owner, job) for job in await self._central.erasures(owner.id, after, limit)]

    async def jobs(self, owner: Owner) -> AsyncIterator[ErasureJob]:
        """Every erasure of the owner that was begun, newest first."""
        after = None
        while jobs := await self._central.erasures(owner.id, after, PAGE):
            for job in jobs:
                yield job
            after = jobs[-1].id

    def entry(self, owner: Owner, job: ErasureJob) -> Entry:
        """The erasure as the ledger must have it. Raises `msgspec.MsgspecError` where it is damaged."""
        return self._entry(owner, msgspec.json.decode(job.result or job.target, type=Report))

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _told(self, owner: Owner, job: ErasureJob) -> Erasure:
        if job.result is not None:
            return Erasure(msgspec.json.decode(job.result, type=Report), job.receipt)
        report = replace(msgspec.json.decode(job.target, type=Report), resumed=job.resumed)
        key = report.covered.key
        if key is not None and not report.gone:
            report = replace(report, covered=replace(report.covered, key=self._keyring.key_digest(owner.id, key)))
        return Erasure((await self._erasing.counted(owner, report))[0], None)

    async def _new(
        self,
        owner: Owner,
        erasure: str,
        covered: Covered,
        wait: float,
        written: asyncio.Future[None] | None = None,
        decide: Decide | None = None,
    ) -> Erasure:
        # What was acknowledged before stands before it on the spine, too.
        await self._audit.drain(owner)
        kept = (await self.preview(owner, covered)).kept
        return await self._begin(owner, Report(erasure, covered, times.now(), kept=kept), wait, written, decide)

    async def _begin(
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
            owner_digest=self._digest(owner) if covered.kind == "owner" else None,
        )
        # Before: some of it goes in the step that marks the rest.
        samples = [] if report.gone else await self._sampled(owner, covered)
        # Locked before anybody can see it: nobody takes it for one that was cut off.
        async with taken(self._locks, job.id) as locked:
            begin = partial(self._central.begin_erasure, job, spine.body("erasure.begin", self._facts(owner, report)))
            await (begin() if decide is None else decide(begin))
            await self._residues.keep(job.id, samples)
            if written is not None:
                written.set_result(None)
            return await self._run(owner, job, wait) if locked is not None else await self.find(owner, job.id)

    async def _take_up(self, owner: Owner, erasure: str, wait: float) -> bool:
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
            await ledgers.write(self._ledger, self._entry(owner, report))
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
            return Erasure((await self._erasing.counted(owner, report))[0], None)
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
                await self._take_up(owner, job.id, 0.0)
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

    async def _taking(self, owner: Owner, place: Partition) -> list[ErasureJob]:
        return [job for job, report in await unfinished(self._central, owner) if takes(report, place)]

    async def _is_cut_off(self, job: ErasureJob) -> bool:
        """Whether nobody is at it, or somebody else than who began it."""
        return bool(job.resumed) or not await self._locks.is_held(job.id)

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
        facts = self._facts(owner, done) | receipts.counts(done) | {"clean": done.clean}
        facts["receipt"] = receipts.digest(receipt)
        event = spine.body("erasure.done", facts)
        await self._central.finish_erasure(done.id, msgspec.json.encode(done), receipt, now, event)
        # Another run may have been first: there is one receipt.
        return await self.find(owner, done.id)

    def _entry(self, owner: Owner, report: Report) -> Entry:
        covered = report.covered
        key = covered.key
        if key is not None and not (report.gone or report.state == "done"):
            key = self._keyring.key_digest(owner.id, key)
        return Entry(
            *(report.id, report.requested_at, covered.kind, owner.id, covered.connector, tuple(covered.instances)),
            stream=covered.stream,
            record=key,
            consent_field=covered.consent_field,
            everywhere=covered.everywhere,
        )

    def _digest(self, owner: Owner) -> str:
        return self._keyring.owner_digest(owner.id, owner.subject)

    def _facts(self, owner: Owner, report: Report) -> dict[str, object]:
        covered = report.covered
        if covered.key is not None and not report.gone:
            covered = replace(covered, key=self._keyring.key_digest(owner.id, covered.key))
        if covered.kind == "owner":
            return {"erasure": report.id, "scope": "owner"}
        named = {"stream": covered.stream, "record": covered.key}
        return {
            "erasure": report.id,
            "connector": covered.connector,
            "instances": list(covered.instances),
            **{name: value for name, value in named.items() if value is not None},
        }


def _meet(one: Covered, other: Covered) -> bool:
    """Whether anything may be covered by both; of two connectors one need not answer for the other to be erased."""
    return None in (one.connector, other.connector) or one.connector == other.connector


def new_id() -> str:
    """An id for an erasure."""
    return ERASURE + secrets.token_hex(12)
