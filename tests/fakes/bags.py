"""An owner whose data have all that is awkward, and bags of it taken apart."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.bag.export import Export
from records.bag.imports import AS_THEY_ARE, Imported
from records.bag.untar import TarArchive
from records.bag.unzip import ZipArchive
from records.central import Owner
from records.consent.scope import Selector
from records.store import RecordStore
from records.writing.attachments import Target
from tests.fakes.data_directory import chunks, digest_of, sha256_of

WHEN = "2026-11-23T10:00:00Z"
MAIL = "https://connectors.example/Mail Über/1"
CHAT = "chat"
INSTANCES = {MAIL: ("home", "Home", "work/ünd so"), CHAT: ("chat-one",)}
SHARED, ONLY_MAIL, ONLY_CHAT, WAITING, EMPTY = b"shared " * 50_000, b"mail", b"chat" * 9, b"waiting", b""
KEYS = ("a", "A", "a/b", "../../x", "nul\0nul", "💾", "\u2028", 'quote"', "x" * 1000, "con", "line\nend")


def stream(name: str, semantics: str = "mutable_state", keys: tuple[str, ...] = ("id",)) -> dict[str, Any]:
    fields = (*keys, "at", "text", "Text", "blob_ref", 'odd "name', "$x", "1")
    return {
        "name": name,
        "semantics": semantics,
        "primary_key": list(keys),
        "cursor_field": "at",
        "schema": {"type": "object", "properties": {field: {} for field in dict.fromkeys(fields)}},
    }


def manifest(connector: str) -> bytes:
    """Spelled so that only the very bytes are the same."""
    streams = [
        stream("messages"),
        stream("Messages"),
        stream("log", "append_only"),
        stream("pairs", keys=("left", "right")),
        stream("records"),
        stream("empty/never"),
    ]
    return json.dumps({"connector_id": connector, "version": "1", "streams": streams}, indent=1).encode()


class Writer:
    """Writes into one instance."""

    def __init__(self, store: RecordStore, owner: Owner, connector: str, instance: str | None) -> None:
        self.store, self.owner, self.selector = store, owner, Selector(connector, instance)

    async def upload(self, data: bytes, stream: str, key: str, place: str = "@record") -> dict[str, Any]:
        receiving = await self.store.attachments.receive(
            self.owner, Target(self.selector, stream, key, "image/png", place)
        )
        async with receiving as upload:
            async for chunk in chunks(data):
                await upload.write(chunk)
            stored = await upload.finish()
        return {"blob_id": str(stored.name.digest), "mime_type": "image/png", "name": f"{key[:9]}.png"}

    async def put(self, stream: str, key: object, data: str) -> None:
        await self.put_all(stream, (key, data))

    async def put_all(self, stream: str, *records: tuple[object, str]) -> None:
        lines = [f'{{"key":{json.dumps(key)},"data":{data},"emitted_at":"{WHEN}"}}' for key, data in records]
        ingest = await self.store.ingests.begin(self.owner, stream, self.selector)
        await ingest.apply([line.encode() for line in lines])
        assert ingest.rejected == 0, ingest.rejections

    async def delete(self, stream: str, key: str) -> None:
        ingest = await self.store.ingests.begin(self.owner, stream, self.selector)
        await ingest.apply([json.dumps({"key": key, "op": "delete", "emitted_at": WHEN}).encode()])
        assert ingest.rejected == 0

    async def fill(self, only: bytes) -> None:
        """Odd keys, odd spellings, compound keys, attachments, records that changed and that are gone."""
        old = [(key, f'{{ "id": {json.dumps(key)},\t"text":"old", "n": 1.0e2}}') for key in KEYS]
        await self.put_all("messages", *old, ("gone", '{"id":"gone"}'))
        now = {"text": "\u00e4", 'odd "name': [1], "$x": "dollar", "1": 1, "at": None}
        await self.put_all("messages", *((key, json.dumps({"id": key, **now})) for key in KEYS))
        await self.delete("messages", "gone")
        odd = (["l", "r/\0"], '{"left":"l","right":"r/\\u0000","at":7}')
        await self.put_all("pairs", odd, (["l", "r"], '{"right":"r","left":"l"}'))
        refs = {
            key: await self.upload(data, "records", key) for key, data in (("1", SHARED), ("2", only), ("3", EMPTY))
        }
        whole = [(key, json.dumps({"id": key, "blob_ref": ref, "more": [{"deep": ref}]})) for key, ref in refs.items()]
        await self.put_all("records", *whole)
        ref = await self.upload(SHARED, "log", "once")
        await self.put("log", "once", json.dumps({"id": "once", "blob_ref": ref, "Text": "upper"}))
        await self.upload(WAITING, "records", "not yet")
        await self.upload(SHARED, "log", "not yet", "/blob_ref")
        state = {"messages": b'{ "cursor" : 1.50 }', "log": b"null"}
        await self.store.states.merge(self.owner, self.selector, state)


async def fill(store: RecordStore, owner: Owner, connectors: Mapping[str, bytes] | None = None) -> None:
    """Two connectors that share blobs, one of them with several instances."""
    for connector, only in (connectors or {MAIL: ONLY_MAIL, CHAT: ONLY_CHAT}).items():
        await store.registry.register(owner, manifest(connector))
        for instance in INSTANCES[connector]:
            await Writer(store, owner, connector, instance).fill(only)


async def bag_of(store: RecordStore, owner: Owner, connector: str | None = None) -> bytes:
    """The whole archive."""
    async with store.exports.open(owner, connector) as export:
        return await whole(export)


async def whole(export: Export, piece: int = 100_000) -> bytes:
    read = [await export.read(offset, piece) for offset in range(0, export.size, piece)]
    return b"".join(read)


def files_of(archive: bytes) -> dict[str, bytes]:
    """Bytes by path inside the bag."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {each.name: tar.extractfile(each) for each in tar.getmembers()}
        return {name.removeprefix("export/"): file.read() for name, file in found.items() if file is not None}


