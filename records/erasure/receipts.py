"""Receipts: what an erasure did, signed, for who has to prove it later without this server.

A receipt names no content: a record's key, a subject's name and the removed blobs stand in it as digests. It embeds the
head of the owner's spine (`records.audit.heads`), so that it is a checkpoint too. It says what it does not cover, and
is made once: the same bytes are given back whenever it is asked for.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from blobstore.digest import Digest, Hasher
from records import jsontext
from records.erasure.report import Covered, Keeper, Report, Residue
from records.signing import NotGenuine, SignedDocument, Signer

KIND = "erasure_receipt"
VERSION = 1

COVERED = (
    "records, their history and their links",
    "claims and leases of uploads",
    "stored bytes, staging files and quarantine",
    "databases and their unused pages; write-ahead logs, where the databases are files of the service",
)
"""Classes of storage from which what was erased is gone."""

BEYOND_RECORDS = ("sync state",)
"""And this, where more than one record was erased."""

OF_OWNER = ("manifests, instances, grants, tokens and the subject's name",)
"""And these, where all of an owner was erased."""

NOT_COVERED = (
    "backups and exports",
    "snapshots, journals and unused blocks of the file system and of the disk",
    "copies that clients and readers made before",
    "where several machines serve one store: what another one was receiving at that moment, which is never stored, and"
    " which it removes from its staging folder within seconds",
    "where a database server keeps the records: room in its files that it freed and has not used again, its"
    " write-ahead log, replicas and archives",
    "where an object store keeps the blobs: its replicas, room that it freed and has not used again, and what lies in"
    " the bucket that is no blob, or not what its name says",
)


METHOD = (
    "Samples of what was to be erased were chosen by a secret key of one use. Afterwards every file, and every table of"
    " a database server, was searched for 32 bytes of any of them, at every offset; stored blobs were looked for by"
    " name, for the name is the digest of what a file holds; an object store was asked for older versions and for"
    " unfinished uploads of that name, too. What living data show as well is shared, and proves nothing."
)
"""How traces were looked for (`records.erasure.residue`)."""


class Removed:
    """A digest over the ids of the blobs that went, each once, in their order, each followed by a line feed."""

    def __init__(self) -> None:
        self._hasher = Hasher()
        self._last: Digest | None = None
        self.blobs = 0

    def add(self, digest: Digest) -> None:
        """One more generation; those of one blob follow each other."""
        if digest != self._last:
            self._hasher.update(f"{digest}\n".encode())
            self._last = digest
            self.blobs += 1

    def digest(self) -> str:
        """The SHA-256 of the list: 64 hexadecimal digits."""
        return self._hasher.finish().sha256.hex()


def make(
    signer: Signer,
    report: Report,
    removed: str,
    embedded: Mapping[str, object],
    residue: Residue,
) -> bytes:
    """The receipt of an erasure that is complete, as canonical JSON.

    `removed` as `Removed.digest`, `embedded` as `records.audit.heads.members`.
    """
    kept = report.kept
    document: dict[str, object] = {
        "kind": KIND,
        "version": VERSION,
        **embedded,
        "erasure_id": report.id,
        "scope": scope(report.covered),
        "requested_at": report.requested_at,
        "completed_at": report.completed_at,
        "resumed": report.resumed,
        "erased": counts(report),
        "removed_blobs_sha256": removed,
        "kept": {
            "blobs": kept.blobs,
            "bytes": kept.bytes,
            "with": [keeper(each) for each in kept.keepers],
        },
        "covers": _covers(report.covered),
        "does_not_cover": list(NOT_COVERED),
        "residue": {**residue.member(), "method": METHOD},
    }
    return jsontext.canonical(signer.sign(document))


def counts(report: Report) -> dict[str, object]:
    """What went; bytes are those of blobs."""
    return {"records": report.records, "streams": report.streams, "blobs": report.blobs, "bytes": report.bytes}


def scope(covered: Covered) -> dict[str, object]:
    """What was erased; `record` is the keyed digest of a key."""
    named: dict[str, object] = {"kind": covered.kind}
    if covered.connector is not None:
        named |= {"connector_id": covered.connector, "connector_instance_ids": list(covered.instances)}
    if covered.stream is not None:
        named["stream"] = covered.stream
    if covered.key is not None:
        named["record"] = covered.key
    return named


def keeper(each: Keeper) -> dict[str, object]:
    """Who has blobs that stay."""
    named: dict[str, object] = {"connector_id": each.connector}
    if each.instance is not None:
        named["connector_instance_id"] = each.instance
    if each.stream is not None:
        named["stream"] = each.stream
    return named | {"blobs": each.blobs, "bytes": each.bytes}


def _covers(covered: Covered) -> list[str]:
    beyond = () if covered.kind == "record" else BEYOND_RECORDS
    return [*COVERED, *beyond, *(OF_OWNER if covered.kind == "owner" else ())]


def digest(receipt: bytes) -> str:
    """What stands for a receipt on the spine: the SHA-256 of its bytes, 64 hexadecimal digits."""
    hasher = Hasher()
    hasher.update(receipt)
    return hasher.finish().sha256.hex()


class _Counts(msgspec.Struct, frozen=True):
    records: int
    streams: int
    blobs: int
    bytes: int


class _Scope(msgspec.Struct, frozen=True):
    kind: str
    connector_id: str | None = None
    stream: str | None = None
    record: str | None = None


class _Residue(msgspec.Struct, frozen=True):
    result: str
    samples: int
    shared: int
    found: Mapping[str, int]


class Receipt(msgspec.Struct, frozen=True):
    """What a receipt says, as far as it is shown."""

    erasure_id: str
    store_id: str
    owner: str
    scope: _Scope
    requested_at: str
    completed_at: str
    resumed: int
    erased: _Counts
    spine_head: Mapping[str, Any] | None
    residue: _Residue


def verify(text: bytes, public_key: str | None = None) -> tuple[Receipt, str]:
    """Check a receipt's text without any server: what it says, and the public key of who signed it.

    Raises `NotGenuine`; also where `public_key` is given and signed it not.
    """
    document = SignedDocument.verify(text, public_key)
    if (document.content.get("kind"), document.content.get("version")) != (KIND, VERSION):
        raise NotGenuine("it is a signed document, but no receipt of an erasure that is known here")
    try:
        return msgspec.convert(dict(document.content), Receipt), document.public_key
    except msgspec.ValidationError as error:
        raise NotGenuine(f"it is no receipt of an erasure: {error}") from error
