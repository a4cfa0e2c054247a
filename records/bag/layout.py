"""Names inside a bag: short, safe on every file system, the same for the same thing. No I/O.

bagit.txt, bag-info.txt, README.md, manifest-*.txt, tagmanifest-*.txt
data/connectors.ndjson              what is here: one line for each connector,
data/instances.ndjson               account,
data/streams.ndjson                 stream of an account (with counts and digests),
data/states.ndjson                  sync state,
data/blobs.ndjson                   attached file,
data/attachments.ndjson             place in a record that names one,
data/waiting.ndjson                 and file that was uploaded for a record that has not come.
data/connectors/<connector>.json    manifests, as they were registered
data/records/<connector>/<instance>/<stream>.ndjson
data/states/<connector>/<instance>/<stream>.json
data/blobs/<2 hex>/<64 hex>         attached files by their BLAKE3 digest
data/records.sqlite                 all of it but the files, for people
"""

import re

from blobstore.digest import Content, Digest, derive
from records.model import Partition

ROOT = "export"
"""The folder that everything in an archive stands in."""

FORMAT_LINE = "Blobstore-Export-Format: 1"
"""In `bag-info.txt`: this layout."""

DECLARATION = "bagit.txt"
DECLARED = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
INFO = "bag-info.txt"
README = "README.md"
ALGORITHMS = ("blake3", "sha256")
MANIFESTS = tuple(f"manifest-{name}.txt" for name in ALGORITHMS)
TAG_MANIFESTS = tuple(f"tagmanifest-{name}.txt" for name in ALGORITHMS)
TAGS = (DECLARATION, INFO, README, *MANIFESTS)
"""What the manifests of tag files list."""

DATA = "data/"
CONNECTORS = "data/connectors.ndjson"
INSTANCES = "data/instances.ndjson"
STREAMS = "data/streams.ndjson"
STATES = "data/states.ndjson"
BLOBS = "data/blobs.ndjson"
ATTACHMENTS = "data/attachments.ndjson"
WAITING = "data/waiting.ndjson"
DATABASE = "data/records.sqlite"
SPINE = "data/spine.ndjson"
CHECKPOINT = "data/spine-checkpoint.json"
BLOB_FOLDER = "data/blobs/"

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}\Z")
_TO_BE_LEFT_OUT = re.compile(r"[^a-z0-9]+")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])\Z")
_SLUG = 32
"""Characters of a name that are shown where it cannot stand as it is."""


def file_name(name: str) -> str:
    """A name of anything as the name of a file: itself where that is safe everywhere, else a hint and a digest.

    Different names never become the same, also where upper and lower case are.

    >>> file_name("messages")
    'messages'
    >>> file_name("Über/uns")
    'ber-uns.a82c8921bc62f8e33f83d970aa73c793'
    """
    if _PLAIN.match(name) and not _DEVICES.match(name):
        return name
    hint = _TO_BE_LEFT_OUT.sub("-", name.lower())[:_SLUG].strip("-")
    digest = derive("blobstore 2026-11 file name", name.encode(), 16).hex()
    if not hint or _DEVICES.match(hint):
        hint = f"x{hint}"
    return f"{hint}.{digest}"


def manifest(connector: str) -> str:
    """Where a connector's manifest stands."""
    return f"data/connectors/{file_name(connector)}.json"


def records(place: Partition) -> str:
    """Where the records of a stream stand."""
    return f"data/records/{_folders(place)}.ndjson"


def state(place: Partition) -> str:
    """Where the sync state of a stream stands."""
    return f"data/states/{_folders(place)}.json"


def blob(digest: Digest) -> str:
    """Where the bytes of an attached file stand."""
    return f"{BLOB_FOLDER}{digest.hex[:2]}/{digest.hex}"


def bag_name(tag_manifest: Content) -> str:
    """What names a bag: the digest of the manifest of manifests. Bags of one name are the same, byte for byte."""
    return f"bag_b3_{tag_manifest.digest.hex}"


def oxum(size: int, count: int) -> str:
    """The line of `bag-info.txt` that says how many bytes and files the data are."""
    return f"Payload-Oxum: {size}.{count}"


def _folders(place: Partition) -> str:
    return "/".join(map(file_name, (place.connector, place.instance, place.stream)))
