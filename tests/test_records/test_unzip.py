"""Zip archives that others make: what is a bag comes in, whatever plays with the format is refused whole."""

import io
import random
import struct
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from records.bag import unzip
from records.bag.unzip import ZipArchive
from records.bag.zip import zip_of as written
from records.errors import BadBag, Invalid
from records.store import RecordStore
from tests.fakes.bags import CHAT, ONLY_CHAT, InMemory, bag_of, files_of, fill, take, zip_of
from tests.fakes.data_directory import in_store

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def good() -> Files:
    """The files of a good bag."""

    async def make(store: RecordStore) -> bytes:
        owner = await store.access.owner("an owner")
        await fill(store, owner, {CHAT: ONLY_CHAT})
        return await bag_of(store, owner)

    with tempfile.TemporaryDirectory() as folder:
        return files_of(in_store(Path(folder) / "data", make))


def read(archive: bytes) -> Files:
    """What our reader finds in an archive."""
    found = ZipArchive(InMemory(archive))
    return {each.path: b"".join(found.pieces(each)) for each in found.files()}


async def is_empty(store: RecordStore) -> bool:
    return not (await store.central.owners() or await store.blobs.catalogue.walk(None, 1))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_a_bag_that_was_zipped_elsewhere_comes_in(store: RecordStore, good: Files, method: int) -> None:
    assert read(zip_of(good, method=method)) == good
    await take(store, "somebody", zip_of(good, method=method))
    assert files_of(await bag_of(store, await store.access.owner("somebody"))) == good


async def test_our_own_zip_comes_in(store: RecordStore, good: Files) -> None:
    await take(store, "somebody", zip_of(good))
    owner = await store.access.owner("somebody")
    async with store.exports.open(owner) as export:
        archive = b"".join([piece async for piece in written(export)])
        assert read(archive) == good
        export.files = 65_536
        with pytest.raises(Invalid, match=r"\.tar"):
            await anext(written(export))
    await take(store, "somebody else", archive)


def test_large_archives_have_wide_fields() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, archive.open("export/x", "w", force_zip64=True) as file:
        file.write(b"x" * 10)
    assert read(made.getvalue()) == {"x": b"x" * 10}
    many = {str(number): b"" for number in range(66_000)}
    assert read(zip_of(many)) == many


def with_method(info: zipfile.ZipInfo, method: int) -> zipfile.ZipInfo:
    info.compress_type = method
    return info


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("export/link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "export/../../x", "export/a\\b", "x", "export/x\n", "export/\u00e9", "export/x y", "-"]
)
async def test_names_that_lead_elsewhere_are_refused(store: RecordStore, good: Files, name: str) -> None:
    with pytest.raises(BadBag):
        await take(store, "somebody", zip_of(good, (name, b"evil")))
    assert await is_empty(store)


@pytest.mark.filterwarnings("ignore:Duplicate name")
async def test_whatever_is_no_plain_file_is_refused(store: RecordStore, good: Files) -> None:
    for more in (
        (link(), b"/etc/passwd"),
        (with_method(zipfile.ZipInfo("export/x"), zipfile.ZIP_LZMA), b"x" * 100),
        (with_method(zipfile.ZipInfo("export/x"), zipfile.ZIP_BZIP2), b"x" * 100),
        ("export/README.md", good["README.md"]),
        ("export/readme.MD", good["README.md"]),
    ):
        with pytest.raises(BadBag):
            await take(store, "somebody", zip_of(good, more))
    assert await is_empty(store)


async def test_bombs_are_refused(store: RecordStore, good: Files) -> None:
    with pytest.raises(BadBag, match="compressed too much"):
        await take(store, "somebody", zip_of(good, ("export/data/bomb", bytes(20_000_000))))
    # One file's bytes for many names (a quine, or Fifield's): the archive would be small, what is in it is not.
    archive = zip_of({"a": b"x" * 1000, "b": b"x" * 1000}, method=zipfile.ZIP_STORED)
    second = archive.rfind(b"PK\1\2")
    with pytest.raises(BadBag, match=r"shares bytes|two things"):
        read(archive[: second + 42] + struct.pack("<L", 0) + archive[second + 46 :])
    assert await is_empty(store)


def test_more_bytes_than_were_declared_are_refused() -> None:
    data = bytes(random.Random(1).randbytes(5000))
    archive = bytearray(zip_of({"a": data}))
    entry = archive.rfind(b"PK\1\2")
    for size in (0, 4999, 5001, 900_000):
        archive[entry + 24 : entry + 28] = struct.pack("<L", size)
        with pytest.raises(BadBag):
            read(bytes(archive))


def test_an_archive_that_was_changed_anywhere_is_read_as_it_was_or_refused(rng: random.Random) -> None:
    files: Mapping[str, bytes] = {"a": b"one " * 500, "b": b"", "c": random.Random(2).randbytes(300)}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        archive = zip_of(files, method=method)
        for _ in range(2000):
            changed = bytearray(archive)
            for _ in range(rng.choice((1, 1, 4))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            cut = bytes(changed[: rng.choice((len(changed), rng.randrange(len(changed))))])
            try:
                found = read(cut)
            except BadBag:
                continue
            assert sum(map(len, found.values())) <= 10_000


async def test_an_archive_with_a_long_table_is_not_taken_into_memory(
    store: RecordStore, good: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    source = InMemory(zip_of({str(number): b"" for number in range(20_000)}))
    read_at = source.read

    def noted(offset: int, length: int) -> bytes:
        asked.append(length)
        return read_at(offset, length)

    monkeypatch.setattr(source, "read", noted)
    assert sum(1 for _ in ZipArchive(source).files()) == 20_000
    assert max(asked) < 70_000
    assert unzip.MAX_RATIO < 1032
