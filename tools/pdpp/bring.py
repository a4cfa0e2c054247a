"""Brings one account of the reference's file into a store: bytes before the records that name them, state at the end.

How far a stream has come is noted as its sync state, until the reference's own takes that place: so what was cut off
goes on where it was, on whatever machine, and a store that was restored from a backup goes on from there.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from records import jsontext
from records.errors import Invalid
from records.manifest import Manifest, StreamDeclaration
from records.writing import links
from records.writing.lines import MAX_LINE
from tools.pdpp.content import DamagedError, content
from tools.pdpp.file import ReferenceFile, Row, Source
from tools.pdpp.report import Report, Stream
from tools.sink import Refused, Sink, SinkError

T = TypeVar("T")

UPLOADS = 8
"""Uploads at once: they share what makes them durable."""

REMEMBERED = 100_000
"""Blobs of which it is known that they were uploaded; of more the bytes go again, which does no harm."""

MARK = "import_reference"
"""The member of a state that says how far an import has come; no connector's."""


class Importer:
    """One account into one sink."""

    def __init__(self, file: ReferenceFile, source: Source, manifest: Manifest, sink: Sink, report: Report) -> None:
        self._file = file
        self._source = source
        self._manifest = manifest
        self._sink = sink
        self._report = report
        self._alone = asyncio.Lock()
        self._uploaded: OrderedDict[bytes, None] = OrderedDict()
        self._slots = asyncio.Semaphore(UPLOADS)

    async def run(self, *, overwrite: bool) -> None:
        """Bring all of it. Raises `SinkError`, also where the store was written to since by others."""
        assert self._source.manifest is not None
        await self._sink.register(msgspec.json.decode(self._source.manifest))
        state = await self._ask(self._file.state, self._source)
        there = await self._sink.load_state()
        if not overwrite:
            self._require_ours(there, state)
        for name, (records, deleted) in (await self._ask(self._file.streams, self._source)).items():
            declaration = self._manifest.streams.get(name)
            if declaration is None:
                self._report.left_out["records of streams that no manifest declares"] += records
                continue
            counts = Stream(self._source.connector, self._source.instance, name, records=records, deleted=deleted)
            self._report.streams.append(counts)
            await self._stream(declaration, counts, _mark_of(there.get(name)))
        await self._finish(state)

    def _require_ours(self, there: Mapping[str, Any], state: Mapping[str, bytes]) -> None:
        """Raise `SinkError` where a connector has been here since: older records would come over newer ones."""
        for stream, value in there.items():
            if value is not None and _mark_of(value) is None and value != _decoded(state.get(stream)):
                raise SinkError(
                    f"{self._source.connector} has brought newer data of {stream!r} into this store: its state is not"
                    " the file's. Nothing was changed; --overwrite puts the file's records over those that are here"
                )

    async def _stream(self, declaration: StreamDeclaration, counts: Stream, mark: dict[str, Any] | None) -> None:
        after = ""
        if mark is not None:
            after, counts.before = str(mark.get("after", "")), int(mark.get("records", 0))
        while rows := await self._ask(self._file.records, self._source, declaration.name, after):
            await self._batch(declaration, counts, rows)
            after = rows[-1].key
            done = counts.before + counts.sent + counts.refused
            await self._sink.save_state({declaration.name: {MARK: {"after": after, "records": done}}})

    async def _batch(self, declaration: StreamDeclaration, counts: Stream, rows: Sequence[Row]) -> None:
        lines: list[bytes] = []
        keys: list[str] = []
        decoded = [(row, _decoded(row.data)) for row in rows]
        await self._upload_all(declaration.name, decoded)
        for row, data in decoded:
            line = _line(row, data, declaration)
            if len(line) > MAX_LINE:
                self._refuse(counts, row.key, f"the record is longer than {MAX_LINE >> 20} MiB")
                continue
            lines.append(line)
            keys.append(row.key)
        rejected = await self._sink.ingest(declaration.name, lines) if lines else []
        for each in rejected:
            self._refuse(counts, keys[each.index], f"{each.code}: {each.message}" if each.message else each.code)
        counts.sent += len(lines) - len(rejected)

    async def _upload_all(self, stream: str, rows: Sequence[tuple[Row, Any]]) -> None:
        named = {sha256: (row, media) for row, data in rows for sha256, media in _named(row.data, data)}
        try:
            async with asyncio.TaskGroup() as group:
                for sha256, (row, media) in named.items():
                    group.create_task(self._upload(stream, row, sha256, media))
        except BaseExceptionGroup as several:  # what came first; the others only followed
            raise several.exceptions[0] from None

    def _refuse(self, counts: Stream, key: str, why: str) -> None:
        counts.refused += 1
        self._report.failed(f"{counts.connector} {counts.name} {key}", why)

    async def _upload(self, stream: str, row: Row, sha256: bytes, media: str) -> None:
        if sha256 in self._uploaded:
            self._uploaded.move_to_end(sha256)
            return
        async with self._slots:
            found = await self._ask(self._file.blob, self._source, sha256)
            if found is None:
                return  # the store refuses the record, and says why
            try:
                key = _key(row, _decoded(row.data), self._manifest.streams[stream])
                name = key if isinstance(key, str) else msgspec.json.encode(key).decode()
                opened = content(self._file, found)
                await self._sink.upload(
                    opened if found.size else b"", size=found.size, stream=stream, record_key=name, mime_type=media
                )
            except (DamagedError, Refused) as error:
                self._report.failed(f"blob_sha256_{sha256.hex()}", str(error))
                return
            self._report.blobs += 1
            self._report.blob_bytes += found.size
            self._uploaded[sha256] = None
            if len(self._uploaded) > REMEMBERED:
                self._uploaded.popitem(last=False)

    async def _finish(self, state: Mapping[str, bytes]) -> None:
        """The reference's state in the place of the marks: null, where it has none."""
        declared = {stream: value for stream, value in state.items() if stream in self._manifest.streams}
        if strange := state.keys() - declared.keys():
            self._report.left_out["states of streams that no manifest declares"] += len(strange)
        for stream in [name for name, text in declared.items() if not _is_json(text)]:
            self._report.failed(f"{self._source.connector} {stream}", "its state is no JSON that a store takes")
            del declared[stream]
        marked = {stream for stream, value in (await self._sink.load_state()).items() if _mark_of(value) is not None}
        final: dict[str, Any] = dict.fromkeys(marked) | {name: msgspec.Raw(text) for name, text in declared.items()}
        if final:
            await self._sink.save_state(final)
        self._report.states += len(declared)

    async def _ask(self, call: Callable[..., T], *arguments: object) -> T:
        """A call of the file, in a thread, one at a time."""
        async with self._alone:
            return await asyncio.to_thread(call, *arguments)


