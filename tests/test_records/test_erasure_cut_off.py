"""Erasures that are cut off at any step and resumed, and what is written while they run."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from blobstore.digest import Digest
from blobstore.errors import LeaseLost, StorageUnavailable
from blobstore.gc import Collector
from blobstore.locked import try_file_lock
from records.central import Owner
from records.consent.scope import Selector
from records.copies import Copies
from records.erasure import receipts
from records.erasure.erasures import Erasures
from records.erasure.report import Covered, Erasure
from records.erasure.residue import Residues
from records.errors import Conflict, Fenced, Unknown
from records.holdings import Holdings
from records.store import RecordStore
from records.writing.attachments import Target
from tests.fakes.data_directory import CONNECTOR, MANIFEST, WHEN, delete, digest_of, ingest, objects, upload

SCOPES = ["record", "stream", "instance", "connector", "owner"]
RECORDS = 4


class Killed(BaseException):
    """The process is gone: nothing that stands in a `finally` may be relied on, and nothing after it runs."""


class Dying:
    """Stands for a port, and dies right before or right after its n-th call of those that write."""

    def __init__(self, port: Any, plan: "Plan") -> None:
        self._port = port
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in WRITES:
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            self._plan.step(name)
            answer = await found(*arguments, **named)
            self._plan.step(name)
            return self._plan.wrapped(answer)

        return call


WRITES = {
    *("begin_erasure", "redact_erasure", "finish_erasure", "forget_owner", "drop_state", "pause_erasure"),
    *("fence", "erase", "drop_claims", "forget_former", "sanitize", "recount", "forget_notes", "release", "condemn"),
    *("buried", "of", "keep_samples", "drop_samples"),
}


class Plan:
    """Counts steps, and dies at one of them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self.dead = False
        self.died_at = ""

    def step(self, name: str) -> None:
        if name == "of":
            return
        self.count += 1
        if self.dead or self.count == self.at:
            self.dead, self.died_at = True, self.died_at or name
            raise Killed(name)

    def wrapped(self, answer: Any) -> Any:
        return Dying(answer, self) if hasattr(answer, "first_links") else answer


def dying(store: RecordStore, plan: Plan) -> Erasures:
    """Erasures over the same files that die at a step."""
    central, catalogue = Dying(store.central, plan), Dying(store.blobs.catalogue, plan)
    engines = Dying(store.engines, plan)

    collector = Collector(store.blobs, Holdings(central, engines, store.blobs.catalogue))
    collector._catalogue = catalogue
    return Erasures(
        store.locks,
        central,
        engines,
        catalogue,
        collector,
        store.registry,
        store.audit,
        store.checkpoints,
        store.keyring,
        store.ledger,
        Residues(store.directory, None, store.blobs, central, engines),
        Copies(store.locks),
    )


async def fill(store: RecordStore) -> Owner:
    owner = await store.access.owner("ann")
    await store.registry.register(owner, msgspec.json.encode(MANIFEST))
    for number in range(RECORDS):
        await ingest(store, owner, str(number), [await upload(store, owner, b"blob %d" % number, str(number))])
    await upload(store, owner, b"claimed", "0")
    await ingest(store, owner, "gone", [await upload(store, owner, b"given up", "gone")])
    await delete(store, owner, "gone")
    return owner


async def covered(erasures: Erasures, owner: Owner, scope: str) -> Covered:
    match scope:
        case "record":
            return await erasures.coverage.of_records(owner, Selector(CONNECTOR), "documents", "0")
        case "stream":
            return await erasures.coverage.of_records(owner, Selector(CONNECTOR), "documents")
        case "instance":
            (instance,) = (await erasures.coverage.of_connector(owner, CONNECTOR)).instances
            return await erasures.coverage.of_instance(owner, instance)
        case "connector":
            return await erasures.coverage.of_connector(owner, CONNECTOR)
    return await erasures.coverage.of_owner(owner)


@pytest.mark.long
@pytest.mark.parametrize("scope", SCOPES)
async def test_an_erasure_that_is_cut_off_at_any_step_ends_with_the_true_totals(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rng: random.Random,
    sized: Callable[[int, int], int],
    scope: str,
) -> None:
    monkeypatch.setattr("records.erasure.erasing.ROWS", 2)
    whole = await cut_off(tmp_path / "whole", scope, NEVER)
    assert not whole.dead
    steps = range(1, whole.count + 1)
    for at in rng.sample(steps, min(sized(4, NEVER), len(steps))):
        assert (await cut_off(tmp_path / str(at), scope, at)).dead


