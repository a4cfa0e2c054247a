"""Exports: what is in a bag, that the same data are the same bytes, and what may happen while one is read."""

import asyncio
import json
import random
import sqlite3
import tarfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import bagit
import pytest

from blobstore.catalogue import Pin
from blobstore.digest import Content
from blobstore.errors import ContentMismatch, OutOfSpace, StorageUnavailable
from blobstore.pinned import pinned
from blobstore.scratch import ScratchDatabase, ScratchFile
from records.audit.heads import embedded
from records.audit.spine import body, verify
from records.bag import layout, watch
from records.bag.contents import Member, Source
from records.bag.export import Export
from records.bag.layout import file_name
from records.bag.lines import SpineLine, read
from records.bag.tar import header
from records.bag.untar import TarArchive
from records.central import ErasureJob, Owner
from records.consent.scope import Selector
from records.errors import BadBag, Unknown
from records.model import Partition
from records.signing import SignedDocument
from records.store import RecordStore
from tests.fakes.bags import (
    CHAT,
    EMPTY,
    INSTANCES,
    KEYS,
    MAIL,
    ONLY_CHAT,
    ONLY_MAIL,
    SHARED,
    WAITING,
    WHEN,
    InMemory,
    Writer,
    bag_of,
    files_of,
    fill,
    lines_of,
    manifest,
    sealed,
    take,
    tar_of,
    unpacked,
    whole,
)
from tests.fakes.data_directory import digest_of
from tests.fakes.descriptors import open_under

STREAMS = 6


@pytest.fixture
async def owner(store: RecordStore) -> Owner:
    owner = await store.access.owner("an owner")
    await fill(store, owner)
    return owner


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[RecordStore]:
    """Another server."""
    store = await RecordStore.open(tmp_path / "other")
    yield store
    await store.close()


# -- what is in it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connector", [None, MAIL, CHAT])
async def test_the_public_validator_accepts_a_bag(
    store: RecordStore, owner: Owner, connector: str | None, tmp_path: Path
) -> None:
    bag = bagit.Bag(str(unpacked(await bag_of(store, owner, connector), tmp_path / "out")))
    bag.validate()
    assert bag.info["Blobstore-Export-Format"] == "1"


async def test_both_kinds_of_manifest_list_every_file_with_its_digest(store: RecordStore, owner: Owner) -> None:
    files = files_of(await bag_of(store, owner))
    for begin, listed in (
        ("manifest", {path for path in files if path.startswith("data/")}),
        ("tagmanifest", {path for path in files if not path.startswith(("data/", "tagmanifest"))}),
    ):
        for algorithm in ("blake3", "sha256"):
            rows = [line.split("  ") for line in files[f"{begin}-{algorithm}.txt"].decode().splitlines()]
            assert {path for _, path in rows} == listed
            assert [path for _, path in rows] == sorted(listed)
            if algorithm == "blake3":
                assert all(digest_of(files[path]).hex == digest for digest, path in rows)


async def test_records_are_lines_that_can_be_ingested_again_byte_for_byte(store: RecordStore, owner: Owner) -> None:
    files = files_of(await bag_of(store, owner, CHAT))
    place = Partition(CHAT, "chat-one", "messages")
    lines = files[layout.records(place)].split(b"\n")[:-1]
    engine = await store.engines.of(owner.id)
    stored = {each.key: each.data for each in await engine.get([place], KEYS)}
    assert [json.loads(line)["key"] for line in lines] == sorted(KEYS)
    assert all(stored[json.loads(line)["key"]] in line for line in lines)
    (pair, other) = lines_of(files, layout.records(Partition(CHAT, "chat-one", "pairs")))
    assert [pair["key"], other["key"]] == ['["l","r"]', '["l","r/\\u0000"]']


