"""`blobstore doctor`: checks every invariant that can be checked at rest."""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from blobstore.checks import BlobChecks, volumes
from blobstore.digest import Digest
from blobstore.errors import BlobError, Damaged, FuseBlown, Missing, NewerVersion, WrongStore
from blobstore.findings import Finding, Severity, Suspicion, certain, confirmed
from blobstore.gc import Wanted
from blobstore.remains import Remains
from blobstore.scrub import Pace
from records.central import Owner
from records.checks.central import CentralChecks
from records.checks.erasures import ErasureChecks
from records.checks.records import RecordChecks
from records.checks.sources import down_sources
from records.checks.sums import SumChecks
from records.engine import Engine
from records.errors import RecordError
from records.explanation import GRACE
from records.holdings import Holdings
from records.store import RecordStore
from tools import directory
from tools.findings_output import AsJson, AsText, Printer
from tools.looking import look_into
from tools.opening import Opening, store_options
from tools.output import json_option

ERRORS = 1
CANNOT_RUN = 2


@click.command()
@store_options
@click.option("--deep", is_flag=True, help="Hash all stored bytes again.")
@click.option("--repair", is_flag=True, help="Mend what can be mended without guessing.")
@json_option
def doctor(opening: Opening, deep: bool, repair: bool, as_json: bool) -> None:
    """Check the store in DIR, also while servers use it.

    Exit code 0: nothing is wrong (debris, which a collection removes, and notes may be there); 1: something is;
    2: it could not be checked.
    """
    printer = AsJson() if as_json else AsText(repairing=repair)
    complete = False
    try:
        errors = asyncio.run(_run(Examination(opening, deep, repair=repair), printer, repair=repair))
        complete = True
    except (BlobError, RecordError, OSError, click.ClickException) as error:
        raise _CannotRun(f"it could not be checked: {error}") from error
    finally:
        printer.finish(complete=complete)
    if errors:
        raise click.exceptions.Exit(ERRORS)


async def _run(examination: "Examination", printer: Printer, *, repair: bool) -> int:
    """How many errors are left."""
    errors = 0
    async with aclosing(examination.findings()) as findings:
        async for finding, again in findings:
            repaired = repair and finding.mend is not None and await _mend(finding, again)
            printer.show(finding, repaired=repaired)
            errors += finding.severity is Severity.ERROR and not repaired
    return errors


async def _mend(finding: Finding, again: Suspicion) -> bool:
    """Whether all is right afterwards; damage that could only be contained is not."""
    assert finding.mend is not None
    try:
        await finding.mend()
    except (BlobError, RecordError) as error:
        click.echo(f"{finding.subject}: not mended: {error}", err=True)
        return False
    return await again() is None


