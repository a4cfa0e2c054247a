"""The residue scan finds what an erasure left, in every class of file, and nothing where nothing is left."""

import asyncio
import json
import random
import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from blobstore.catalogue import Lease
from blobstore.sqlite.connection import connect
from records.central import ErasureJob, Owner
from records.consent.scope import Selector
from records.erasure.report import Covered, Report, Residue
from records.erasure.sampling import Going
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, digest_of, ingest, upload

ERASURE = "era_test"
MOMENT = "2026-11-23T10:00:00.000000Z"


class Filled:
    """A store in which ann has twenty letters with attachments, and what of them must be nowhere."""

    def __init__(self, store: RecordStore, ann: Owner, seed: int) -> None:
        self.store = store
        self.ann = ann
        self.data = store.directory
        rng = random.Random(seed)
        self.texts = [" ".join(rng.randbytes(4).hex() for _ in range(30)) for _ in range(20)]
        self.blobs = [rng.randbytes(20_000) for _ in range(20)]

    async def fill(self, texts: list[str] | None = None) -> None:
        await asyncio.gather(*(self._add(str(n), text) for n, text in enumerate(texts or self.texts)))
        state = {"documents": json.dumps({"cursor": f"where we were: {self.texts[0][::-1]}"}).encode()}
        await self.store.states.merge(self.ann, Selector(CONNECTOR), state)
        await upload(self.store, self.ann, self.blobs[0][::-1], "a letter that never comes " + self.texts[1][:40])

    async def _add(self, key: str, text: str) -> None:
        blob = await upload(self.store, self.ann, self.blobs[int(key)], key)
        await ingest(self.store, self.ann, key, [blob], text=text)

    async def prepare(self, stream: str | None = None, key: str | None = None) -> Going:
        """As an erasure begins: written down, and samples taken."""
        instances = [each.id for each in await self.store.central.instances(self.ann.id, CONNECTOR)]
        going = Going(CONNECTOR, instances, stream, key)
        # Of what is said to be gone already: no other erasure waits for it, nobody takes it up.
        report = Report(ERASURE, Covered("connector", CONNECTOR, instances), MOMENT, gone=True)
        job = ErasureJob(ERASURE, self.ann.id, msgspec.json.encode(report), "running", MOMENT, None, None)
        await self.store.central.begin_erasure(job, b"{}")
        samples = await self.store.residues.take(self.ann, [going])
        await self.store.residues.keep(ERASURE, samples)
        return going

    async def scan(self, *, whole: bool = True, reason: str = "") -> Residue:
        async def again() -> None:
            """Nothing else is going on here."""

        return await self.store.residues.scan(self.ann, ERASURE, whole=whole, reason=reason, again=again)

    async def erase(self) -> str:
        """All of the connector, as it is done by a server; gives the reason by which its blobs went."""
        report = (
            await self.store.erasures.erase(
                self.ann, await self.store.erasures.coverage.of_connector(self.ann, CONNECTOR), wait=10
            )
        ).report
        assert report.state == "done"
        return f"erasure {report.id}"


@pytest.fixture
async def filled(store: RecordStore, ann: Owner, rng: random.Random) -> Filled:
    filled = Filled(store, ann, rng.randrange(1 << 30))
    await filled.fill()
    return filled


async def test_before_anything_goes_living_rows_show_all_samples_of_texts(filled: Filled) -> None:
    await filled.prepare()
    found = await filled.scan()
    assert found.samples >= 40
    assert (found.result, found.shared) == ("clean", found.samples)


async def test_after_an_erasure_nothing_is_found(filled: Filled) -> None:
    await filled.prepare()
    found = await filled.scan(reason=await filled.erase())
    assert (found.result, found.places, found.found, found.unread) == ("clean", [], {}, 0)
    assert (found.shared, found.named) == (0, 21)
    assert found.samples >= 40
    assert found.classes["databases"] == 3
    assert found.classes["logs"] >= 3
    assert found.files == sum(found.classes.values())
    assert found.bytes > 100_000


async def test_rows_that_were_deleted_and_not_overwritten_are_found(filled: Filled) -> None:
    """What the erasure takes care of is what the scan sees: without it the same rows are residue."""
    await filled.prepare()
    with closing(connect(filled.data / "records" / f"{filled.ann.id}.db")) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("DELETE FROM records")
    found = await filled.scan()
    assert found.result == "residue"
    assert "logs" in found.found
    assert all(filled.ann.id in place.path for place in found.places)