async def test_every_blob_that_is_linked_or_claimed_is_there_once(store: RecordStore, owner: Owner) -> None:
    files = files_of(await bag_of(store, owner))
    blobs = {path: data for path, data in files.items() if path.startswith("data/blobs/")}
    expected = (SHARED, ONLY_MAIL, ONLY_CHAT, WAITING, EMPTY)
    assert blobs == {layout.blob(digest_of(data)): data for data in expected}
    assert [each["path"] for each in lines_of(files, layout.BLOBS)] == sorted(blobs)
    attached = lines_of(files, layout.ATTACHMENTS)
    instances = sum(map(len, INSTANCES.values()))
    assert len(attached) == 7 * instances
    assert {each["filename"] for each in attached} == {"1.png", "2.png", "3.png", "once.png"}
    waiting = lines_of(files, layout.WAITING)
    assert [(each["key"], each["place"]) for each in waiting] == [("not yet", "/blob_ref"), ("not yet", "@record")] * (
        instances
    )


async def test_a_connectors_bag_has_nothing_of_another(store: RecordStore, owner: Owner) -> None:
    archive = await bag_of(store, owner, CHAT)
    for foreign in (ONLY_MAIL, MAIL.encode(), b"work/"):
        assert foreign not in archive
    assert set(lines_of(files_of(archive), layout.CONNECTORS)[0].values()) >= {CHAT}


async def test_what_was_erased_deleted_or_superseded_is_not_in_it(store: RecordStore, owner: Owner) -> None:
    archive = await bag_of(store, owner)
    assert b'"gone"' not in archive
    assert b'"old"' not in archive
    await store.erasures.erase(
        owner, await store.erasures.coverage.of_records(owner, Selector(CHAT, "chat-one"), "records", "2"), wait=10
    )
    archive = await bag_of(store, owner)
    assert ONLY_CHAT not in archive
    assert digest_of(ONLY_CHAT).hex.encode() not in archive


async def test_streams_without_records_are_files_without_lines(store: RecordStore, owner: Owner) -> None:
    files = files_of(await bag_of(store, owner))
    streams = lines_of(files, layout.STREAMS)
    assert len(streams) == STREAMS * sum(map(len, INSTANCES.values()))
    assert all(files[each["path"]].count(b"\n") == each["records"] for each in streams)
    assert {each["stream"] for each in streams if not each["records"]} == {"Messages", "empty/never"}
    assert len({each["path"].lower() for each in streams}) == len(streams)


async def test_states_and_manifests_are_there_to_the_letter(store: RecordStore, owner: Owner) -> None:
    files = files_of(await bag_of(store, owner, CHAT))
    assert files[layout.manifest(CHAT)] == manifest(CHAT)
    assert files[layout.state(Partition(CHAT, "chat-one", "messages"))] == b'{ "cursor" : 1.50 }'
    assert [each["stream"] for each in lines_of(files, layout.STATES)] == ["log", "messages"]


async def test_an_owner_without_anything_has_a_bag(store: RecordStore, tmp_path: Path) -> None:
    nobody = await store.access.owner("nobody")
    bagit.Bag(str(unpacked(await bag_of(store, nobody), tmp_path / "out"))).validate()
    with pytest.raises(Unknown):
        await bag_of(store, nobody, CHAT)


# -- the database ------------------------------------------------------------------------------------------------------


async def test_the_database_opens_in_any_sqlite(store: RecordStore, owner: Owner, tmp_path: Path) -> None:
    db = sqlite3.connect(unpacked(await bag_of(store, owner), tmp_path / "out") / layout.DATABASE)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    views = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
    assert len({each.lower() for each in views}) == len(views) == STREAMS * 2
    for view in views:
        db.execute(f'SELECT * FROM "{view}"').fetchall()
    assert db.execute("SELECT count(*) FROM records").fetchone() == (sum(map(len, INSTANCES.values())) * 17,)
    db.close()


