"""The sink that writes into a data directory: bytes of any length, and what becomes of a file that cannot be read."""

import hashlib
import io
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from blobstore.client.answers import Stored
from blobstore.client.content import PIECE, Content
from tools.local_sink import LocalSink, open_local_sink
from tools.opening import Opening
from tools.sink import Refused
from tools.slack import manifest

LENGTHS = (0, 1, PIECE - 1, PIECE, 9 * PIECE + 1)


class Failing(io.RawIOBase):
    """A file whose second megabyte cannot be read."""

    def __init__(self) -> None:
        self.readings = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.readings += 1
        if self.readings > 1:
            raise OSError(5, "Input/output error")
        return len(buffer)


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[LocalSink]:
    async with open_local_sink(Opening(data, None, None), "me", manifest.CONNECTOR_ID, None) as sink:
        await sink.register(manifest.load())
        yield sink


async def upload(sink: LocalSink, content: Content, size: int) -> Stored:
    return await sink.upload(content, size=size, stream="files", record_key="F1", mime_type="image/png")


@pytest.mark.parametrize("length", LENGTHS)
async def test_all_bytes_are_stored_whether_given_or_to_be_opened(tmp_path: Path, length: int) -> None:
    content = random.Random(length).randbytes(length)
    async with opened(tmp_path / "data") as sink:
        given: list[Content] = [content] if length < PIECE else []
        given.append(lambda: io.BufferedReader(io.BytesIO(content)))
        for each in given:
            uploaded = await upload(sink, each, length)
            assert (uploaded.size_bytes, uploaded.sha256) == (length, hashlib.sha256(content).hexdigest())
    assert [path.read_bytes() for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()] == [content]


async def test_a_file_that_cannot_be_read_or_grew_leaves_nothing(tmp_path: Path) -> None:
    failing = Failing()
    async with opened(tmp_path / "data") as sink:
        with pytest.raises(OSError, match="Input/output error"):
            await upload(sink, lambda: io.BufferedReader(failing), 2 * PIECE)
        with pytest.raises(Refused, match="were declared"):  # others may still be stored
            await upload(sink, lambda: io.BufferedReader(io.BytesIO(bytes(PIECE + 1))), PIECE)
        assert failing.closed
        left = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.stat().st_size >= PIECE]
        assert not left
    assert not [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
