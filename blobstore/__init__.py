"""Bytes in, digest out; digest in, bytes out. Usable by itself:

>>> import asyncio
>>> from collections.abc import AsyncIterator
>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> from blobstore.store import BlobStore, Slot

>>> async def chunks() -> AsyncIterator[bytes]:
...     yield b"A file, in as many pieces "
...     yield b"as it takes."

>>> async def store_and_read(folder: Path) -> None:
...     store = await BlobStore.open(folder)
...     stored = await store.put("me", Slot("notes", "default", "note 1", "text/plain"), chunks())
...     print(stored.name.digest, stored.size)
...     async with await store.open_blob("me", stored.name.digest) as blob:
...         print(await blob.read(2, 4))
...     await store.close()

>>> with TemporaryDirectory() as folder:
...     asyncio.run(store_and_read(Path(folder)))
blob_b3_b708241963f910b9f3547c7663c4417af63041e9bb613a37421feb3ee4031195 38
b'file'

A store keeps blobs of many namespaces; nothing crosses between them. Who stores a blob names the slot that it is for:
that claim keeps the blob alive until a link takes its place (`blobstore.catalogue`), or until it expires. What nobody
holds any more is collected (`blobstore.gc`). What was acknowledged is on the disk.
"""