async def test_bytes_that_were_condemned_before_the_cut_and_removed_after_it_are_counted(tmp_path: Path) -> None:
    """The step at which nothing but the catalogue knows what is being removed."""
    at = 1
    while (plan := await cut_off(tmp_path / str(at), "record", at)).died_at != "buried":
        at += 1
    assert plan.dead


NEVER = 1 << 30


async def cut_off(data: Path, scope: str, at: int) -> Plan:
    """Erase, die at a step, resume, and verify what came of it."""
    store = await RecordStore.open(data)
    owner = await fill(store)
    plan = Plan(at)
    erasures = dying(store, plan)
    with suppress(Killed):
        await erasures.erase(owner, await covered(erasures, owner, scope), wait=10)
    if begun := await store.central.erasures(owner.id, None, 10):
        await verify(store, begun[0].id, scope, was_cut_off=begun[0].state != "done")
    await store.close()
    return plan


async def verify(store: RecordStore, erasure: str, scope: str, *, was_cut_off: bool) -> None:
    assert await store.erasures.resume(10) == 0
    (owner,) = await store.central.owners()
    done = await store.erasures.find(owner, erasure)
    assert done.receipt is not None
    said, _ = receipts.verify(done.receipt, store.erasures.public_key)
    one = scope == "record"
    gone = [b"blob 0", b"claimed", b"given up"] if one else [b"claimed", b"given up", *_blobs()]
    expected = (1 if one else RECORDS, 1, len(gone), sum(map(len, gone)))
    assert (said.erased.records, said.erased.streams, said.erased.blobs, said.erased.bytes) == expected
    assert said.resumed == int(was_cut_off)
    left = {each.name.digest for each in await store.blobs.catalogue.walk(None, 100)}
    assert left == ({digest_of(data) for data in _blobs()[1:]} if one else set())
    assert {name.digest for name, _ in objects(store.blobs.backend)} == left
    assert await store.erasures.resume(10) == 0
    assert await store.erasures.find(owner, erasure) == done


def _blobs() -> list[bytes]:
    return [b"blob %d" % number for number in range(RECORDS)]


async def test_waiting_for_a_reader_is_no_resumption(store: RecordStore, ann: Owner) -> None:
    await ingest(store, ann, "1", [])
    blocked = True
    sanitize = store.central.sanitize

    async def blocking(timeout: float) -> bool:
        return not blocked and await sanitize(timeout)

    store.central.sanitize = blocking  # type: ignore[method-assign]
    running = await store.erasures.erase(ann, await covered(store.erasures, ann, "stream"), wait=0)
    assert (running.report.state, running.report.records, running.receipt) == ("running", 1, None)
    # What is written meanwhile is later: it is not the erasure's.
    await ingest(store, ann, "2", [await upload(store, ann, b"later", "2")])
    await upload(store, ann, b"claimed later", "1")
    assert await store.erasures.resume() == 1
    blocked = False
    assert await store.erasures.resume() == 0
    done = await store.erasures.find(ann, running.report.id)
    assert (done.report.state, done.report.records, done.report.resumed) == ("done", 1, 0)
    left = {each.name.digest for each in await store.blobs.catalogue.walk(None, 10)}
    assert left == {digest_of(b"later"), digest_of(b"claimed later")}


async def begun(store: RecordStore, owner: Owner, scope: str, *, steps: int) -> str:
    """An erasure that was cut off so many steps after it was written down."""
    at = 0
    while not (jobs := await store.central.erasures(owner.id, None, 10)):
        at += 1
        with suppress(Killed):
            await erase_with(dying(store, Plan(at + steps)), owner, scope)
    assert [job.state for job in jobs] == ["running"]
    return jobs[0].id


async def erase_with(erasures: Erasures, owner: Owner, scope: str) -> Erasure:
    return await erasures.erase(owner, await covered(erasures, owner, scope), wait=10)


async def ended(store: RecordStore, owner: Owner, erasure: str) -> Erasure:
    async with asyncio.timeout(60):
        while (found := await store.erasures.find(owner, erasure)).report.state != "done":
            await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize("scope", ["record", "stream"])
@pytest.mark.parametrize("steps", [0, 3])
async def test_what_is_written_after_an_erasure_was_cut_off_is_not_taken_by_it(
    store: RecordStore, scope: str, steps: int
) -> None:
    """Its sender had no answer, and begins anew without asking again: with the same records, too."""
    owner = await fill(store)
    erasure = await begun(store, owner, scope, steps=steps)
    await ingest(store, owner, "0", [await upload(store, owner, b"blob 0", "0")])
    await upload(store, owner, b"claimed", "0")
    await store.states.merge(owner, Selector(CONNECTOR), {"documents": b'"anew"'})
    await store.erasures.resume(10)
    done = (await ended(store, owner, erasure)).report
    assert (done.clean, done.resumed, done.records) == (True, 1, 1 if scope == "record" else RECORDS)
    stats = await (await store.engines.of(owner.id)).stats()
    assert sum(of.records for of in stats.values()) == (RECORDS if scope == "record" else 1)
    assert {digest_of(b"blob 0"), digest_of(b"claimed")} <= await held(store)
    assert (await store.states.get(owner, Selector(CONNECTOR))).state == {"documents": b'"anew"'}


