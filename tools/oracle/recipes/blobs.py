"""Bytes in and out: uploads, downloads with ranges and conditions, explanations."""

import base64
import hashlib

from tools.oracle import declared
from tools.oracle.model import STREAMS, Blob, World
from tools.oracle.recipes.paths import part
from tools.oracle.request import Answer, Request

_BLOB = "/v1/blobs/{blob_id}"


def upload(world: World) -> Request:
    """Bytes for a record to come: new ones, or some that are there."""
    random, connector = world.random, world.connector()
    size, kind = random.choice(_SIZES)
    body = random.randbytes(random.randrange(size)) if size else b""
    if kind == "again":
        body = f"the same bytes {random.randrange(12)}".encode() * 20
    stream = random.choice([each for each in STREAMS if each != "pairs"])
    query = [("connector_id", connector.id), ("stream", stream)]
    query.append(("record_key", declared.canonical(declared.key(random, stream))))
    instance = random.choice(connector.instances)
    if instance is not None:
        query.append(("connector_instance_id", instance))
    if world.chance(0.5):
        query.append(("mime_type", random.choice(("image/png", "Text/PLAIN; charset=utf-8", "text/html"))))
    if world.chance(0.3):
        query.append(("json_path", random.choice(("/blob_ref", "/more/0/file"))))
    headers = [("Content-Type", random.choice(("application/octet-stream", "application/json", "image/gif")))]
    if world.chance(0.3):
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers.append((random.choice(("Content-Digest", "Repr-Digest")), f"sha-256=:{digest}:"))
        kind += ", with its digest"

    def learn(answer: Answer) -> None:
        if answer.status == 200:
            said = answer.json
            world.blobs.append(Blob(said["blob_id"], said["sha256"], said["size_bytes"], connector.id))
            del world.blobs[:-200]

    return world.ask(
        "POST",
        "/v1/blobs",
        query=tuple(query),
        headers=tuple(headers),
        body=body,
        chunked=world.chance(0.3),
        note=kind,
        learn=learn,
    )


_SIZES = (*((2000, "short"),) * 6, *((0, "again"),) * 4, (0, "empty"), (200_000, "long"), (3_000_000, "very long"))


def bad_upload(world: World) -> Request:
    """Bytes that are not taken."""
    connector = world.connector()
    query = [("connector_id", connector.id), ("stream", "notes"), ("record_key", "n001")]
    headers: list[tuple[str, str]] = [("Content-Type", "image/png")]
    note, name, value = world.random.choice(_BAD)
    if name[:1].isupper():
        headers = [*(pair for pair in headers if pair[0] != name), (name, value)]
    else:
        query = [*(pair for pair in query if pair[0] != name), *([(name, value)] if value else [])]
    body = b"bytes that are refused"
    return world.ask("POST", "/v1/blobs", query=tuple(query), headers=tuple(headers), body=body, note=note)


_BAD = (
    ("another digest", "Content-Digest", "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"),
    ("no digest", "Repr-Digest", "sha-256=nonsense"),
    ("encoded", "Content-Encoding", "gzip"),
    ("no media type", "mime_type", "nonsense"),
    ("unknown stream", "stream", "nosuch"),
    ("unknown connector", "connector_id", "nosuch"),
    ("no key", "record_key", ""),
    ("no pointer", "json_path", "nonsense"),
    ("unknown parameter", "nosuch", "1"),
    ("unknown instance of no such name", "connector_instance_id", "bad\x01name"),
)


def download(world: World) -> Request:
    """Bytes out, for the owner or a client."""
    random = world.random
    if not world.blobs:
        return upload(world)
    blob = random.choice(world.blobs[-60:])
    name, note = blob.id, "its own name"
    match random.randrange(12):
        case 0:
            name, note = "blob_sha256_" + blob.sha256, "its other name"
        case 1:
            name, note = random.choice(("blob_b3_" + "0" * 64, "nonsense", "blob_b3_" + "A" * 64)), "no name"
    headers: list[tuple[str, str]] = []
    if world.chance(0.5):
        kind, header, value = random.choice(_CONDITIONS)
        headers.append((header, value.replace("TAG", f'"{blob.id}"').replace("SIZE", str(blob.size))))
        note += f", {kind}"
        if header == "If-Range":
            headers.append(("Range", "bytes=1-5"))
    caller, token = "owner", world.token
    grant = world.grant() if world.chance(0.4) else None
    if grant is not None:
        caller, token = "client", grant.token
    query = (("connector_id", blob.connector),) if world.chance(0.2) else ()
    method = "HEAD" if world.chance(0.2) else "GET"
    path = f"/v1/blobs/{part(name)}"
    return world.ask(
        method, _BLOB, path=path, query=query, headers=tuple(headers), caller=caller, token=token, note=note
    )


_CONDITIONS = (
    ("a range", "Range", "bytes=0-9"),
    ("an open range", "Range", "bytes=5-"),
    ("a suffix", "Range", "bytes=-7"),
    ("several ranges", "Range", "bytes=0-1,4-5,9-"),
    ("joined ranges", "Range", "bytes=0-4,5-9"),
    ("a range beyond", "Range", "bytes=SIZE-"),
    ("a bad range", "Range", "bytes=9-1"),
    ("another unit", "Range", "lines=1-2"),
    ("many ranges", "Range", "bytes=" + ",".join(f"{2 * each}-{2 * each}" for each in range(120))),
    ("if it is", "If-Match", "TAG"),
    ("if it is another", "If-Match", '"another"'),
    ("if it is not", "If-None-Match", "TAG"),
    ("if it is not any", "If-None-Match", "*"),
    ("if not another", "If-None-Match", 'W/"another"'),
    ("a range if it is", "If-Range", "TAG"),
    ("a range if another", "If-Range", '"another"'),
)


def explain(world: World) -> Request:
    """Why a blob is there."""
    names = [each.id for each in world.blobs[-40:]] or ["nonsense"]
    name = world.random.choice([*names, "blob_b3_" + "1" * 64])
    return world.ask("GET", "/v1/owner/blobs/{blob_id}", path=f"/v1/owner/blobs/{name}")
