"""What a snapshot is made of: the signed list of its files, and the list of the blobs that it needs.

The list of blobs has one line per live generation, `<namespace>/<digest>.<generation> <size> <sha256>`. It is a file of
the snapshot as the others are, so the manifest vouches for it, and by its digests for every byte.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from blake3 import blake3

from blobstore.backend import ObjectName
from blobstore.backends.where import Where
from blobstore.catalogue import State, Stored
from blobstore.digest import Digest
from blobstore.errors import Damaged
from records.erasure.ledger import Position
from records.layout import Topology
from records.signing import NotGenuine, SignedDocument, Signer

MANIFEST = "manifest.json"
BLOBS = "blobs.list"
MISSING = "missing.list"
"""Blobs that the store should have and has not, or not as they were: they are in no snapshot."""

PIECE = 1 << 20
_DOCUMENT = "blobstore.snapshot"
_LINE = re.compile(r"([a-z0-9]+)/([0-9a-f]{64})\.([0-9a-f]{32}) (\d+) ([0-9a-f]{64})\n")
DATABASE = "database"
"""The folder with what was in the database, where the topology has one."""

_PATH = re.compile(rf"({DATABASE}/|records/([a-z0-9]+/)?)?[a-z0-9][a-z0-9._-]*\Z")


class File(msgspec.Struct, frozen=True):
    """One file of a snapshot, by its path in it; `size` in bytes."""

    path: str
    size: int
    blake3: str


class Manifest(msgspec.Struct, frozen=True):
    """One snapshot: of which store, which one, what is in it; `blob_bytes` are those of its blobs.

    `ledger` is how far the erasure ledger had come: one that has not come so far does not know all that was erased.
    `where` is what new bytes went to, and the ledger with them unless a file was told.
    """

    document: str
    store: str
    topology: Topology
    snapshot: int
    made_at: str
    blobs: int
    blob_bytes: int
    missing: int
    ledger: Position
    where: Where
    files: list[File]

    @classmethod
    def of(
        cls, folder: Path, store: str, topology: Topology, snapshot: int, made_at: str, ledger: Position, where: Where
    ) -> "Manifest":
        """What lies in the folder now. Blocks."""
        blobs = size = missing = 0
        for stored in listed(folder / BLOBS):
            blobs, size = blobs + 1, size + stored.size
        for _ in listed(folder / MISSING):
            missing += 1
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = [described(folder, path) for path in paths]
        return cls(_DOCUMENT, store, topology, snapshot, made_at, blobs, size, missing, ledger, where, files)

    def signed(self, signer: Signer) -> bytes:
        """The text of its file."""
        document = signer.sign(msgspec.to_builtins(self))
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def read(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a snapshot, and the public key that signed it. Raises `Damaged`."""
    try:
        document = SignedDocument.verify((folder / MANIFEST).read_bytes())
        manifest = msgspec.convert(dict(document.content), Manifest)
    except (OSError, NotGenuine, msgspec.ValidationError) as error:
        raise Damaged(f"{folder.name}/{MANIFEST}: {error}") from error
    if manifest.document != _DOCUMENT or not all(_PATH.match(file.path) for file in manifest.files):
        raise Damaged(f"{folder.name}/{MANIFEST} is not the manifest of a snapshot")
    return manifest, document.public_key


def verify(folder: Path, manifest: Manifest) -> None:
    """Raise `Damaged` unless every file is there and is the one that the manifest names. Blocks."""
    for file in manifest.files:
        path = folder / file.path
        try:
            found = described(folder, path)
        except OSError as error:
            raise Damaged(f"{file.path} of snapshot {manifest.snapshot}: {error.strerror}") from error
        if found != file:
            raise Damaged(
                f"{file.path} is not the file of snapshot {manifest.snapshot}: it was changed, or files of different"
                " snapshots were mixed; restore another snapshot"
            )


def described(folder: Path, path: Path) -> File:
    """A file as the manifest lists it. Blocks."""
    hasher, size = blake3(max_threads=1), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
            size += len(piece)
    return File(str(path.relative_to(folder)), size, hasher.hexdigest())


def line(stored: Stored) -> str:
    """One line of a list of blobs."""
    name = stored.name
    return f"{name.namespace}/{name.digest.hex}.{name.generation} {stored.size} {stored.sha256.hex()}\n"


def listed(path: Path) -> Iterator[Stored]:
    """The blobs of a list. Raises `Damaged`."""
    with path.open(encoding="ascii", errors="replace") as lines:
        for text in lines:
            found = _LINE.fullmatch(text)
            if found is None:
                raise Damaged(f"{path.name} has a line that names no blob")
            namespace, digest, generation, size, sha256 = found.groups()
            name = ObjectName(namespace, Digest(digest), generation)
            yield Stored(name, bytes.fromhex(sha256), int(size), State.LIVE, 0.0)


def pages(path: Path, size: int) -> Iterator[Sequence[Stored]]:
    """The same in pieces of at most `size`."""
    page: list[Stored] = []
    for stored in listed(path):
        page.append(stored)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
