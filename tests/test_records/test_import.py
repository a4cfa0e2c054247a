"""Imports: what was exported comes back byte for byte, and whatever is not a whole bag of ours is refused whole."""

import asyncio
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from blobstore.errors import StorageUnavailable
from records.bag import archive as archives
from records.bag import check, layout
from records.bag.folder import FolderArchive
from records.bag.untar import TarArchive
from records.central import Owner
from records.consent.scope import Scope, Selector
from records.errors import BadBag, Conflict, Invalid
from records.model import Partition
from records.store import RecordStore
from tests.fakes.bags import (
    CHAT,
    INSTANCES,
    MAIL,
    ONLY_CHAT,
    SHARED,
    InMemory,
    Writer,
    bag_of,
    files_of,
    fill,
    lines_of,
    manifest,
    relisted,
    sealed,
    take,
    tar_of,
    unpacked,
    whole,
)
from tests.fakes.data_directory import digest_of, in_store

Files = dict[str, bytes]
PLACE = Partition(CHAT, "chat-one", "records")
RECORDS = layout.records(PLACE)
A_BLOB = layout.blob(digest_of(ONLY_CHAT))


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str | None, bytes]:
    """An owner's bag, and that of each connector."""

    async def make(store: RecordStore) -> dict[str | None, bytes]:
        owner = await store.access.owner("an owner")
        await fill(store, owner)
        return {connector: await bag_of(store, owner, connector) for connector in (None, MAIL, CHAT)}

    return in_store(tmp_path_factory.mktemp("exported") / "data", make)


@pytest.fixture
def good(bags: Mapping[str | None, bytes]) -> Files:
    """The files of a good bag."""
    return files_of(bags[CHAT])


async def is_empty(store: RecordStore) -> bool:
    """Nothing came in, and nothing was left on the way."""
    return not (
        await store.central.owners()
        or await store.blobs.catalogue.walk(None, 10)
        or await store.blobs.catalogue.leases()
        or list(store.blobs.staging.files())
        or list(store.blobs.backend.list())
    )


# -- there and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connector", [None, MAIL, CHAT])
async def test_what_was_exported_and_imported_is_exported_again_byte_for_byte(
    store: RecordStore, bags: Mapping[str | None, bytes], connector: str | None
) -> None:
    await take(store, "somebody", bags[connector])
    owner = await store.access.owner("somebody")
    assert await bag_of(store, owner, connector) == bags[connector]
    await store.collect(0)
    assert await bag_of(store, owner, connector) == bags[connector]
    assert await (await store.engines.of(owner.id)).check() == []


async def test_importing_again_changes_nothing(store: RecordStore, bags: Mapping[str | None, bytes]) -> None:
    first = await take(store, "somebody", bags[None])
    again = await take(store, "somebody", bags[None])
    assert (first.records, first.blobs) == (17 * 4, 2 * 3 + 2 * 4)
    assert (again.records, again.blobs) == (17 * 4, 2 * 4)
    owner = await store.access.owner("somebody")
    assert await bag_of(store, owner) == bags[None]


async def test_one_connector_of_a_bag_is_imported_alone(store: RecordStore, bags: Mapping[str | None, bytes]) -> None:
    await take(store, "somebody", bags[None], CHAT)
    owner = await store.access.owner("somebody")
    assert await bag_of(store, owner) == bags[CHAT]
    await take(store, "somebody", bags[MAIL])
    assert await bag_of(store, owner) == bags[None]
    with pytest.raises(BadBag, match="no connector"):
        await take(store, "somebody", bags[CHAT], MAIL)


async def test_the_default_instance_is_the_default_again(store: RecordStore) -> None:
    owner = await store.access.owner("an owner")
    await store.registry.register(owner, manifest(CHAT))
    await Writer(store, owner, CHAT, None).put("messages", "a", '{"id":"a"}')
    archive = await bag_of(store, owner)
    await take(store, "somebody", archive)
    somebody = await store.access.owner("somebody")
    await Writer(store, somebody, CHAT, None).put("messages", "b", '{"id":"b"}')
    assert len(await store.central.instances(somebody.id)) == 1
    await store.registry.register(await store.access.owner("third"), manifest(CHAT))
    await Writer(store, await store.access.owner("third"), CHAT, None).put("messages", "c", '{"id":"c"}')
    with pytest.raises(Conflict, match="another default"):
        await take(store, "third", archive)