async def test_pages_that_are_free_are_searched(filled: Filled) -> None:
    await filled.prepare()
    path = filled.data / "records" / f"{filled.ann.id}.db"
    with closing(connect(path)) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("DELETE FROM records")
        assert db.execute("PRAGMA freelist_count").fetchone()[0] > 0
        assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert set((await filled.scan()).found) == {"databases"}


def in_staging(filled: Filled, content: bytes) -> Path:
    path = filled.data / "staging" / filled.store.blobs.staging.process / secrets.token_hex(16)
    path.write_bytes(content)
    return path


def beside(filled: Filled, content: bytes) -> Path:
    """A scratch file of a tool, or a copy that somebody made."""
    path = filled.data / "scratch" / "copy.sqlite"
    path.parent.mkdir()
    path.write_bytes(content)
    return path


def among_blobs(filled: Filled, content: bytes) -> Path:
    path = filled.data / "blobs" / filled.ann.id / "copy of a letter"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def in_a_journal(filled: Filled, content: bytes) -> Path:
    path = filled.data / "central.db-journal"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("plant", "kind"),
    [(in_staging, "staging"), (beside, "other"), (among_blobs, "other"), (in_a_journal, "logs")],
)
async def test_what_is_left_in_a_file_is_found_with_its_offset(
    filled: Filled, plant: Callable[[Filled, bytes], Path], kind: str
) -> None:
    await filled.prepare()
    reason = await filled.erase()
    path = plant(filled, b"".join([bytes(4097), *filled.blobs]))
    found = await filled.scan(reason=reason)
    assert (found.result, set(found.found)) == ("residue", {kind})
    content = path.read_bytes()
    for place in found.places:
        assert filled.data / place.path == path
        assert any(content[place.offset : place.offset + 32] in blob for blob in filled.blobs)


async def test_text_is_found_wherever_it_is_left(filled: Filled) -> None:
    await filled.prepare()
    reason = await filled.erase()
    (filled.data / "notes.txt").write_text("\n".join(filled.texts))
    found = await filled.scan(reason=reason)
    assert found.result == "residue"
    assert len(found.places) >= 10


async def test_a_blob_whose_file_came_back_is_found_by_its_name(filled: Filled) -> None:
    await filled.prepare()
    stored = await filled.store.blobs.catalogue.find(filled.ann.id, digest_of(filled.blobs[7]))
    assert stored is not None
    hex = stored.name.digest.hex
    path = filled.data / "blobs" / filled.ann.id / hex[:2] / hex[2:4] / f"{hex}.{stored.name.generation}"
    reason = await filled.erase()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"whatever")
    found = await filled.scan(reason=reason)
    assert [(place.kind, filled.data / place.path) for place in found.places] == [("blobs", path)]


async def test_a_quarantined_file_may_hold_something_else_than_its_name_says(filled: Filled) -> None:
    await upload(filled.store, filled.ann, b"bytes of another source", "kept", "photos")
    stored = await filled.store.blobs.catalogue.find(filled.ann.id, digest_of(b"bytes of another source"))
    assert stored is not None
    await filled.prepare("documents")
    hex = stored.name.digest.hex
    path = filled.data / "blobs" / filled.ann.id / hex[:2] / hex[2:4] / f"{hex}.{stored.name.generation}"
    await filled.store.erasures.erase(
        filled.ann,
        await filled.store.erasures.coverage.of_records(filled.ann, Selector(CONNECTOR), "documents"),
        wait=10,
    )
    path.chmod(0o600)
    path.write_bytes(b"".join(filled.blobs))
    await filled.store.blobs.catalogue.quarantine(stored.name)
    found = await filled.scan()
    assert {(place.kind, filled.data / place.path) for place in found.places} == {("quarantine", path)}


async def test_an_upload_that_is_under_way_is_no_residue(filled: Filled) -> None:
    await filled.prepare()
    reason = await filled.erase()
    path = in_staging(filled, b"".join(filled.blobs))
    process = filled.store.blobs.staging.process
    lease = Lease(path.name, filled.ann.id, CONNECTOR, "somewhere", process, 1e12, None)
    await filled.store.blobs.catalogue.lease(lease)
    assert (await filled.scan(reason=reason)).result == "clean"


