"""The sink that writes straight into a data directory: the same library calls as the server makes, without HTTP."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import msgspec

from blobstore.client.answers import Rejection, Stored
from blobstore.client.content import Content
from blobstore.errors import BlobError, ContentMismatch, LargerThanQuota
from blobstore.store import Expected, Upload
from blobstore.upload import LITTLE
from records.central import Owner
from records.consent.scope import Selector
from records.errors import Invalid, RecordError, Unknown
from records.store import RecordStore
from records.writing.attachments import Target
from tools.opening import Opening, open_store
from tools.sink import Refused, SinkError


class LocalSink:
    """A `Sink` over an open store."""

    def __init__(self, store: RecordStore, owner: Owner, connector_id: str, instance_id: str | None) -> None:
        self._store = store
        self._owner = owner
        self._selector = Selector(connector_id, instance_id)

    async def register(self, manifest: Mapping[str, Any]) -> None:
        with _translated():
            await self._store.registry.register(self._owner, msgspec.json.encode(manifest))

    async def load_state(self) -> dict[str, Any]:
        with _translated():
            try:
                found = await self._store.states.get(self._owner, self._selector)
            except Unknown:  # the connector is registered; an account that was erased refuses the first write
                return {}
        return {stream: msgspec.json.decode(value) for stream, value in found.state.items()}

    async def save_state(self, state: Mapping[str, Any]) -> None:
        encoded = {stream: msgspec.json.encode(value) for stream, value in state.items()}
        with _translated():
            await self._store.states.merge(self._owner, self._selector, encoded)

    async def upload(
        self, content: Content, *, size: int | None, stream: str, record_key: str, mime_type: str
    ) -> Stored:
        with _translated():
            upload = await self._store.attachments.receive(
                self._owner, Target(self._selector, stream, record_key, mime_type), size
            )
            async with upload:
                await _fill(upload, content)
                stored = await upload.finish(Expected(size=size))
        return Stored(str(stored.name.digest), stored.sha256.hex(), stored.size, mime_type)

    async def ingest(self, stream: str, lines: Sequence[bytes]) -> list[Rejection]:
        with _translated():
            ingest = await self._store.ingests.begin(self._owner, stream, self._selector)
            await ingest.apply(lines)
        return [Rejection(each.input_index, each.code, each.message) for each in ingest.rejections]


async def _fill(upload: Upload, content: Content) -> None:
    if isinstance(content, bytes) and len(content) <= LITTLE:
        return await upload.write(content)
    file = io.BytesIO(content) if isinstance(content, bytes) else await asyncio.to_thread(content)
    with closing(file):
        await upload.draw(file.readinto)


@asynccontextmanager
async def open_local_sink(
    opening: Opening, owner: str, connector_id: str, instance_id: str | None
) -> AsyncIterator[LocalSink]:
    """Open the data directory, made if need be, and write for this owner. Raises `SinkError`, also at the end."""
    with _translated():
        async with open_store(opening) as store:
            yield LocalSink(store, await store.access.owner(owner), connector_id, instance_id)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (Invalid, LargerThanQuota, ContentMismatch) as error:  # the last: a file that changed while it was read
        raise Refused(str(error)) from error
    except (RecordError, BlobError) as error:
        raise SinkError(str(error)) from error