async def test_a_collection_without_grace_takes_nothing_from_an_import(
    store: RecordStore, bags: Mapping[str | None, bytes]
) -> None:
    importing = asyncio.ensure_future(take(store, "somebody", bags[None]))
    collections = 0
    while not importing.done():
        await store.collect(0)
        collections += 1
        await asyncio.sleep(0)
    await importing
    assert collections > 3
    assert await bag_of(store, await store.access.owner("somebody")) == bags[None]


async def test_an_empty_bag_is_imported(store: RecordStore) -> None:
    archive = await bag_of(store, await store.access.owner("nobody"))
    assert (await take(store, "somebody", archive)).connectors == []


async def test_a_folder_is_imported_as_an_archive_is(
    store: RecordStore, bags: Mapping[str | None, bytes], tmp_path: Path
) -> None:
    folder = FolderArchive(unpacked(bags[None], tmp_path / "out"))
    checked = await store.imports.check(folder)
    await store.imports.load(await store.access.owner("somebody"), checked)
    checked.close()
    folder.close()
    assert await bag_of(store, await store.access.owner("somebody")) == bags[None]


async def test_an_archive_that_gnu_tar_made_of_the_folder_is_imported(
    store: RecordStore, bags: Mapping[str | None, bytes], tmp_path: Path
) -> None:
    unpacked(bags[None], tmp_path / "out")
    for number, (folder, name) in enumerate((("out", "export"), ("out/..", "./out/export"))):
        made = tmp_path / f"{number}.tar"
        assert os.system(f"tar -C {tmp_path / folder} -cf {made} {'export' if number == 0 else name}") == 0
    await take(store, "somebody", (tmp_path / "0.tar").read_bytes())
    assert await bag_of(store, await store.access.owner("somebody")) == bags[None]
    with pytest.raises(BadBag):
        await take(store, "somebody", (tmp_path / "1.tar").read_bytes())


async def test_records_of_a_stream_that_is_not_declared_any_more_are_exported_and_counted(store: RecordStore) -> None:
    owner = await store.access.owner("an owner")
    await fill(store, owner, {CHAT: ONLY_CHAT})
    declared = json.loads(manifest(CHAT))
    declared["streams"] = [each for each in declared["streams"] if each["name"] == "messages"]
    await store.registry.register(owner, json.dumps(declared).encode())
    archive = await bag_of(store, owner)
    assert files_of(archive)[RECORDS].count(b"\n") == 3
    imported = await take(store, "somebody", archive)
    assert (imported.records, imported.skipped) == (11, 7)  # six records, and a state


async def test_the_import_is_on_the_spine(store: RecordStore, bags: Mapping[str | None, bytes]) -> None:
    await take(store, "somebody", bags[CHAT])
    events = await store.audit.events(await store.access.owner("somebody"), 0, 10_000)
    kinds = [json.loads(event.body)["kind"] for event in events]
    assert kinds.count("import") == kinds.count("import.begin") == 1
    assert {"connector.register", "blob.upload", "records.ingest", "state.put"} <= set(kinds)


# -- what is there already ---------------------------------------------------------------------------------------------


async def test_what_is_here_otherwise_is_a_conflict_before_anything_is_stored(
    store: RecordStore, bags: Mapping[str | None, bytes]
) -> None:
    owner = await store.access.owner("somebody")
    await store.registry.register(owner, manifest(CHAT).replace(b'"version": "1"', b'"version": "2"'))
    with pytest.raises(Conflict, match="another manifest"):
        await take(store, "somebody", bags[None])
    assert [each.key for each in await store.registry.connectors(Scope.of_owner(owner))] == [CHAT]
    await store.registry.register(owner, manifest(CHAT))
    await take(store, "somebody", bags[CHAT])
    await store.erasures.erase(owner, await store.erasures.coverage.of_instance(owner, "chat-one"), wait=10)
    with pytest.raises(Conflict, match="was erased"):
        await take(store, "somebody", bags[CHAT])