async def test_a_view_has_a_column_for_each_field(store: RecordStore, owner: Owner, tmp_path: Path) -> None:
    db = sqlite3.connect(unpacked(await bag_of(store, owner, CHAT), tmp_path / "out") / layout.DATABASE)
    db.row_factory = sqlite3.Row
    (row,) = db.execute('SELECT * FROM "messages 2" WHERE _key = ?', ("💾",))
    assert dict(row) | {"_id": 0} == {
        "_id": 0,
        "_instance": "chat-one",
        "_key": "💾",
        "_emitted_at": "2026-11-23T10:00:00Z",
        "id": "💾",
        "at": None,
        "text": "\u00e4",
        "Text 2": None,
        "blob_ref": None,
        'odd "name': "[1]",
        "$x": "dollar",
        "1": 1,
    }
    attached = db.execute(
        'SELECT b.path, a.filename FROM "records 2" r JOIN attachments a ON a.record = r._id'
        " JOIN blobs b ON b.blob_id = a.blob WHERE r.id = '2' ORDER BY a.pointer"
    ).fetchall()
    assert [tuple(each) for each in attached] == [(layout.blob(digest_of(ONLY_CHAT)), "2.png")] * 2
    db.close()


# -- the same bytes ----------------------------------------------------------------------------------------------------


async def test_the_same_data_are_the_same_bytes_whoever_has_them_and_whatever_came_before(
    store: RecordStore, owner: Owner, other: RecordStore
) -> None:
    first = await bag_of(store, owner)
    stranger = await other.access.owner("somebody else")
    await other.registry.register(stranger, manifest(CHAT).replace(b'"1"', b'"0"'))
    before = Writer(other, stranger, CHAT, "chat-one")
    await before.put("messages", "erased", '{"id":"erased"}')
    await other.erasures.erase(
        stranger, await other.erasures.coverage.of_records(stranger, Selector(CHAT), "messages", "erased"), wait=10
    )
    await fill(other, stranger, {CHAT: ONLY_CHAT, MAIL: ONLY_MAIL})
    assert await bag_of(other, stranger) == first == await bag_of(store, owner)


async def test_erasing_another_source_that_shares_blobs_changes_not_a_byte(store: RecordStore, owner: Owner) -> None:
    before = await bag_of(store, owner, CHAT)
    await store.erasures.erase(owner, await store.erasures.coverage.of_connector(owner, MAIL), wait=10)
    await store.collect(0)
    assert await bag_of(store, owner, CHAT) == before == await bag_of(store, owner)


async def test_any_range_of_the_archive_is_what_stands_there(
    store: RecordStore, owner: Owner, rng: random.Random
) -> None:
    archive = await bag_of(store, owner)
    async with store.exports.open(owner) as export:
        assert export.size == len(archive)
        assert await export.read(export.size, 10) == await export.read(export.size + 5, 10) == b""
        for _ in range(300):
            start = rng.randrange(len(archive))
            length = rng.choice((1, 511, 512, 513, 70_000))
            assert await export.read(start, length) == archive[start : start + length]


# -- while it is read --------------------------------------------------------------------------------------------------


async def test_what_is_written_meanwhile_is_not_in_it(store: RecordStore, owner: Owner) -> None:
    before = await bag_of(store, owner)
    async with store.exports.open(owner) as export:
        await Writer(store, owner, CHAT, "chat-one").put("messages", "new", '{"id":"new"}')
        await Writer(store, owner, CHAT, "chat-one").delete("messages", "a")
        assert await whole(export) == before
    assert await bag_of(store, owner) != before


async def test_what_loses_its_last_record_is_not_collected_while_it_may_be_sent(
    store: RecordStore, owner: Owner
) -> None:
    writer = Writer(store, owner, CHAT, "chat-one")
    async with store.exports.open(owner) as export:
        await writer.delete("records", "2")
        assert (await store.collect(0)).blobs == 0
        assert ONLY_CHAT in await whole(export)
    assert (await store.collect(0)).blobs == 1


@pytest.mark.parametrize("erased", ["a record", "a connector"])
async def test_an_erasure_does_not_wait_and_the_export_breaks_off(
    store: RecordStore, owner: Owner, erased: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.0)
    async with store.exports.open(owner) as export, store.exports.open(owner, MAIL) as untouched:
        await export.read(0, 1000)
        if erased == "a record":
            target = await store.erasures.coverage.of_records(owner, Selector(CHAT), "messages", "a")
        else:
            target = await store.erasures.coverage.of_connector(owner, CHAT)
        await store.erasures.erase(owner, target, wait=10)
        with pytest.raises(StorageUnavailable, match="export again"):
            await export.read(0, 1000)
        assert len(await whole(untouched)) == untouched.size