async def test_what_another_source_has_too_is_shared_and_stays(filled: Filled) -> None:
    other = await filled.store.access.owner("bob")
    await filled.store.registry.register(other, json.dumps(MANIFEST).encode())
    beside = Filled(filled.store, other, 0)
    beside.blobs = filled.blobs
    await beside.fill([*filled.texts[:10], *beside.texts[10:]])
    await filled.prepare()
    found = await filled.scan(reason=await filled.erase())
    assert found.result == "clean"
    assert 0 < found.shared < found.samples


async def test_for_one_record_the_databases_of_others_are_not_searched(filled: Filled) -> None:
    bob = await filled.store.access.owner("bob")
    await filled.store.engines.of(bob.id)
    await filled.prepare("documents", "3")
    assert (
        await filled.store.erasures.erase(
            filled.ann,
            await filled.store.erasures.coverage.of_records(filled.ann, Selector(CONNECTOR), "documents", "3"),
            wait=10,
        )
    ).report.records
    few, all_of_them = await filled.scan(whole=False), await filled.scan(whole=True)
    assert (few.result, all_of_them.result) == ("clean", "clean")
    assert all_of_them.classes["databases"] == few.classes["databases"] + 1
    assert few.samples >= 2
    assert few.shared == 0


async def test_what_an_event_of_the_spine_shows_is_residue_though_it_lives(filled: Filled) -> None:
    await filled.prepare()
    reason = await filled.erase()
    events = [(1, json.dumps({"kind": "careless", "text": text}).encode()) for text in filled.texts]
    for number, (_, event) in enumerate(events, 1):
        await filled.store.central.append(filled.ann.id, "tests", [(number, event)], MOMENT)
    assert (await filled.scan(reason=reason)).result == "residue"


async def test_residue_that_goes_before_the_second_look_is_none(filled: Filled) -> None:
    await filled.prepare()
    reason = await filled.erase()
    path = in_staging(filled, b"".join(filled.blobs))

    async def again() -> None:
        path.unlink()

    found = await filled.store.residues.scan(filled.ann, ERASURE, whole=True, reason=reason, again=again)
    assert found.result == "clean"


async def test_the_samples_outlive_the_process_and_are_no_residue_themselves(filled: Filled) -> None:
    going = await filled.prepare()
    kept = await filled.store.central.samples(ERASURE)
    assert kept is not None
    await filled.store.residues.keep(ERASURE, await filled.store.residues.take(filled.ann, [going]))
    assert await filled.store.residues.are_kept(ERASURE)
    assert await filled.store.central.samples(ERASURE) == kept
    await filled.erase()
    store = await RecordStore.open(filled.data)
    reopened = Filled(store, filled.ann, 0)
    (filled.data / "left").write_bytes(b"".join(filled.blobs))
    assert (await reopened.scan()).found.keys() == {"other"}
    await store.close()


async def test_when_they_are_forgotten_no_file_shows_samples_or_their_key(filled: Filled) -> None:
    await filled.prepare()
    kept = await filled.store.central.samples(ERASURE)
    assert kept is not None
    key, sealed = kept
    pieces = [key, *(sealed[at : at + 32] for at in range(0, len(sealed), 32))]
    assert _shown(filled.data, pieces)
    await filled.store.residues.forget(ERASURE)
    assert await filled.store.central.sanitize(10)
    assert _shown(filled.data, pieces) == set()


async def test_a_receipt_names_no_place(filled: Filled) -> None:
    await filled.prepare()
    reason = await filled.erase()
    (filled.data / "left").write_bytes(b"".join(filled.blobs))
    member = (await filled.scan(reason=reason)).member()
    assert member["result"] == "residue"
    assert isinstance(member["found"], dict)
    assert set(member["found"]) == {"other"}
    assert "left" not in json.dumps(member)


async def test_an_erasure_of_nothing_looks_for_nothing_and_proves_nothing(store: RecordStore, ann: Owner) -> None:
    filled = Filled(store, ann, 0)
    await filled.prepare()
    found = await filled.scan()
    assert (found.result, found.samples) == ("nothing_sought", 0)


def _shown(data: Path, pieces: list[bytes]) -> set[str]:
    contents = {path.name: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    return {name for name, content in contents.items() if any(piece in content for piece in pieces)}