async def test_what_was_exported_and_erased_comes_back_under_another_name(
    store: RecordStore, bags: Mapping[str | None, bytes]
) -> None:
    await take(store, "somebody", bags[None])
    owner = await store.access.owner("somebody")
    await store.erasures.erase(owner, await store.erasures.coverage.of_connector(owner, CHAT), wait=10)
    with pytest.raises(Conflict, match="OLD=NEW"):
        await take(store, "somebody", bags[None])
    assert await bag_of(store, owner) == bags[MAIL]
    await take(store, "somebody", bags[None], renamed={"chat-one": "chat-two"})
    files, before = files_of(await bag_of(store, owner, CHAT)), files_of(bags[CHAT])
    assert files[RECORDS.replace("chat-one", "chat-two")] == before[RECORDS]
    assert files[layout.BLOBS] == before[layout.BLOBS]
    assert files[layout.WAITING] == before[layout.WAITING].replace(b"chat-one", b"chat-two")
    for wrong in ({"nobody": "x"}, {"home": "Home"}, {"home": " "}):
        with pytest.raises(Invalid):
            await take(store, "somebody", bags[None], renamed=wrong)


@pytest.mark.parametrize(("old", "new"), [(SHARED[:9_999], SHARED[:9_998] + b"X"), (b'"dollar"', b'"pounds"')])
async def test_a_bag_that_changes_after_it_was_checked_is_noticed(
    store: RecordStore, bags: Mapping[str | None, bytes], old: bytes, new: bytes
) -> None:
    source = InMemory(bags[CHAT])
    checked = await store.imports.check(TarArchive(source))
    source.data = bags[CHAT].replace(old, new)
    with pytest.raises(BadBag, match="changed"):
        await store.imports.load(await store.access.owner("somebody"), checked)
    checked.close()


# -- hostile archives --------------------------------------------------------------------------------------------------


def member(name: str, kind: bytes = tarfile.REGTYPE, **members: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in members.items():
        setattr(info, key, value)
    return info


EVIL_NAMES = [
    "/etc/passwd",
    "export/../../evil",
    "export/data/../evil",
    "export/./evil",
    "..",
    "export//evil",
    "elsewhere/evil",
    "evil",
    "export/a\nb",
    "export/data/\u00e9",
    "export/data/e\u0301",
    "export/data/a b",
    "export/data/a\\b",
    "export/C:evil",
    "export/-rf",
    "export/.hidden",
    "export/" + "x/" * 300 + "deep",
    "export/" + "x" * 500,
    "export/extra.txt",
    "export/data/extra.txt",
    "export/data/blobs/00/" + "0" * 64,
    "export/fetch.txt",
    "export/manifest-md5.txt",
]


@pytest.mark.parametrize("name", EVIL_NAMES)
async def test_a_file_that_no_bag_of_ours_has_is_refused(store: RecordStore, good: Files, name: str) -> None:
    with pytest.raises(BadBag):
        await take(store, "somebody", tar_of(good, (member(name, size=4), b"evil")))
    assert await is_empty(store)


async def test_a_name_with_nul_is_refused(store: RecordStore, good: Files) -> None:
    named = member("export/extra", size=0, pax_headers={"path": "export/README.md\0.txt"})
    with pytest.raises(BadBag):
        await take(store, "somebody", tar_of(good, (named, b"")))
    assert await is_empty(store)


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XGLTYPE,
        b"Z",
    ],
)
async def test_whatever_is_no_file_is_refused(store: RecordStore, good: Files, kind: bytes) -> None:
    with pytest.raises(BadBag):
        await take(store, "somebody", tar_of(good, (member("export/data/link", kind, linkname="/etc/passwd"), b"")))
    assert await is_empty(store)


