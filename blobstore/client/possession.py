"""Not sending what the server has already: showing that one has the bytes instead."""

import asyncio
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice

import msgspec

from blobstore.client.answers import Presence, PresenceList, Stored
from blobstore.client.calls import JSON, Calls, decode
from blobstore.client.content import PIECE, Content
from blobstore.client.errors import NotFound, OtherBytes, Refused
from blobstore.digest import Content as Digests
from blobstore.digest import Hasher
from blobstore.possession import prove

_BATCH = 1000
"""Blobs of one question: the server takes no more."""


async def have(calls: Calls, query: Mapping[str, str], blob_ids: Iterable[str]) -> set[str]:
    """Which of these the connector may name in a record now."""
    rest, found = iter(blob_ids), set[str]()
    while batch := list(islice(rest, _BATCH)):
        answers = await _ask(calls, query, [{"blob_id": blob_id} for blob_id in batch])
        found |= {each.blob_id for each in answers if each.have}
    return found


async def claim(
    calls: Calls, connector: Mapping[str, str], query: Mapping[str, str], content: Content
) -> Stored | None:
    """Claim the content for what `query` names; None where the bytes have to be sent."""
    digests = await asyncio.to_thread(_digests, content)
    blob_id = str(digests.digest)
    try:
        (presence,) = await _ask(calls, connector, [{"blob_id": blob_id, "size_bytes": digests.size}])
        if presence.challenge is None:
            return None
        asked = presence.challenge
        proof = await asyncio.to_thread(_prove, content, bytes.fromhex(asked.key), asked.ranges)
        body = msgspec.json.encode({"token": asked.token, "proof": proof})
        said = decode((await calls.call("POST", "/v1/blobs/claim", query, JSON, lambda: body)).body, Stored)
    except NotFound:
        return None
    except Refused as error:
        if error.parameter == "token":  # it took too long to read
            return None
        raise
    if (said.blob_id, said.sha256, said.size_bytes) != (blob_id, digests.sha256.hex(), digests.size):
        raise OtherBytes(f"the server claimed {said.blob_id} where {blob_id} was meant; do not trust it")
    return said


async def _ask(calls: Calls, query: Mapping[str, str], blobs: Sequence[Mapping[str, object]]) -> list[Presence]:
    body = msgspec.json.encode({"blobs": blobs})
    return decode((await calls.call("POST", "/v1/blobs/have", query, JSON, lambda: body)).body, PresenceList).data


def _open(content: Content) -> io.BufferedIOBase:
    return io.BytesIO(content) if isinstance(content, bytes) else content()


def _digests(content: Content) -> Digests:
    hasher = Hasher()
    with closing(_open(content)) as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
    return hasher.finish()


def _prove(content: Content, key: bytes, ranges: Sequence[tuple[int, int]]) -> str:
    with closing(_open(content)) as file:
        return prove(key, _read(file, ranges) if file.seekable() else _read_through(file, ranges))


def _read(file: io.BufferedIOBase, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for start, stop in ranges:
        file.seek(start)
        yield file.read(stop - start)


def _read_through(file: io.BufferedIOBase, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """The same of what can only be read from its start on, in one pass."""
    kept = [bytearray() for _ in ranges]
    place = 0
    while piece := file.read(PIECE):
        for each, (start, stop) in zip(kept, ranges, strict=True):
            each += piece[max(start - place, 0) : max(stop - place, 0)]
        place += len(piece)
    yield from map(bytes, kept)