async def test_a_write_gives_up_where_the_end_of_an_erasure_that_was_cut_off_takes_too_long(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await fill(store)
    erasure = await begun(store, owner, "stream", steps=0)
    monkeypatch.setattr("records.erasure.erasures.SETTLING", 0.2)
    with try_file_lock(store.directory / "locks" / erasure):  # another process is at it, and slow
        await store.central.take_up_erasure(erasure)
        with pytest.raises(StorageUnavailable, match="try again"):
            await store.ingests.begin(owner, "documents", Selector(CONNECTOR))
    monkeypatch.undo()
    await ingest(store, owner, "0", [])


# -- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
async def test_an_erasure_goes_on_when_nobody_waits_for_it_any_more(store: RecordStore, scope: str) -> None:
    owner = await fill(store)
    found = await store.erasures.erase(owner, await covered(store.erasures, owner, scope), wait=10, within=0)
    assert (found.report.state, found.receipt) == ("running", None)
    done = (await ended(store, owner, found.report.id)).report
    assert (done.clean, done.resumed) == (True, 0)


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_store_that_is_closed_cuts_off_what_is_under_way_and_its_next_life_finishes_it(
    tmp_path: Path, scope: str
) -> None:
    store = await RecordStore.open(tmp_path / "data")
    owner = await fill(store)
    found = await store.erasures.erase(owner, await covered(store.erasures, owner, scope), wait=10, within=0)
    resuming = asyncio.create_task(store.erasures.resume(10))
    await asyncio.sleep(0)
    resuming.cancel()
    await store.close()
    assert [task for task in asyncio.all_tasks() if task not in (asyncio.current_task(), resuming)] == []
    again = await RecordStore.open(tmp_path / "data")
    assert await again.erasures.resume(10) == 0
    (owner,) = await again.central.owners()
    assert (await again.erasures.find(owner, found.report.id)).report.clean
    await again.close()


# -- races -------------------------------------------------------------------------------------------------------------


class Between:
    """Stands for a port; before one of its methods something else happens, once."""

    def __init__(self, port: Any, method: str, event: Callable[[], Awaitable[None]]) -> None:
        self._port = port
        self._method = method
        self._event: Callable[[], Awaitable[None]] | None = event

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name != self._method or self._event is None:
            return found
        event, self._event = self._event, None

        async def call(*arguments: Any, **named: Any) -> Any:
            await event()
            return await found(*arguments, **named)

        return call


async def erase(store: RecordStore, owner: Owner, scope: str) -> Erasure:
    return await store.erasures.erase(owner, await covered(store.erasures, owner, scope), wait=10)


def lines(*keys: str, blob: str | None = None) -> list[bytes]:
    refs = [] if blob is None else [{"blob_ref": {"blob_id": blob, "mime_type": "text/plain"}}]
    return [
        json.dumps({"key": key, "emitted_at": WHEN, "data": {"id": key, "attachments": refs}}).encode() for key in keys
    ]


async def held(store: RecordStore) -> set[Digest]:
    return {each.name.digest for each in await store.blobs.catalogue.walk(None, 100)}


@pytest.mark.parametrize("scope", [each for each in SCOPES if each != "record"])
async def test_an_ingest_that_began_before_an_erasure_is_fenced_off_and_leaves_nothing(
    store: RecordStore, ann: Owner, scope: str
) -> None:
    blob = await upload(store, ann, b"late", "1")
    late = await store.ingests.begin(ann, "documents", Selector(CONNECTOR))
    await late.apply(lines("0"))
    await erase(store, ann, scope)
    with pytest.raises(Conflict):
        await late.apply(lines("1", blob=blob))
    assert all(of.records == 0 for of in (await (await store.engines.of(ann.id)).stats()).values())
    assert await store.blobs.catalogue.parties() == []
    assert await held(store) == set()


async def test_the_erasure_of_a_stream_leaves_writers_of_others_alone(store: RecordStore, ann: Owner) -> None:
    await ingest(store, ann, "0", [])
    others = await store.ingests.begin(ann, "photos", Selector(CONNECTOR))
    receiving = await store.attachments.receive(ann, Target(Selector(CONNECTOR), "photos", "1", "text/plain"))
    async with receiving as incoming:
        await incoming.write(b"a photo")
        await erase(store, ann, "stream")
        photo = str((await incoming.finish()).name.digest)
    await others.apply(lines("1", blob=photo))
    assert (others.accepted, others.rejected) == (1, 0)


@pytest.mark.parametrize("scope", SCOPES)
async def test_an_upload_that_began_before_an_erasure_is_fenced_off_and_leaves_nothing(
    store: RecordStore, ann: Owner, scope: str
) -> None:
    await ingest(store, ann, "0", [])
    receiving = await store.attachments.receive(ann, Target(Selector(CONNECTOR), "documents", "0", "text/plain"))
    async with receiving as incoming:
        await incoming.write(b"late")
        await erase(store, ann, scope)
        with pytest.raises(LeaseLost):
            await incoming.finish()
    assert await held(store) == set()
    assert await store.blobs.catalogue.leases() == []
    assert list(store.blobs.staging.files()) == []


async def test_the_erasure_of_a_record_leaves_uploads_for_others_alone(store: RecordStore, ann: Owner) -> None:
    receiving = await store.attachments.receive(ann, Target(Selector(CONNECTOR), "documents", "01", "text/plain"))
    async with receiving as incoming:
        await incoming.write(b"another's")
        await erase(store, ann, "record")
        await incoming.finish()
    assert await held(store) == {digest_of(b"another's")}


@pytest.mark.parametrize("scope", ["instance", "connector", "owner"])
async def test_who_found_a_connection_before_its_erasure_and_writes_after_it_is_refused(
    store: RecordStore, ann: Owner, scope: str
) -> None:
    await ingest(store, ann, "0", [])
    destination = await store.registry.destination(ann, "documents", Selector(CONNECTOR))

    async def found(*_: object) -> object:
        return destination

    await erase(store, ann, scope)
    store.registry.destination = found  # type: ignore[assignment,method-assign]
    with pytest.raises(Conflict):
        await store.ingests.begin(ann, "documents", Selector(CONNECTOR))
    with pytest.raises(Conflict):
        await upload(store, ann, b"late", "1")
    assert await held(store) == set()
    assert await store.blobs.catalogue.leases() == []


@pytest.mark.parametrize("method", ["drop_claims", "former", "removed"])
async def test_what_is_written_while_a_stream_is_erased_is_whole_on_one_side(
    store: RecordStore, ann: Owner, method: str
) -> None:
    await ingest(store, ann, "0", [await upload(store, ann, b"before", "0")])
    outcome: list[str] = []

    async def write() -> None:
        try:
            await ingest(store, ann, "1", [await upload(store, ann, b"meanwhile", "1")])
            outcome.append("taken")
        except (Fenced, LeaseLost):
            outcome.append("fenced")

    between = Between(store.blobs.catalogue, method, write)
    store.erasures._erasing._catalogue = between
    done = await erase(store, ann, "stream")
    assert done.report.state == "done"
    records = await (await store.engines.of(ann.id)).stats("files")
    kept = sum(of.records for of in records.values())
    assert (outcome, kept) in ((["taken"], 1), (["fenced"], 0))
    assert await held(store) == ({digest_of(b"meanwhile")} if kept else set())


async def test_an_instance_that_is_made_while_its_connector_is_erased_goes_with_it(
    store: RecordStore, ann: Owner
) -> None:
    await ingest(store, ann, "0", [])

    async def write() -> None:
        await ingest(store, ann, "0", [await upload(store, ann, b"new", "0", instance="new")], instance="new")

    store.erasures._runs._central = Between(store.central, "begin_erasure", write)
    done = await erase(store, ann, "connector")
    assert (done.report.records, done.report.blobs) == (2, 1)
    assert "new" in done.report.covered.instances
    assert await held(store) == set()


async def test_many_writers_and_erasers_leave_nothing_half_done(store: RecordStore, ann: Owner) -> None:
    async def write(number: int) -> None:
        for turn in range(6):
            with suppress(Conflict, LeaseLost, Unknown, AssertionError):
                key = f"{number}-{turn}"
                await ingest(store, ann, key, [await upload(store, ann, key.encode(), key)])

    async def erasing(scope: str) -> None:
        for _ in range(3):
            with suppress(Conflict, Unknown, ValueError):
                await erase(store, ann, scope)
            await store.registry.register(ann, msgspec.json.encode(MANIFEST))

    await asyncio.gather(*(write(number) for number in range(4)), *(map(erasing, ("stream", "connector", "record"))))
    with suppress(Unknown):
        await erase(store, ann, "connector")
    await store.collect(0)
    assert await held(store) == set()
    assert await store.blobs.catalogue.parties() == []
    assert all(of.records == 0 for of in (await (await store.engines.of(ann.id)).stats()).values())
