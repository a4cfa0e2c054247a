"""Attachments as an owner leafs through them: the same in every topology."""

from pathlib import Path

import pytest

from records.consent.scope import Scope, Selector
from records.errors import Invalid, InvalidCursor, Unknown
from records.reading import gallery
from records.reading.gallery import Kind
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, LETTER, PHOTO, digest_of, fill, ingest, upload
from tests.fakes.topologies import READY, Storage

FILES = Selector(CONNECTOR)


async def leafed(
    store: RecordStore, scope: Scope, limit: int, *, stream: str | None = None, kind: Kind | None = None
) -> list[tuple[str, str, int | None]]:
    """Stream, blob and size of each attachment, page by page."""
    found, cursor = [], None
    for _ in range(20):
        page = await store.galleries.page(scope, FILES, limit=limit, cursor=cursor, stream=stream, kind=kind)
        assert len(page.attached) <= limit
        found += [(each.partition.stream, str(each.digest), each.size) for each in page.attached]
        if (cursor := page.next_cursor) is None:
            return found
    raise AssertionError(found)


@pytest.mark.parametrize("storage", READY, indirect=True)
async def test_each_attachment_comes_once_whatever_the_pages(storage: Storage, tmp_path: Path) -> None:
    store = await storage.open(tmp_path / "data")
    try:
        await fill(store)
        ann, bob = [Scope.of_owner(await store.access.owner(name)) for name in ("ann", "bob")]
        letter = ("documents", str(digest_of(LETTER)), len(LETTER))
        photo = ("photos", str(digest_of(PHOTO)), len(PHOTO))
        for limit in (1, 2, 60):
            assert await leafed(store, ann, limit) == [letter, photo]
            assert await leafed(store, ann, limit, kind=Kind.OTHER) == [letter, photo]
        assert await leafed(store, ann, 60, stream="photos") == [photo, ("photos", *letter[1:])]
        assert await leafed(store, ann, 60, kind=Kind.IMAGE) == []
        assert await leafed(store, bob, 60) == [letter]
        cursor = (await store.galleries.page(ann, FILES, limit=1)).next_cursor
        for scope, asked in ((bob, {}), (ann, {"kind": Kind.OTHER}), (ann, {"stream": "photos"})):
            with pytest.raises(InvalidCursor):
                await store.galleries.page(scope, FILES, cursor=cursor, **asked)
    finally:
        await store.close()


async def test_a_search_for_a_rare_kind_ends_and_goes_on(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "PIECE", 2)
    monkeypatch.setattr(gallery, "MAX_LOOKS", 4)
    await fill(store)
    ann = await store.access.owner("ann")
    for number in range(9):
        await ingest(store, ann, f"k{number}", [await upload(store, ann, b"%d" % number, f"k{number}")])
    scope = Scope.of_owner(ann)
    page = await store.galleries.page(scope, FILES, kind=Kind.IMAGE)
    assert (page.attached, page.next_cursor is None) == ([], False)
    assert await leafed(store, scope, 60, kind=Kind.IMAGE) == []
    assert len(await leafed(store, scope, 60, kind=Kind.OTHER)) == 11


async def test_what_follows_a_place_too_long_for_a_cursor_begins_with_the_next_record(store: RecordStore) -> None:
    await fill(store)
    ann = await store.access.owner("ann")
    blobs = [await upload(store, ann, b"%d" % number, "k") for number in range(3)]
    deep = {"x" * 40_000: {"blob_id": blobs[0]}, "y": {"blob_id": blobs[1]}}
    await ingest(store, ann, "k", [], deep=deep)
    await ingest(store, ann, "l", [blobs[2]])
    seen = [blob for _, blob, _ in await leafed(store, Scope.of_owner(ann), 1)]
    assert (blobs[0] in seen, blobs[1] in seen, blobs[2] in seen) == (True, False, True)


async def test_what_is_not_there_is_said(store: RecordStore) -> None:
    await fill(store)
    scope = Scope.of_owner(await store.access.owner("ann"))
    with pytest.raises(Unknown):
        await store.galleries.page(scope, Selector("none"))
    with pytest.raises(Unknown):
        await store.galleries.page(scope, Selector(CONNECTOR, "none"))
    with pytest.raises(Invalid):
        await store.galleries.page(scope, Selector())
