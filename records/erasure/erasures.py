"""Erasure: content, history, links, claims, state and orphaned bytes go, and the answer is given when they are gone.

What goes is looked at first (`previews`), written down before its first step, on the erasure ledger too, then done
(`runs`): every step may be repeated, so one that a crash cut off is finished by `resume`. All scopes, from a record
to a whole owner, take this one way.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence

from blobstore.catalogue import Catalogue
from blobstore.errors import StorageUnavailable
from blobstore.gc import Collector
from records import times
from records.audit.checkpoints import Checkpoints
from records.audit.outboxes import Audit
from records.central import Central, ErasureJob, Owner
from records.copies import Copies
from records.engine import Engines
from records.erasure.coverage import Coverage
from records.erasure.erasing import Erasing
from records.erasure.ledger import Entry, Ledger
from records.erasure.previews import Previews
from records.erasure.report import Covered, Erasure, Kept, Preview, Report
from records.erasure.residue import Residues
from records.erasure.runs import PAUSE, Decide, Runs
from records.erasure.told import Told
from records.erasure.underway import Tasks, takes, unfinished
from records.keyring import Keyring
from records.locks import ERASURE, PREFIXES, Locks
from records.model import Partition
from records.registry import Registry

SETTLING = 20.0
"""Seconds that a write waits for an erasure of its place that was cut off before."""


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
        self._audit = audit
        self._tasks = Tasks()
        self._previews = Previews(catalogue)
        self.coverage = Coverage(central, engines, registry)
        self._erasing = erasing = Erasing(central, engines, catalogue, collector, keyring)
        self._told = told = Told(central, erasing, keyring)
        self._runs = Runs(
            *(locks, central, engines, catalogue, checkpoints, keyring, ledger, residues, copies), erasing, told
        )

    @property
    def public_key(self) -> str:
        """Whose signature the receipts of this server have."""
        return self._runs.public_key

    # -- looking, erasing ------------------------------------------------------------------------------------------

    async def preview(self, owner: Owner, covered: Covered) -> Preview:
        """What erasing this would do now. It removes nothing."""
        engine = await self._engines.of(owner.id)
        if covered.connector is not None:
            await self._erasing.release_noted(owner, engine, covered.connector)
        return await self._previews.preview(owner, engine, covered)

    async def erase(
        self, owner: Owner, covered: Covered, *, wait: float, within: float | None = None, erasure: str | None = None
    ) -> Erasure:
        """Erase; complete when the state is `done`. A reader that stands in the way is waited for `wait` seconds.

        `erasure` is an id from `new_id` where it has to be known before.

        After `within` seconds, where they are given, it is told how the erasure stands once it is written down. It goes
        on by itself then, as it does when the caller is cancelled; `close` cuts it off, and `resume` finishes it.
        """
        erasure = erasure or new_id()
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
            await asyncio.shield(self._tasks.start(self._runs.take_up(owner, erasure, deadline - time.monotonic())))
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
                    tasks[job.id] = self._tasks.start(self._runs.take_up(owner, job.id, 0.0))
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
        return await self._runs.begin(owner, report, 0.0)

    async def resume(self, wait: float = 0.0) -> int:
        """Go on with erasures that were begun and not completed, unless another process is at them; how many remain."""
        remaining = 0
        owners = {owner.id: owner for owner in await self._central.owners()}
        for begun in await self._central.unfinished_erasures():
            task = self._tasks.start(self._runs.take_up(owners[begun.owner], begun.id, wait))
            remaining += not await asyncio.shield(task)
        await self._locks.held(*PREFIXES)  # what a crash or a failing disk left of locks goes
        return remaining

    # -- what was done ---------------------------------------------------------------------------------------------

    async def find(self, owner: Owner, erasure: str) -> Erasure:
        """How an erasure stands, with its receipt once it is done. Raises `Unknown`."""
        return await self._told.find(owner, erasure)

    async def listed(self, owner: Owner, after: str | None, limit: int) -> Sequence[Erasure]:
        """The owner's erasures, newest first, beyond the one with the id `after`."""
        return await self._told.listed(owner, after, limit)

    def jobs(self, owner: Owner) -> AsyncIterator[ErasureJob]:
        """Every erasure of the owner that was begun, newest first."""
        return self._told.jobs(owner)

    def entry(self, owner: Owner, job: ErasureJob) -> Entry:
        """The erasure as the ledger must have it. Raises `msgspec.MsgspecError` where it is damaged."""
        return self._told.entry_of(owner, job)

    # -- inside ----------------------------------------------------------------------------------------------------

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
        return await self._runs.begin(owner, Report(erasure, covered, times.now(), kept=kept), wait, written, decide)

    async def _taking(self, owner: Owner, place: Partition) -> list[ErasureJob]:
        return [job for job, report in await unfinished(self._central, owner) if takes(report, place)]

    async def _is_cut_off(self, job: ErasureJob) -> bool:
        """Whether nobody is at it, or somebody else than who began it."""
        return bool(job.resumed) or not await self._locks.is_held(job.id)


def new_id() -> str:
    """An id for an erasure."""
    return ERASURE + secrets.token_hex(12)
