"""Checks of what uploads leave behind: leases, staging files and claims whose time is over."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial

from blobstore.catalogue import Catalogue, ClaimedBlob, Lease, State
from blobstore.findings import BATCH, Finding, Severity, Suspicion
from blobstore.store import BlobStore

_COLLECTED = "a collection removes it"


class Remains:
    """Checks of one store."""

    def __init__(self, store: BlobStore) -> None:
        self._catalogue = store.catalogue
        self._staging = store.staging

    async def leases(self) -> AsyncIterator[Suspicion]:
        """Leases that nobody renews any more."""
        leases = await self._catalogue.leases()
        dead = await self._dead(leases)
        for lease in leases:
            if _is_over(lease, dead):
                yield partial(self._judge_lease, lease)

    async def staging(self) -> AsyncIterator[Suspicion]:
        """Staging files without a lease, and folders of processes that died."""
        # Files first, leases after: a lease is committed before its file is made.
        files = await asyncio.to_thread(lambda: list(self._staging.files()))
        leases = {lease.id for lease in await self._catalogue.leases()}
        for process, lease, _ in files:
            if lease not in leases:
                yield partial(self._judge_file, process, lease)
        staged = {process for process, *_ in files}
        for process in await asyncio.to_thread(self._staging.dead):
            if process not in staged:
                yield partial(self._judge_folder, process)

    async def claims(self, namespace: str, holder: str) -> AsyncIterator[Suspicion]:
        """Claims of one holder that have expired, or whose blob is gone."""
        async for page in _claims(self._catalogue, namespace, holder):
            digests = sorted({each.digest for each in page})
            rows = await asyncio.gather(*(self._catalogue.generations(namespace, digest) for digest in digests))
            kept = {row.name.digest for found in rows for row in found if row.state is not State.CONDEMNED}
            for claimed in page:
                if claimed.digest not in kept or claimed.claim.expires_at <= time.time():
                    yield partial(self._judge_claim, namespace, claimed)

    async def _dead(self, leases: Sequence[Lease]) -> set[str]:
        return set(await asyncio.to_thread(self._staging.dead, {lease.process for lease in leases}))

    async def _judge_lease(self, lease: Lease) -> Finding | None:
        leases = await self._catalogue.leases()
        dead = await self._dead(leases)
        now = next((each for each in leases if each.id == lease.id), None)
        if now is None or not _is_over(now, dead):
            return None
        why = "its process died" if now.process in dead else f"it expired {_moment(now.expires_at)}"
        message = f"the lease of an upload to {now.namespace} is over: {why}; {_COLLECTED}"
        return Finding("expired_lease", Severity.DEBRIS, f"staging/{now.process}/{now.id}", message)

    async def _judge_file(self, process: str, lease: str) -> Finding | None:
        files = await asyncio.to_thread(lambda: list(self._staging.files()))
        size = next((size for *name, size in files if name == [process, lease]), None)
        if size is None or any(each.id == lease for each in await self._catalogue.leases()):
            return None
        message = f"{size} bytes of an upload that is over; {_COLLECTED}"
        return Finding("staging_debris", Severity.DEBRIS, f"staging/{process}/{lease}", message)

    async def _judge_folder(self, process: str) -> Finding | None:
        if process not in await asyncio.to_thread(self._staging.dead):
            return None
        message = f"the staging folder of a process that died; {_COLLECTED}"
        return Finding("staging_debris", Severity.DEBRIS, f"staging/{process}", message)

    async def _judge_claim(self, namespace: str, claimed: ClaimedBlob) -> Finding | None:
        if claimed not in await self._catalogue.claims_of(namespace, claimed.digest):
            return None
        what = f"the claim of {claimed.claim.holder} in {namespace} for {claimed.claim.slot}"
        if claimed.claim.expires_at <= time.time():
            message = f"{what} expired {_moment(claimed.claim.expires_at)}: its record never came; {_COLLECTED}"
            return Finding("expired_claim", Severity.DEBRIS, str(claimed.digest), message)
        rows = await self._catalogue.generations(namespace, claimed.digest)
        if any(row.state is not State.CONDEMNED for row in rows):
            return None
        message = f"{what} is for a blob that is not stored, though its upload was acknowledged; upload it again"
        return Finding("claim_without_blob", Severity.ERROR, str(claimed.digest), message)


async def _claims(catalogue: Catalogue, namespace: str, holder: str) -> AsyncIterator[list[ClaimedBlob]]:
    """All claims of a holder, in pieces."""
    after = None
    while page := await catalogue.claims_by(namespace, holder, BATCH, after):
        yield page
        after = page[-1].claim.slot, page[-1].digest


def _is_over(lease: Lease, dead: set[str]) -> bool:
    return lease.expires_at <= time.time() or lease.process in dead


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