class Examination:
    """All checks of one data directory, in an order in which causes come before what follows from them."""

    def __init__(self, opening: Opening, deep: bool, *, repair: bool) -> None:
        self._opening = opening
        self._repair = repair
        self._data = opening.data
        self._deep = deep

    async def findings(self) -> AsyncGenerator[tuple[Finding, Suspicion]]:
        """Everything that is wrong. Raises `click.ClickException` where there is no store."""
        directory.require_store(self._data)
        missing = directory.missing_parts(self._data, self._opening.parts)
        around = (directory.permissions(self._data), directory.space(self._data, self._opening.floor))
        async for found in confirmed(_chain(*around, _certain(missing))):
            yield found
        if missing:
            return
        try:
            async with look_into(self._opening) as store:
                sound, harmless = True, True
                async for found in confirmed(self._until_damaged(self._inside(store))):
                    sound, harmless = False, harmless and found[0].severity is not Severity.ERROR
                    yield found
                checks = [volumes(store.blobs.catalogue, store.topology.catalogue)] if sound else []
                checks += [self._sums(store)] if harmless else []
                async for found in confirmed(self._until_damaged(_chain(*checks))):
                    yield found
                if not sound and self._repair:
                    # Whatever was wrong with blobs, holders and links made sums of them wrong, too: that is no news.
                    with suppress(BlobError):  # what is damaged beyond that was told
                        await store.blobs.catalogue.recount(repair=True)
                    for owner in await store.central.owners():
                        with suppress(BlobError):
                            if (engine := await store.engines.find(owner.id)) is not None:
                                await engine.resum(repair=True)
        except (NewerVersion, WrongStore, Damaged) as error:
            yield (finding := self._unopened(error)), certain(finding)

    async def _inside(self, store: RecordStore) -> AsyncIterator[Suspicion]:
        owners = {owner.id: owner for owner in await store.central.owners()}
        central = CentralChecks(store)
        lacks = [Finding("storage_lacks", Severity.NOTE, "blobs", lacking) for lacking in store.blobs.backend.lacks]
        async for each in _chain(_certain(lacks), directory.foreign_entries(self._data, owners), central.files()):
            yield each
        engines: dict[str, Engine] = {}
        down: dict[str, list[str]] = {}
        """By owner, connectors whose records cannot be read: of what they link nothing is known."""
        for owner in owners.values():
            try:
                engine = engines[owner.id] = await self._engine(store, owner)
            except (Damaged, NewerVersion, WrongStore, Missing) as error:
                yield certain(self._unopened(error))
                continue
            async for source in down_sources(store, owner, engine):
                down.setdefault(owner.id, []).append(source.connector)
                yield certain(self._unopened(source.__cause__ or source))
        sound = {id: engine for id, engine in engines.items() if id not in down}
        async for each in self._until_damaged(self._blobs(store, sound)):
            yield each
        for id, engine in engines.items():
            checks = RecordChecks(store, owners[id], engine, down.get(id, ()))
            async for each in self._until_damaged(_chain(checks.files(), checks.references(), checks.holders())):
                yield each
        erasures = ErasureChecks(store)
        async for each in _chain(
            *map(central.spine, owners.values()), *map(erasures.of, owners.values()), central.outboxes(sound)
        ):
            yield each

    async def _sums(self, store: RecordStore) -> AsyncIterator[Suspicion]:
        for owner in await store.central.owners():
            if (engine := await store.engines.find(owner.id)) is not None:
                async for each in SumChecks(owner, engine, store.blobs.catalogue).sums():
                    yield each

    async def _until_damaged(self, suspicions: AsyncIterator[Suspicion]) -> AsyncIterator[Suspicion]:
        """A check ends where a database cannot be read any further; those of others go on."""
        try:
            async for each in suspicions:
                yield each
        except Damaged as error:
            yield certain(self._unopened(error))

    def _unopened(self, error: BaseException) -> Finding:
        finding = _unopened(error)
        if finding.subject.startswith("records/"):  # a message has the file's name; where it is tells whose it is
            place = next(self._data.glob(f"records/*/{Path(finding.subject).name}"), None)
            return finding if place is None else replace(finding, subject=str(place.relative_to(self._data)))
        return finding

    async def _engine(self, store: RecordStore, owner: Owner) -> Engine:
        # To open it would make an empty one. An owner who never wrote anything may have none yet.
        if await store.engines.find(owner.id) is None and await store.central.instances(owner.id):
            part = store.topology.records(owner.id)
            raise Missing(f"{part}: the records of {owner.subject} are missing; restore them from a backup")
        return await store.engines.of(owner.id)

    async def _blobs(self, store: RecordStore, engines: Collection[str]) -> AsyncIterator[Suspicion]:
        async def namespaces() -> list[str]:
            return [owner.id for owner in await store.central.owners()]

        catalogue = store.blobs.catalogue
        checks = BlobChecks(store.blobs, _Links(store, engines), namespaces, store.topology.catalogue)
        remains = Remains(store.blobs)
        known = await namespaces()
        claims = [remains.claims(*party) for party in await catalogue.parties() if party[0] in known]
        async for each in _chain(
            *(checks.files(), checks.generations(), checks.objects(), remains.leases(), remains.staging()),
            *(*claims, _garbage(store)),
        ):
            yield each
        if self._deep:
            total = sum([(await catalogue.totals(namespace)).bytes for namespace in known])
            with _bar() as bar:
                async for each in checks.contents(_Shown(bar, total)):
                    yield each


async def _garbage(store: RecordStore) -> AsyncIterator[Suspicion]:
    """Whether a collection would be stopped by its fuse."""
    try:
        await store.collector.check_fuse(Wanted(GRACE))
    except FuseBlown as error:
        subject = store.topology.catalogue
        yield certain(Finding("collection_stopped", Severity.NOTE, subject, f"no garbage is collected: {error}"))


class _CannotRun(click.ClickException):
    exit_code = CANNOT_RUN


class _Links(Holdings):
    """An owner whose records cannot be asked may link anything."""

    def __init__(self, store: RecordStore, engines: Collection[str]) -> None:
        super().__init__(store.central, store.engines, store.blobs.catalogue)
        self._answering = engines

    async def linked(self, namespace: str, digests: Collection[Digest]) -> dict[Digest, str]:
        if namespace not in self._answering:
            return dict.fromkeys(digests, "")
        return await super().linked(namespace, digests)


class _Shown(Pace):
    """No pace, but a progress bar."""

    def __init__(self, bar: Progress, total: int) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("hashing", total=total)

    async def spend(self, size: int) -> None:
        self._bar.advance(self._task, size)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


async def _chain(*checks: AsyncIterator[Suspicion]) -> AsyncIterator[Suspicion]:
    for check in checks:
        async for each in check:
            yield each


async def _certain(findings: Iterable[Finding]) -> AsyncIterator[Suspicion]:
    for finding in findings:
        yield certain(finding)


def _unopened(error: BaseException) -> Finding:
    found = re.match(
        r"([\w-]+/)?[\w-]+\.(db|ledger)|blobs|store-id|schema \w+", str(error)
    )  # messages begin with the part
    subject = "." if found is None else found[0]
    if subject.endswith(".db") and not subject.startswith(("central.", "catalogue.")):
        subject = f"records/{subject}"
    match error:
        case WrongStore():
            return Finding("store_mismatch", Severity.ERROR, subject, f"{error}; it was not checked")
        case NewerVersion():
            return Finding("newer_version", Severity.ERROR, subject, f"{error}; it was not checked")
        case Missing():
            return Finding("missing_part", Severity.ERROR, subject, str(error))
        case _ if subject.endswith(".ledger"):
            message = (
                f"{error}; without one, move it aside: a new one begins, and older snapshots are then restored without"
            )
            return Finding("damaged_file", Severity.ERROR, subject, message)
        case _:
            return Finding("damaged_file", Severity.ERROR, subject, f"{error}; restore it from a backup")