async def test_an_erasure_is_complete_when_no_open_export_holds_what_went(
    store: RecordStore, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 3600.0)  # they do not look by themselves
    target = await store.erasures.coverage.of_records(owner, Selector(CHAT), "messages", "a")
    async with store.exports.open(owner, MAIL):
        async with store.exports.open(owner, CHAT):
            begun = await store.erasures.erase(owner, target, wait=0.2)
            assert begun.report.state == "running"
            assert await store.erasures.resume() == 1
        assert await store.erasures.resume() == 0
    assert (await store.erasures.find(owner, begun.report.id)).report.state == "done"


async def test_a_copy_of_a_process_that_was_killed_holds_nothing_back(store: RecordStore, owner: Owner) -> None:
    abandoned = store.directory / "locks" / f"copy_{owner.id}_{'0' * 16}"
    abandoned.touch()
    target = await store.erasures.coverage.of_records(owner, Selector(CHAT), "messages", "a")
    assert (await store.erasures.erase(owner, target, wait=10)).report.state == "done"
    assert not abandoned.exists()


@pytest.mark.parametrize("reading", ["bytes", "files"])
async def test_an_export_that_nobody_reads_on_lets_go_of_what_is_erased(
    store: RecordStore, owner: Owner, reading: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.01)
    async with store.exports.open(owner) as export:
        await export.read(0, 1000)
        members = export.members()
        await anext(members)
        assert nameless(store) > 0
        target = await store.erasures.coverage.of_connector(owner, CHAT)
        await store.erasures.erase(owner, target, wait=10)
        async with asyncio.timeout(20):
            while nameless(store):
                await asyncio.sleep(0.01)
        with pytest.raises(StorageUnavailable, match="export again"):
            await (export.read(0, 1000) if reading == "bytes" else anext(export.members()))


def nameless(store: RecordStore) -> int:
    """Scratch files that this process has open."""
    return sum(each.endswith("(deleted)") for each in open_under(store.directory / "staging"))