def _line(row: Row, data: object, declaration: StreamDeclaration) -> bytes:
    """The line of an ingest. What is no JSON stays what it is: the store says so."""
    key, emitted = msgspec.json.encode(_key(row, data, declaration)), msgspec.json.encode(row.emitted_at)
    return b'{"key":%b,"emitted_at":%b,"data":%b}' % (key, emitted, row.data.replace(b"\n", b" "))


def _key(row: Row, data: object, declaration: StreamDeclaration) -> str | list[Any]:
    """The key that the data spells: the reference writes one and the same key in several ways."""
    parts = [data.get(name) for name in declaration.primary_key] if isinstance(data, dict) else [None]
    if any(part is None or isinstance(part, dict | list) for part in parts):
        return row.key
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def _named(text: bytes, data: object) -> list[tuple[bytes, str]]:
    """SHA-256 and media type of each blob that the record names, each blob once."""
    if data is None or not links.may_hold(text, b"blob_"):
        return []
    try:
        found = links.find(data)
    except Invalid:  # the store refuses the record, and says why
        return []
    return list({each.sha256: each.media_type for each in found if each.sha256 is not None}.items())


def _decoded(text: bytes | None) -> Any:
    """The value; None for what is no JSON that a store takes."""
    try:
        return None if text is None else jsontext.decode(text)
    except (ValueError, RecursionError):
        return None


def _is_json(text: bytes) -> bool:
    return text.strip() == b"null" or _decoded(text) is not None


def _mark_of(value: object) -> dict[str, Any] | None:
    mark = value.get(MARK) if isinstance(value, dict) else None
    return mark if isinstance(mark, dict) else None
