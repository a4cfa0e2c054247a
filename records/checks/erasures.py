"""Checks of erasures: is each on the ledger, is its receipt still what was signed, was any cut off?"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from blobstore.findings import Finding, Severity, Suspicion
from records import times
from records.central import ErasureJob, Owner
from records.erasure import ledger, receipts
from records.signing import NotGenuine
from records.store import RecordStore

UNDER_WAY = timedelta(minutes=5)
"""An erasure that was begun less long ago may still be at work."""


class ErasureChecks:
    """Checks of one record store's erasures."""

    def __init__(self, store: RecordStore) -> None:
        self._central = store.central
        self._erasures = store.erasures
        self._ledger = store.ledger
        self._public_key = store.keyring.signer().public_key

    async def of(self, owner: Owner) -> AsyncIterator[Suspicion]:
        """Every erasure of the owner."""
        async for job in self._erasures.jobs(owner):
            if job.state != "done":
                yield partial(self._judge_unfinished, job)
                continue
            if not await self._ledger.has(job.id):
                yield partial(self._judge_ledger, owner, job)
            if _void(job, self._public_key) is not None:
                yield partial(self._judge_receipt, owner, job.id)

    async def _judge_unfinished(self, job: ErasureJob) -> Finding | None:
        under_way = datetime.now(UTC) - times.parse(job.requested_at) < UNDER_WAY
        if under_way or all(each.id != job.id for each in await self._central.unfinished_erasures()):
            return None
        message = f"begun {job.requested_at} and not completed; a running server, or a collection, finishes it"
        return Finding("erasure_unfinished", Severity.DEBRIS, job.id, message)

    async def _judge_ledger(self, owner: Owner, job: ErasureJob) -> Finding | None:
        if await self._ledger.has(job.id):
            return None
        message = "it is not on the erasure ledger: restoring an older snapshot would bring back what it erased"
        try:
            mend = partial(ledger.write, self._ledger, self._erasures.entry(owner, job))
        except msgspec.MsgspecError:
            message += "; and what it erased cannot be read any more"
            return Finding("ledger_incomplete", Severity.ERROR, job.id, message)
        return Finding("ledger_incomplete", Severity.ERROR, job.id, message, "write it there", mend)

    async def _judge_receipt(self, owner: Owner, erasure: str) -> Finding | None:
        job = await self._central.erasure(owner.id, erasure)
        void = None if job is None else _void(job, self._public_key)
        message = f"its receipt is not what was signed: {void}; whoever was given it has the right one"
        return None if void is None else Finding("receipt_void", Severity.ERROR, erasure, message)


def _void(job: ErasureJob, public_key: str) -> str | None:
    """What is wrong with the receipt of an erasure that is done."""
    if job.receipt is None:
        return "it is missing"
    try:
        receipt, _ = receipts.verify(job.receipt, public_key)
    except NotGenuine as error:
        return str(error)
    return None if receipt.erasure_id == job.id else f"it is that of {receipt.erasure_id}"
