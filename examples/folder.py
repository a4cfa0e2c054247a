"""A connector in sixty lines: the files of a folder. Run again, it brings what is new and says what has gone.

python examples/folder.py FOLDER --token T [--server http://127.0.0.1:8080]
"""

import argparse
import asyncio
import mimetypes
from datetime import UTC, datetime
from pathlib import Path

from blobstore.client import ClientError, Connector, connect, deletion, line

TEXT = {"type": "string"}
SCHEMA = {"type": "object", "properties": {"path": TEXT, "changed_at": TEXT, "blob_ref": {"type": "object"}}}
STREAM = {"name": "files", "semantics": "mutable_state", "primary_key": ["path"], "cursor_field": "changed_at"}
CONNECTOR_ID = "https://example.org/connectors/folder"
MANIFEST = {
    "connector_id": CONNECTOR_ID,
    "version": "1.0.0",
    "display_name": "Folder",
    "streams": [STREAM | {"schema": SCHEMA | {"required": ["path"]}}],
}


async def bring(folder: Path, connector: Connector) -> None:
    await connector.register(MANIFEST)
    known: dict[str, int] = (await connector.state()).get("files", {})  # when each file was changed, in nanoseconds
    found = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    changed = {path: file.stat().st_mtime_ns for path, file in found.items()}
    new = [path for path in found if known.get(path) != changed[path]]
    few = asyncio.Semaphore(16)  # uploads at once: they share what makes them durable
    lines = await asyncio.gather(*(record(connector, few, path, found[path]) for path in new))
    gone = [deletion(path, datetime.now(UTC).isoformat()) for path in known.keys() - found.keys()]
    for refused in await connector.ingest("files", lines + gone):
        raise SystemExit(f"line {refused.index} was refused: {refused.code}: {refused.message}")
    await connector.save_state({"files": changed})  # last: whatever breaks off before is brought once more
    print(f"{len(new)} brought, {len(gone)} gone, {len(found)} in all")


async def record(connector: Connector, few: asyncio.Semaphore, path: str, file: Path) -> bytes:
    changed = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat()
    media = mimetypes.guess_type(path)[0] or "application/octet-stream"
    async with few:  # the bytes before the record that names them
        stored = await connector.upload(file, stream="files", record_key=path, mime_type=media)
    blob = {"blob_id": stored.blob_id, "mime_type": media, "size_bytes": stored.size_bytes}
    return line(path, {"path": path, "changed_at": changed, "blob_ref": blob}, changed)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--token", required=True)
    asked = parser.parse_args()
    if not asked.folder.is_dir():  # it would seem to be empty, and all its records to be gone
        parser.error(f"{asked.folder} is no folder")
    try:
        async with connect(asked.server, asked.token) as client:
            await bring(asked.folder, client.connector(CONNECTOR_ID))
    except ClientError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    asyncio.run(main())