@pytest.mark.parametrize("path", ["README.md", "readme.MD", "data/connectors.ndjson", "data/Connectors.ndjson"])
async def test_two_files_of_one_name_are_refused(store: RecordStore, good: Files, path: str) -> None:
    data = good.get(path, good.get("README.md", b""))
    with pytest.raises(BadBag, match=r"twice|file systems"):
        await take(store, "somebody", tar_of(good, (member(f"export/{path}", size=len(data)), data)))
    assert await is_empty(store)


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 600, 5_000, -20_000, -10_240])
async def test_an_archive_that_was_cut_off_is_refused(
    store: RecordStore, bags: Mapping[str | None, bytes], cut: int
) -> None:
    with pytest.raises(BadBag):
        await take(store, "somebody", bags[CHAT][:cut])
    assert await is_empty(store)


@pytest.mark.parametrize("junk", [b"", b"\0" * 10_240, b"not a tar" * 1000, b"\x1f\x8b" + b"\0" * 600])
async def test_what_is_no_archive_is_refused(store: RecordStore, junk: bytes) -> None:
    with pytest.raises(BadBag):
        await take(store, "somebody", junk)
    assert await is_empty(store)


async def test_a_giant_header_is_not_read_into_memory(store: RecordStore, good: Files) -> None:
    comment = member("export/x", size=0, pax_headers={"comment": "x" * 1_000_000})
    with pytest.raises(BadBag, match="header"):
        await take(store, "somebody", tar_of(good, (comment, b"")))


async def test_a_size_that_the_archive_does_not_have_is_refused(store: RecordStore, good: Files) -> None:
    for size in ("9" * 18, "9" * 30, "-1", "1e3", str(1 << 62)):
        huge = member("export/x", size=0, pax_headers={"size": size})
        with pytest.raises(BadBag):
            await take(store, "somebody", tar_of(good, (huge, b"")))
    assert await is_empty(store)


async def test_manifests_that_are_too_long_together_are_refused(
    store: RecordStore, good: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "MAX_MANIFESTS", len(manifest(CHAT)) - 1)
    with pytest.raises(BadBag, match="manifests"):
        await take(store, "somebody", tar_of(good))
    assert await is_empty(store)


