"""How far resident memory grows while bodies move, whatever their sizes: the high-water mark over the idle server."""

import asyncio
import filecmp
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from records.central import Owner
from records.consent.scope import Selector
from records.store import RecordStore
from records.writing.attachments import Target
from tools.bench.bare import batches
from tools.bench.figures import Bench, Figure, Goal, Line, Of
from tools.bench.lines.downloads import FILM
from tools.bench.load import apart, downloads
from tools.bench.messages import MANIFEST, messages
from tools.bench.ours import Ours, upload_path
from tools.bench.pairs import Median
from tools.bench.samples import MIB, made
from tools.bench.wire import Connection, head
from tools.running import Server, serving

UPLOADS, UPLOAD = 32, 100_000_000
DOWNLOADS = 64
RECORDS, FILES, FILE = 300_000, 4_000, 580_000
"""Of the export: 2.4 GB."""

IDLE_GOAL, UPLOADS_GOAL, DOWNLOADS_GOAL, EXPORT_GOAL = 90, 96, 64, 64


def bodies(bench: Bench) -> Iterator[Figure]:
    """A server of its own for each: what the allocator keeps of one is not the other's."""
    data = bench.scratch / "data"
    with serving(data, "bench") as server:
        yield _figure("RSS of the idle server", IDLE_GOAL, server.idle())
        ours = Ours(server.url, server.token)
        ours.register()
        files = [made(bench.scratch / f"up-{n}", bench.sized(UPLOAD), b"%d" % n) for n in range(UPLOADS)]
        yield _grown(server, f"RSS: {UPLOADS} × 100 MB uploads at once", UPLOADS_GOAL, partial(_uploaded, ours, files))
        for file in files:
            file.unlink()
        (path,) = ours.attach([made(bench.scratch / "film", bench.sized(FILM), b"film")])
    with serving(data, "bench") as server:
        ours = Ours(server.url, server.token)
        work = partial(apart, downloads, server.url, path, DOWNLOADS, DOWNLOADS, ours.headers)
        yield _grown(server, f"RSS: {DOWNLOADS} × 810 MB downloads at once", DOWNLOADS_GOAL, work)


def _uploaded(server: Ours, files: Sequence[Path]) -> None:
    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(partial(_sent, server), files))


def _sent(server: Ours, file: Path) -> None:
    connection = Connection(server.url)
    request = head("POST", server.url, upload_path(file.name), file.stat().st_size, server.headers)
    connection.send(request, file)
    connection.answer()
    connection.close()


def export(bench: Bench) -> Iterator[Figure]:
    """Whole, by HTTP; then by the command, and into another store, over the same command for an owner without data."""
    data, copy = bench.scratch / "data", bench.scratch / "copy"
    asyncio.run(_make(data, bench.sized(RECORDS), bench.sized(FILES), FILE))
    empty, full, sent = (bench.scratch / f"{name}.tar" for name in ("empty", "full", "sent"))
    with serving(data, "bench") as server:
        command = ["curl", "-sSf", "-H", f"Authorization: Bearer {server.token}", "-o", sent]
        work = partial(subprocess.run, [*command, f"{server.url}/v1/owner/export"], check=True)
        yield _grown(server, "RSS: export of 2.4 GB over HTTP", EXPORT_GOAL, work)
    for what, into, owner in (("export", data, "2.4 GB by the command"), ("import", copy, "2.4 GB into a new store")):
        idle = _peak(what, "--data", into, "--owner", "nobody", empty)
        growth = _peak(what, "--data", into, "--owner", "bench", full) - idle
        yield _figure(f"RSS: {what} of {owner}", EXPORT_GOAL, max(growth, 0))
    if not filecmp.cmp(full, sent, shallow=False):
        raise RuntimeError("the two exports differ")


def _grown(server: Server, work: str, goal: float, do: Callable[[], object]) -> Figure:
    idle = server.idle()
    server.reset_peak()
    do()
    return _figure(f"{work}, over {idle / MIB:.0f} MiB idle", goal, server.peak() - idle)


def _figure(work: str, goal: float, size: int) -> Figure:
    return Figure(work, "", Goal(Of.MEMORY, goal), Median.of([size / MIB]))


def _peak(*arguments: str | Path) -> int:
    """The largest resident size of a command's process in bytes."""
    command = [sys.executable, "-c", _COMMAND, *map(str, arguments)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(printed.split()[-1]) * 1024


# What the kernel tells of an ended child counts what its parent had before: so the command tells itself.
_COMMAND = """
import sys
from pathlib import Path
from tools.cli import main
main(sys.argv[1:], standalone_mode=False)
print(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM")))
"""


async def _make(data: Path, records: int, blobs: int, size: int) -> None:
    """An owner with records, half of the files linked and half of them waiting for theirs; and one with nothing."""
    store = await RecordStore.open(data)
    try:
        await store.access.owner("nobody")
        owner = await store.access.owner("bench")
        await store.registry.register(owner, msgspec.json.encode(MANIFEST))
        ingest = await store.ingests.begin(owner, "messages", Selector("bench", None))
        for lines in batches(messages(records)):
            await ingest.apply(lines)
        for number in range(blobs):
            blob = await _upload(store, owner, number, size)
            if number % 2 == 0:
                await ingest.apply([_with_file(number, blob)])
        if ingest.rejections:
            raise RuntimeError(ingest.rejections[0].message)
    finally:
        await store.close()


async def _upload(store: RecordStore, owner: Owner, number: int, size: int) -> str:
    receiving = await store.attachments.receive(
        owner, Target(Selector("bench", None), "messages", f"file {number}", "application/octet-stream")
    )
    block = number.to_bytes(8) + bytes(MIB - 8)
    async with receiving as upload:
        for offset in range(0, size, MIB):
            await upload.write(block[: size - offset])
        return str((await upload.finish()).name.digest)


def _with_file(number: int, blob: str) -> bytes:
    data = {"id": f"file {number}", "blob_ref": {"blob_id": blob}}
    return msgspec.json.encode({"key": data["id"], "data": data, "emitted_at": "2026-01-01T00:00:00Z"})


LINES = (
    Line("memory", "memory while bodies move", bodies),
    Line("memory-export", "memory of exports and imports", export),
)
