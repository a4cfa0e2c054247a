"""`/v1/uploads` (tus 1.0): what comes in several requests is stored as what comes in one."""

import base64
import hashlib
import secrets

from blake3 import blake3

from tests.conformance.http.api import Answer, Connector, note

OCTETS = {"Content-Type": "application/offset+octet-stream"}


async def ask(connector: Connector, method: str, path: str, body: bytes | None = None, **headers: object) -> Answer:
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    sent = {"Tus-Resumable": "1.0.0", **(OCTETS if body is not None else {}), **named}
    query = {"connector_id": connector.id, "stream": "notes", "record_key": "r"} if path == "/v1/uploads" else {}
    return await connector.api.call(method, path, query, body=body, headers=sent)


def b3(data: bytes) -> str:
    return "blob_b3_" + blake3(data).hexdigest()


async def test_an_upload_in_parts_is_claimed_linked_and_served(connector: Connector) -> None:
    data = secrets.token_bytes(300_000)
    begun = await ask(connector, "POST", "/v1/uploads", data[:100_000], Upload_Length=len(data))
    assert (begun.status, begun.headers["Upload-Offset"]) == (201, "100000")
    path = begun.headers["Location"]
    early = await ask(connector, "PATCH", path, data[200_000:], Upload_Offset=200_000)
    assert early.status == 409
    middle = await ask(connector, "PATCH", path, data[100_000:200_000], Upload_Offset=100_000)
    assert (middle.status, middle.headers["Upload-Offset"], "Blob-Id" in middle.headers) == (204, "200000", False)
    head = await ask(connector, "HEAD", path)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("200000", "300000")
    last = await ask(connector, "PATCH", path, data[200_000:], Upload_Offset=200_000)
    assert last.headers["Blob-Id"] == b3(data)
    sha256 = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert last.headers["Repr-Digest"] == f"sha-256=:{sha256}:"
    await connector.ingest("notes", note("r", blob_ref={"blob_id": b3(data)}))
    assert (await connector.api.get(f"/v1/blobs/{b3(data)}")).body == data
    assert (await ask(connector, "HEAD", path)).headers["Blob-Id"] == b3(data)


async def test_parts_are_put_together(connector: Connector) -> None:
    pieces = [secrets.token_bytes(70_000), secrets.token_bytes(1), secrets.token_bytes(50_000)]
    paths = []
    for piece in pieces:
        begun = await ask(connector, "POST", "/v1/uploads", piece, Upload_Length=len(piece), Upload_Concat="partial")
        assert begun.status == 201
        paths.append(begun.headers["Location"])
    final = await ask(connector, "POST", "/v1/uploads", Upload_Concat="final;" + " ".join(reversed(paths)))
    assert (final.status, final.headers["Blob-Id"]) == (201, b3(b"".join(reversed(pieces))))
    again = await ask(connector, "POST", "/v1/uploads", Upload_Concat="final;" + " ".join(reversed(paths)))
    assert (again.status, again.headers["Location"]) == (201, final.headers["Location"])


async def test_one_that_was_ended_is_not_there(connector: Connector) -> None:
    path = (await ask(connector, "POST", "/v1/uploads", b"abc", Upload_Length=10)).headers["Location"]
    assert (await ask(connector, "DELETE", path)).status == 204
    for method, headers in (("HEAD", {}), ("DELETE", {}), ("PATCH", {"Upload_Offset": 3})):
        assert (await ask(connector, method, path, b"d" if headers else None, **headers)).status == 404


async def test_bytes_that_are_not_those_that_were_declared_are_not_kept(connector: Connector) -> None:
    declared = f"sha-256=:{base64.b64encode(hashlib.sha256(b'right').digest()).decode()}:"
    begun = await ask(connector, "POST", "/v1/uploads", Upload_Length=5, Repr_Digest=declared)
    checksum = f"sha1 {base64.b64encode(hashlib.sha1(b'right').digest()).decode()}"
    part = await ask(connector, "PATCH", begun.headers["Location"], b"wrong", Upload_Offset=0, Upload_Checksum=checksum)
    assert (part.status, part.json["error"]["code"]) == (460, "checksum_mismatch")
    whole = await ask(connector, "PATCH", begun.headers["Location"], b"wrong", Upload_Offset=0)
    assert (whole.status, whole.json["error"]["code"]) == (400, "digest_mismatch")
    assert (await ask(connector, "HEAD", begun.headers["Location"])).status == 404
