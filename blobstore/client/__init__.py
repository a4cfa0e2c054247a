"""A client for a server of this contract: async, streaming, going on after a cut, believing no byte unchecked.

    async with connect("http://127.0.0.1:8080", token) as client:
        notes = client.connector("https://example.org/connectors/notes")
        await notes.register(manifest)
        stored = await notes.upload(Path("scan.pdf"), stream="notes", record_key="1", mime_type="application/pdf")
        await notes.ingest("notes", [line("1", {"id": "1", "blob_ref": {"blob_id": stored.blob_id}}, now)])
        async for record in client.records("notes"):
            print(record.id, record.data)
        await client.save(stored.blob_id, Path("copy.pdf"))

Nothing of it needs a store, and nothing else of this package imports it.
"""

from blobstore.client.answers import Record, Rejection, Stored
from blobstore.client.client import Client, connect
from blobstore.client.connector import Connector, deletion, line
from blobstore.client.downloads import OpenBlob
from blobstore.client.errors import (
    ClientError,
    Conflict,
    ContentChanged,
    Expired,
    Forbidden,
    NoRoom,
    NotAnAddress,
    NotFound,
    NotUnderstood,
    OtherBytes,
    Refused,
    ServerError,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from blobstore.client.pages import BEGINNING, Changes

__all__ = [
    "BEGINNING",
    "Changes",
    "Client",
    "ClientError",
    "Conflict",
    "Connector",
    "ContentChanged",
    "Expired",
    "Forbidden",
    "NoRoom",
    "NotAnAddress",
    "NotFound",
    "NotUnderstood",
    "OpenBlob",
    "OtherBytes",
    "Record",
    "Refused",
    "Rejection",
    "ServerError",
    "Stored",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "connect",
    "deletion",
    "line",
]
