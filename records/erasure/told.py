"""How an erasure is told of: to who asks for it, to the ledger, and on the spine."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import msgspec

from records.central import Central, ErasureJob, Owner
from records.erasure.erasing import Erasing
from records.erasure.ledger import Entry
from records.erasure.report import Erasure, Report
from records.errors import Unknown
from records.keyring import Keyring

PAGE = 500
"""Erasures that are read at once."""


class Told:
    """What there is to be told of the erasures of a store. A record's own key is told by its digest alone."""

    def __init__(self, central: Central, erasing: Erasing, keyring: Keyring) -> None:
        self._central = central
        self._erasing = erasing
        self._keyring = keyring

    async def find(self, owner: Owner, erasure: str) -> Erasure:
        """How an erasure stands, with its receipt once it is done. Raises `Unknown`."""
        job = await self._central.erasure(owner.id, erasure)
        if job is None:
            raise Unknown("no such erasure")
        return await self._of(owner, job)

    async def listed(self, owner: Owner, after: str | None, limit: int) -> Sequence[Erasure]:
        """The owner's erasures, newest first, beyond the one with the id `after`."""
        return [await self._of(owner, job) for job in await self._central.erasures(owner.id, after, limit)]

    async def jobs(self, owner: Owner) -> AsyncIterator[ErasureJob]:
        """Every erasure of the owner that was begun, newest first."""
        after = None
        while jobs := await self._central.erasures(owner.id, after, PAGE):
            for job in jobs:
                yield job
            after = jobs[-1].id

    async def so_far(self, owner: Owner, report: Report) -> Erasure:
        """One that is not done, with what it has counted until now."""
        return Erasure((await self._erasing.counted(owner, report))[0], None)

    def entry_of(self, owner: Owner, job: ErasureJob) -> Entry:
        """The erasure as the ledger must have it. Raises `msgspec.MsgspecError` where it is damaged."""
        return self.entry(owner, msgspec.json.decode(job.result or job.target, type=Report))

    def entry(self, owner: Owner, report: Report) -> Entry:
        """What the ledger is to have of it."""
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

    def facts(self, owner: Owner, report: Report) -> dict[str, object]:
        """What the spine is to have of it."""
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

    async def _of(self, owner: Owner, job: ErasureJob) -> Erasure:
        if job.result is not None:
            return Erasure(msgspec.json.decode(job.result, type=Report), job.receipt)
        report = replace(msgspec.json.decode(job.target, type=Report), resumed=job.resumed)
        key = report.covered.key
        if key is not None and not report.gone:
            report = replace(report, covered=replace(report.covered, key=self._keyring.key_digest(owner.id, key)))
        return await self.so_far(owner, report)