def lines_of(files: Mapping[str, bytes], path: str) -> list[Any]:
    return [json.loads(line) for line in files[path].splitlines()]


def unpacked(archive: bytes, folder: Path) -> Path:
    """The bag as a folder."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "export"


# -- bags that others make ---------------------------------------------------------------------------------------------


def sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with manifests and counts that are right for them, whatever they are."""
    data = {path: content for path, content in sorted(files.items()) if path.startswith("data/")}
    tags = {path: content for path, content in files.items() if path in ("bagit.txt", "README.md")}
    oxum = f"Payload-Oxum: {sum(map(len, data.values()))}.{len(data)}"
    info = [line for line in files["bag-info.txt"].decode().splitlines() if not line.startswith("Payload-Oxum")]
    tags["bag-info.txt"] = "".join(f"{line}\n" for line in [*info, oxum]).encode()
    for algorithm in ("blake3", "sha256"):
        tags[f"manifest-{algorithm}.txt"] = listed(algorithm, data)
    lists = {f"tagmanifest-{algorithm}.txt": listed(algorithm, tags) for algorithm in ("blake3", "sha256")}
    return {**tags, **lists, **data}


def listed(algorithm: str, files: Mapping[str, bytes]) -> bytes:
    """A manifest of these files."""
    digest = (lambda data: digest_of(data).hex) if algorithm == "blake3" else sha256_of
    return "".join(f"{digest(data)}  {path}\n" for path, data in sorted(files.items())).encode()


def relisted(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same, and the list of streams tells what the files of records are."""
    lines = []
    for line in lines_of(files, "data/streams.ndjson"):
        data = files[line["path"]]
        line |= {"records": data.count(b"\n"), "bytes": len(data)}
        line |= {"sha256": sha256_of(data), "blake3": digest_of(data).hex}
        lines.append(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
    return sealed({**files, "data/streams.ndjson": "".join(lines).encode()})


def tar_of(files: Mapping[str, bytes], *more: tuple[tarfile.TarInfo, bytes], root: str = "export/") -> bytes:
    """An archive of these files, and of whatever else."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(root + path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info, data in more:
            tar.addfile(info, io.BytesIO(data))
    return written.getvalue()


def zip_of(files: Mapping[str, bytes], *more: tuple[zipfile.ZipInfo | str, bytes], method: int = 8) -> bytes:
    """A compressed archive of these files, and of whatever else."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for path, data in files.items():
            archive.writestr(f"export/{path}", data)
        for info, data in more:
            archive.writestr(info, data)
    return written.getvalue()


class InMemory:
    """An archive's bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


async def take(
    store: RecordStore,
    owner: str,
    archive: bytes,
    connector: str | None = None,
    renamed: Mapping[str, str] = AS_THEY_ARE,
) -> Imported:
    """Import an archive."""
    source = InMemory(archive)
    checked = await store.imports.check(ZipArchive(source) if archive[:2] == b"PK" else TarArchive(source))
    try:
        return await store.imports.load(await store.access.owner(owner), checked, connector, renamed)
    finally:
        checked.close()
