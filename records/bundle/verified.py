"""A bundle read to its last byte: whether it is what its signature says."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from blobstore.digest import Hasher
from records.bag.folder import FolderArchive
from records.bag.imports import CheckedBag, Imports
from records.bundle import document as documents
from records.bundle import folder as folders
from records.bundle.document import Document, File
from records.bundle.extract import Checker
from records.bundle.folder import BAG, DOCUMENT, MAX_DOCUMENT, SPINE
from records.errors import BadBag


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle that is sound: what it says, who signed it, how many events and records it has."""

    document: Document
    signer: str
    events: int
    records: int
    bag: CheckedBag
    archive: FolderArchive

    def close(self) -> None:
        """Give the room back. Harmless when called twice."""
        self.bag.close()
        self.archive.close()


async def verify(imports: Imports, folder: Path, public_key: str | None, limit: int) -> Verified:
    """Read a bundle; `close` what it gives back. Nothing is stored.

    `public_key` is whose signature it must have. Raises `BadBag`, `StorageUnavailable`, `OutOfSpace`.
    """
    await asyncio.to_thread(folders.require_form, folder)
    text = await asyncio.to_thread(folders.text_of, folder / DOCUMENT, MAX_DOCUMENT)
    document, signer = documents.read(text, public_key)
    events = await asyncio.to_thread(_check_spine, folder, document, limit)
    archive = await asyncio.to_thread(FolderArchive, folder / BAG)
    try:
        bag = await imports.check(archive, limit)
    except BaseException:
        archive.close()
        raise
    verified = Verified(document, signer, events, bag.found.records + bag.found.skipped, bag, archive)
    if bag.name != document.bag or list(bag.found.manifests) != [document.connector]:
        verified.close()
        raise BadBag("its bag is another one than its signature says")
    return verified


def _check_spine(folder: Path, document: Document, limit: int) -> int:
    hasher, checker = Hasher(), Checker(document.connector, document.spine_head)
    checker.feed(folders.lines_of(folder / SPINE, hasher, limit))
    checker.finish()
    if File.of(hasher.finish()) != document.spine:
        raise BadBag(f"{SPINE} is another one than its signature says")
    return checker.events