async def test_too_many_files_and_too_many_bytes_are_refused(
    store: RecordStore, good: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadBag, match="--limit"):
        await store.imports.check(TarArchive(InMemory(tar_of(good))), 10_000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", len(good) - 1)
    with pytest.raises(BadBag, match="files"):
        await take(store, "somebody", tar_of(good))
    assert await is_empty(store)


@pytest.mark.parametrize("spoil", ["link", "fifo", "folder link", "deep"])
async def test_a_folder_with_anything_but_files_is_refused(
    store: RecordStore, bags: Mapping[str | None, bytes], tmp_path: Path, spoil: str
) -> None:
    folder = unpacked(bags[CHAT], tmp_path / "out")
    match spoil:
        case "link":
            (folder / "README.md").rename(tmp_path / "README.md")
            (folder / "README.md").symlink_to(tmp_path / "README.md")
        case "folder link":
            (folder / "data/states").rename(tmp_path / "states")
            (folder / "data/states").symlink_to(tmp_path / "states")
        case "fifo":
            os.mkfifo(folder / "data/pipe")
        case "deep":
            (folder / "a/b/c/d/e/f/g/h/i/j").mkdir(parents=True)
    archive = FolderArchive(folder)
    with pytest.raises((BadBag, StorageUnavailable)):
        await store.imports.check(archive)
    archive.close()
    assert await is_empty(store)


# -- bags that are not whole, or lie -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["bagit.txt", "bag-info.txt", "README.md", *layout.MANIFESTS, *layout.TAG_MANIFESTS])
async def test_a_tag_file_that_is_missing_or_changed_is_refused(store: RecordStore, good: Files, path: str) -> None:
    for files in ({**good, path: good[path] + b"x\n"}, {name: data for name, data in good.items() if name != path}):
        with pytest.raises(BadBag):
            await take(store, "somebody", tar_of(files))
    assert await is_empty(store)


async def test_every_data_file_must_be_there_as_it_is_listed(store: RecordStore, good: Files) -> None:
    for path in (path for path in good if path.startswith("data/")):
        missing = {name: data for name, data in good.items() if name != path}
        for files in ({**good, path: good[path] + b" "}, missing, sealed(missing)):
            with pytest.raises(BadBag):
                await take(store, "somebody", tar_of(files))
    assert await is_empty(store)


def without_a_line(manifest: str) -> Callable[[Files], Files]:
    return lambda files: {**files, manifest: files[manifest].partition(b"\n")[2]}


def with_text(path: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        assert old in files[path], path
        changed = {**files, path: files[path].replace(old, new, 1)}
        return relisted(changed) if path == RECORDS else sealed(changed)

    return change


def with_more(path: str, more: bytes) -> Callable[[Files], Files]:
    return lambda files: relisted({**files, path: files[path] + more})


def reversed_lines(path: str) -> Callable[[Files], Files]:
    return lambda files: relisted({**files, path: b"".join(files[path].splitlines(keepends=True)[::-1])})


DEEP = b'{"key":"9","data":{"id":"9","x":' + b"[" * 5000 + b"]" * 5000 + b'},"emitted_at":"2026-11-23T10:00:00Z"}\n'
NO_BLOB = b'{"blob_id":"blob_b3_' + b"0" * 64 + b'"}'
LIES: dict[str, Callable[[Files], Files]] = {
    "a manifest that leaves a file out": without_a_line("manifest-sha256.txt"),
    "the other manifest that leaves a file out": without_a_line("manifest-blake3.txt"),
    "an unlisted tag file": without_a_line("tagmanifest-sha256.txt"),
    "a manifest line twice": lambda files: {
        **files,
        "manifest-sha256.txt": files["manifest-sha256.txt"] + files["manifest-sha256.txt"].partition(b"\n")[0] + b"\n",
    },
    "a manifest with one endless line": lambda files: {**files, "manifest-blake3.txt": b"a" * 300_000},
    "a manifest that is no text": lambda files: {**files, "manifest-blake3.txt": b"\xff\xfe  \xff\n"},
    "another format": lambda files: sealed(
        {**files, "bag-info.txt": files["bag-info.txt"].replace(b"Format: 1", b"Format: 2")}
    ),
    "an extra data file that is listed": lambda files: sealed({**files, "data/extra": b"x"}),
    "an extra blob that is listed": lambda files: sealed({**files, layout.blob(digest_of(b"x")): b"x"}),
    "a blob under another's name": lambda files: sealed({**files, A_BLOB: b"not the one"}),
    "a record twice": with_more(RECORDS, b'{"key":"3","data":{"id":"3"},"emitted_at":"2026-11-23T10:00:00Z"}\n'),
    "records in another order": reversed_lines(RECORDS),
    "a record that is nested too deeply": with_more(RECORDS, DEEP),
    "a record that is no JSON": with_more(RECORDS, b"{\n"),
    "a record that is not UTF-8": with_text(RECORDS, b'"1.png"', b'"\xff.png"'),
    "a record without a line end": with_more(RECORDS, b'{"key":"9"'),
    "a record whose key is not its own": with_text(RECORDS, b'{"key":"3"', b'{"key":"4"'),
    "a record that is a deletion": with_text(RECORDS, b'{"key":"3"', b'{"op":"delete","key":"3"'),
    "a record that names a blob that is not there": with_text(
        RECORDS, b'"more": [', b'"other":' + NO_BLOB + b',"more": ['
    ),
    "a blob_ref that names nothing": with_text(RECORDS, b'"more": [', b'"other":{"blob_ref":{}},"more": ['),
    "an attachment that no record has": lambda files: sealed(
        {**files, layout.ATTACHMENTS: files[layout.ATTACHMENTS] + files[layout.ATTACHMENTS].splitlines(True)[0]}
    ),
    "a list of attachments that is short": lambda files: sealed({**files, layout.ATTACHMENTS: b""}),
    "a list of blobs that is short": lambda files: sealed({**files, layout.BLOBS: b""}),
    "a stream twice": lambda files: sealed({**files, layout.STREAMS: files[layout.STREAMS] * 2}),
    "a stream of nobody": with_text(layout.STREAMS, b'"instance":"chat-one"', b'"instance":"nobody"'),
    "a stream elsewhere": with_text(layout.STREAMS, b'"path":"data/records/', b'"path":"data/records/../records/'),
    "an instance twice": lambda files: sealed({**files, layout.INSTANCES: files[layout.INSTANCES] * 2}),
    "two defaults": lambda files: sealed(
        {
            **files,
            layout.INSTANCES: b'{"connector":"chat","instance":"a","default":true}\n'
            b'{"connector":"chat","instance":"chat-one","default":true}\n',
        }
    ),
    "an instance with a name that is none": lambda files: sealed(
        {**files, layout.INSTANCES: files[layout.INSTANCES] + b'{"connector":"chat","instance":"","default":false}\n'}
    ),
    "a connector twice": lambda files: sealed({**files, layout.CONNECTORS: files[layout.CONNECTORS] * 2}),
    "another connector's manifest": lambda files: sealed({**files, layout.manifest(CHAT): manifest(MAIL)}),
    "a manifest that is none": lambda files: sealed({**files, layout.manifest(CHAT): b"{}"}),
    "a manifest without an end": lambda files: sealed({**files, layout.manifest(CHAT): b"[" * 100_000}),
    "a list with another member": with_text(layout.WAITING, b'"place"', b'"more":1,"place"'),
    "a list that is spelled otherwise": with_text(layout.WAITING, b'"place":', b'"place": '),
    "a list that is nested": lambda files: sealed({**files, layout.WAITING: b"[" * 60_000 + b"\n"}),
    "a wait for nothing": with_text(layout.WAITING, b'"key":"not yet"', b'"key":""'),
    "a wait at no place": with_text(layout.WAITING, b'"place":"/blob_ref"', b'"place":"blob_ref"'),
    "a wait of no media type": with_text(layout.WAITING, b'"image/png"', b'"image"'),
    "a wait with no blob": with_text(layout.WAITING, b'"blob_id":"blob_b3_', b'"blob_id":"blob_xx_'),
    "a state that is no JSON": lambda files: sealed({**files, layout.state(Partition(CHAT, "chat-one", "log")): b"{"}),
    "a state twice": lambda files: sealed({**files, layout.STATES: files[layout.STATES] * 2}),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_bag_that_lies_is_refused_whole(store: RecordStore, good: Files, lie: str) -> None:
    with pytest.raises(BadBag, match=r"the bag is refused: .+"):
        await take(store, "somebody", tar_of(LIES[lie](good)))
    assert await is_empty(store)


async def test_a_bag_that_is_sealed_again_is_good(store: RecordStore, good: Files) -> None:
    """The lies above are told from nothing else."""
    assert (await take(store, "somebody", tar_of(relisted(good)))).records == 17


async def test_lines_of_the_lists_are_what_is_checked(good: Files) -> None:
    assert {each["stream"] for each in lines_of(good, layout.STREAMS)} > {"records", "empty/never"}
    assert len(INSTANCES[CHAT]) == 1


@pytest.fixture
async def owner(store: RecordStore) -> Owner:
    owner = await store.access.owner("an owner")
    await fill(store, owner, {CHAT: ONLY_CHAT})
    return owner


async def test_an_import_puts_records_in_the_place_of_those_that_are_there(store: RecordStore, owner: Owner) -> None:
    async with store.exports.open(owner) as export:
        archive = await whole(export)
    writer = Writer(store, owner, CHAT, "chat-one")
    await writer.put("messages", "a", '{"id":"a","text":"newer"}')
    await writer.delete("records", "2")
    await writer.put("messages", "b", '{"id":"b"}')
    await store.collect(0)
    await take(store, "an owner", archive)
    files = files_of(await bag_of(store, owner))
    assert b'"newer"' not in files[layout.records(Partition(CHAT, "chat-one", "messages"))]
    assert files[RECORDS] == files_of(archive)[RECORDS]
    await store.erasures.erase(
        owner, await store.erasures.coverage.of_records(owner, Selector(CHAT), "messages", "b"), wait=10
    )
    assert await bag_of(store, owner) == archive