async def test_who_closes_an_export_waits_for_who_reads_it(
    store: RecordStore, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, may_read = threading.Event(), threading.Event()

    async def open_it() -> None:
        async with store.exports.open(owner) as export:
            opened.set_result(export)
            await asyncio.sleep(60)

    def slowly(file: ScratchFile, offset: int, length: int) -> bytes:
        reads.set()
        assert may_read.wait(20)
        return read_scratch(file, offset, length)

    read_scratch = ScratchFile.read
    opened: asyncio.Future[Export] = asyncio.get_running_loop().create_future()
    opener = asyncio.create_task(open_it())
    export = await opened
    first = await anext(member async for member in export.members() if member.source is Source.TEXT)
    monkeypatch.setattr(ScratchFile, "read", slowly)
    reader = asyncio.create_task(export.read_member(first, 0, first.size))
    assert await asyncio.to_thread(reads.wait, 20)
    opener.cancel()
    await asyncio.sleep(0.05)
    may_read.set()
    assert len(await reader) == first.size
    with pytest.raises(asyncio.CancelledError):
        await opener
    with pytest.raises(StorageUnavailable, match="given up"):
        await export.read_member(first, 0, first.size)


async def test_while_an_erasure_is_under_way_nothing_is_exported(store: RecordStore, owner: Owner) -> None:
    job = ErasureJob("era_1", owner.id, b"{}", "running", WHEN, None, None)
    await store.central.begin_erasure(job, body("erasure.begin", {"connector": CHAT}))
    with pytest.raises(StorageUnavailable, match="under way"):
        await bag_of(store, owner)


async def test_the_file_of_a_record_that_was_erased_is_missing_at_once(store: RecordStore, owner: Owner) -> None:
    async with store.exports.open(owner) as export:
        await store.erasures.erase(
            owner, await store.erasures.coverage.of_records(owner, Selector(CHAT), "records", "2"), wait=10
        )
        assert await store.blobs.catalogue.find(owner.id, digest_of(ONLY_CHAT)) is None
        with pytest.raises(StorageUnavailable, match="export again"):
            await whole(export)


# -- the audit log -----------------------------------------------------------------------------------------------------


async def test_the_audit_log_comes_along_only_where_it_is_asked_for(
    store: RecordStore, owner: Owner, tmp_path: Path
) -> None:
    assert b"spine" not in b"".join(path.encode() for path in files_of(await bag_of(store, owner)))
    async with store.exports.open(owner, CHAT, with_spine=True) as export:
        archive = await whole(export)
    files = files_of(archive)
    events = [read(line, SpineLine).event() for line in files[layout.SPINE].splitlines()]
    head = embedded(SignedDocument.verify(files[layout.CHECKPOINT], store.checkpoints.public_key)).spine_head
    assert head is not None
    assert list(verify(events, known={head.seq: bytes.fromhex(head.hash)})) == []
    assert [event.seq for event in events] == list(range(1, head.seq + 1))
    bagit.Bag(str(unpacked(archive, tmp_path / "out"))).validate()
    assert (await take(store, "somebody", archive)).records == 17


async def test_an_audit_log_that_was_changed_is_refused(store: RecordStore, owner: Owner) -> None:
    async with store.exports.open(owner, CHAT, with_spine=True) as export:
        files = files_of(await whole(export))
    lines = files[layout.SPINE].splitlines(keepends=True)
    for changed in (
        {layout.SPINE: b"".join(lines[:-1])},
        {layout.SPINE: b"".join(lines[1:])},
        {layout.SPINE: files[layout.SPINE].replace(b'"size":7', b'"size":8')},
        {layout.SPINE: b""},
        {layout.CHECKPOINT: b"{}"},
        {layout.CHECKPOINT: files[layout.CHECKPOINT].replace(b'"seq":', b'"seq":1')},
    ):
        assert changed.items() - files.items()
        with pytest.raises(BadBag):
            await take(store, "somebody", tar_of(sealed({**files, **changed})))
    with pytest.raises(BadBag):
        await take(store, "somebody", tar_of(sealed({name: files[name] for name in files if name != layout.SPINE})))


async def test_a_receipt_tells_the_bag_and_the_head_after_it(store: RecordStore, owner: Owner) -> None:
    async with store.exports.open(owner, CHAT) as export:
        await store.exports.note(owner, export)
        receipt = await store.exports.receipt(owner, export)
    document = SignedDocument.verify(receipt, store.checkpoints.public_key)
    assert document.content["bag"] == export.name
    assert document.content["connectors"] == [CHAT]
    head = await store.checkpoints.read(owner, receipt)
    noted = [event.seq for event in await store.audit.events(owner, 0, 10_000) if export.name.encode() in event.body]
    assert noted
    assert noted[0] <= head.seq


async def test_a_blob_that_was_healed_meanwhile_is_read_from_its_new_copy(store: RecordStore, owner: Owner) -> None:
    archive = await bag_of(store, owner)
    async with store.exports.open(owner) as export:
        stored = await store.blobs.catalogue.find(owner.id, digest_of(SHARED))
        assert stored is not None
        await store.blobs.catalogue.quarantine(stored.name)
        await Writer(store, owner, CHAT, "chat-one").upload(SHARED, "records", "1")
        await store.collector.remove_condemned()
        assert await whole(export) == archive


async def test_bytes_that_are_not_those_of_their_digest_never_end_an_export_cleanly(
    store: RecordStore, owner: Owner, tmp_path: Path
) -> None:
    (file,) = (store.directory / "blobs" / owner.id).glob(f"*/*/{digest_of(SHARED).hex}.*")
    file.chmod(0o600)
    file.write_bytes(b"S" + SHARED[1:])
    with pytest.raises(ContentMismatch, match=digest_of(SHARED).hex):
        await bag_of(store, owner)


async def test_a_blob_that_is_named_and_not_stored_is_told_before_anything_is_sent(
    store: RecordStore, owner: Owner
) -> None:
    stored = await store.blobs.catalogue.find(owner.id, digest_of(SHARED))
    assert stored is not None
    await store.blobs.catalogue.quarantine(stored.name)
    with pytest.raises(StorageUnavailable, match=digest_of(SHARED).hex):
        async with store.exports.open(owner):
            pytest.fail("it was opened")


async def test_an_export_leaves_no_file_and_no_pin(store: RecordStore, owner: Owner) -> None:
    async with store.exports.open(owner) as export:
        await export.read(0, 1000)
        assert list(store.blobs.staging.files()) == []
        assert len(await store.blobs.catalogue.pins()) == 1
    opening = asyncio.ensure_future(bag_of(store, owner))
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert await store.blobs.catalogue.pins() == []


async def test_who_gives_up_while_a_pin_is_written_leaves_none(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = store.blobs.catalogue
    pin = catalogue.pin

    async def commit_all_the_same(wanted: Pin) -> None:
        await pin(wanted)
        await asyncio.sleep(60)

    monkeypatch.setattr(catalogue, "pin", commit_all_the_same)
    waiting = asyncio.ensure_future(pinned(store.blobs, None).__aenter__())
    while not await catalogue.pins():
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await catalogue.pins() == []


# -- scratch and names -------------------------------------------------------------------------------------------------


async def test_a_scratch_file_has_no_name_and_reads_back_what_was_appended(store: RecordStore) -> None:
    file = ScratchFile(store.blobs.staging)
    file.append(b"0123456789" * 1000)
    file.append(b"end")
    assert (file.size, file.read(9_998, 10), file.read(0, 3)) == (10_003, b"89end", b"012")
    assert list(store.blobs.staging.files()) == []
    file.close()
    file.close()


async def test_a_scratch_database_that_is_full_says_so(store: RecordStore) -> None:
    database = ScratchDatabase(store.blobs.staging)
    database.execute("PRAGMA max_page_count = 3")
    database.execute("CREATE TABLE t (x BLOB)")
    with pytest.raises(OutOfSpace):
        database.execute("INSERT INTO t VALUES (zeroblob(100000))")
    database.close()
    database.close()


@pytest.mark.parametrize("name", [*KEYS, "", ".", "..", "CON", "aux", "a.b", "-", "_", "é", "e\u0301", "x" * 600])
def test_a_file_name_is_safe_everywhere(name: str) -> None:
    made = file_name(name)
    assert made.isascii()
    assert made == made.lower()
    assert 0 < len(made) <= 80
    assert made[0].isalnum()
    assert not set(made) & set('/\\:*?"<>| \0\n')
    assert made.split(".")[0] not in ("con", "aux")


def test_different_names_are_different_files() -> None:
    names = [*KEYS, "", "e\u0301", "é", "E", "e", file_name("é")]
    assert len({file_name(name) for name in names}) == len(names)


async def test_headers_depend_on_path_and_size_alone(store: RecordStore, owner: Owner, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(await bag_of(store, owner))
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    assert max(len(each.name) for each in members) > 100
    assert {(each.mtime, each.uid, each.uname, each.mode) for each in members} == {(0, 0, "", 0o644)}


@pytest.mark.parametrize("size", [0, 8**11 - 1, 8**11, 1 << 45])
def test_a_file_of_any_size_has_a_header_that_readers_take(size: int) -> None:
    head = header(Member("data/blobs/large", Content(digest_of(b""), bytes(32), size), Source.BLOB))

    class Archive(InMemory):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, length).ljust(length, b"\0")

    source = Archive(head)
    source.size = len(head) + size + 1024
    (found,) = TarArchive(source).files()
    assert (found.path, found.size, int(found.where)) == ("data/blobs/large", size, len(head))
    assert tarfile.TarInfo.frombuf(head[-512:], "utf-8", "strict").type == tarfile.REGTYPE
