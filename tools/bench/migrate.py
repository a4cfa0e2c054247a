"""`blobstore bench migrate`: records moved to another topology and back, while others read and write."""

import asyncio
import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from records.central import Owner
from records.consent.scope import Selector
from records.store import RecordStore
from records.writing.attachments import Target
from tools.bench.bare import BATCH, batches, row
from tools.bench.messages import MANIFEST, messages
from tools.opening import Opening, configure
from tools.output import json_option, listing
from tools.running import blobstore

PAUSE_LIMIT = 1.0
"""Seconds that a writer may wait at the switch."""

MEMORY_LIMIT = 200.0
"""MiB of the process that moves, whatever the number of records."""

LIVE = "live"
"""The connector that is written to all the time."""


@click.command()
@click.option("--records", default=1_000_000, show_default=True, help="Records in all.")
@click.option("--connectors", default=4, show_default=True, help="Connectors that share them.")
@click.option("--blobs", default=10_000, show_default=True, help="Small blobs, each linked by a record.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def migrate(records: int, connectors: int, blobs: int, directory: Path | None, as_json: bool) -> None:
    """Move records into a file for each connector and back; how long do writers wait, and is all as it was?"""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        rows = asyncio.run(_measure(Path(name) / "data", records, connectors, blobs))
    listing(rows, as_json=as_json, columns=("figure", "value", "at_most", "at_least", "within"))
    if not all(each["within"] for each in rows):
        raise click.exceptions.Exit(1)


async def _measure(data: Path, records: int, connectors: int, blobs: int) -> list[dict[str, object]]:
    configure(Opening(data, None, None))
    store = await RecordStore.open(data)
    try:
        owner = await store.access.owner("bench")
        names = [f"bench{number}" for number in range(connectors)]
        for name in (*names, LIVE):
            await _fill(store, owner, name, 0 if name == LIVE else records // connectors, blobs // connectors)
        before = await _exported(data, names)
        rows: list[dict[str, object]] = []
        for to in ("per-connector", "single"):
            rows += await _moved(store, owner, data, to, records)
        same = before == await _exported(data, names)
        return [*rows, row("exports before and after are the same", float(same), at_least=1)]
    finally:
        await store.close()


async def _fill(store: RecordStore, owner: Owner, connector: str, records: int, blobs: int) -> None:
    await store.registry.register(owner, msgspec.json.encode({**MANIFEST, "connector_id": connector}))
    ingest = await store.ingests.begin(owner, "messages", Selector(connector))
    for lines in batches(messages(records)):
        await ingest.apply(lines)
    if records:
        for start in range(0, blobs, BATCH):
            keys = [f"blob{number}" for number in range(start, min(start + BATCH, blobs))]
            ids = await asyncio.gather(*(_upload(store, owner, connector, key) for key in keys))
            lines = [_linking(key, blob) for key, blob in zip(keys, ids, strict=True)]
            await ingest.apply(lines)
    if ingest.rejected:
        raise click.ClickException(str(ingest.rejections[0]))


async def _upload(store: RecordStore, owner: Owner, connector: str, key: str) -> str:
    receiving = await store.attachments.receive(owner, Target(Selector(connector), "messages", key, "text/plain"))
    async with receiving as incoming:
        await incoming.write(f"{connector}/{key}".encode())
        return str((await incoming.finish()).name.digest)


def _linking(key: str, blob: str) -> bytes:
    data = {"id": key, "file": {"blob_ref": {"blob_id": blob, "mime_type": "text/plain"}}}
    return json.dumps({"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": data}).encode()


async def _moved(store: RecordStore, owner: Owner, data: Path, to: str, records: int) -> list[dict[str, object]]:
    """One move by the command, with a writer and a reader beside it."""
    stop, waits, reads = asyncio.Event(), [0.0], [0.0]
    beside = [
        asyncio.create_task(_write(store, owner, stop, waits)),
        asyncio.create_task(_read(store, owner, stop, reads)),
    ]
    begun = time.monotonic()
    peak, moved = await asyncio.to_thread(_run, data, to)
    took = time.monotonic() - begun
    stop.set()
    await asyncio.gather(*beside)
    pause = max(each["paused_ms"] for each in moved) / 1000
    return [
        row(f"seconds, to {to}", took),
        row(f"records a second, to {to}", records / took),
        row(f"longest switch, seconds, to {to}", pause, at_most=PAUSE_LIMIT),
        row(f"longest that a write took, seconds, to {to}", max(waits)),
        row(f"longest that a page took, seconds, to {to}", max(reads)),
        row(f"memory of the command, MiB, to {to}", peak, at_most=MEMORY_LIMIT),
    ]


async def _write(store: RecordStore, owner: Owner, stop: asyncio.Event, waits: list[float]) -> None:
    ingest = await store.ingests.begin(owner, "messages", Selector(LIVE))
    for lines in batches(messages(10_000_000)):
        for start in range(0, BATCH, 10):
            begun = time.monotonic()
            await ingest.apply(lines[start : start + 10])
            waits.append(time.monotonic() - begun)
            await asyncio.sleep(0.01)
            if stop.is_set():
                return


async def _read(store: RecordStore, owner: Owner, stop: asyncio.Event, waits: list[float]) -> None:
    engine = await store.engines.of(owner.id)
    while not stop.is_set():
        begun = time.monotonic()
        await engine.get(list(await engine.stats(LIVE)), ["blob0"])
        waits.append(time.monotonic() - begun)
        await asyncio.sleep(0.01)


def _run(data: Path, to: str) -> tuple[float, Sequence[dict[str, float]]]:
    """The peak memory of the command in MiB, and what it printed."""
    command = blobstore("topology", "migrate", "--data", data, "--to", to, "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        printed = process.stdout.read() if process.stdout is not None else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException("the move failed")
    return usage.ru_maxrss / 1024, json.loads(printed)


async def _exported(data: Path, connectors: Sequence[str]) -> list[str]:
    return [await asyncio.to_thread(_export, data, connector) for connector in connectors]


def _export(data: Path, connector: str) -> str:
    """The digest of a connector's bag."""
    out = data.with_name("export.tar")
    command = blobstore("export", "--data", data, "--owner", "bench", "--connector", connector, out)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with out.open("rb") as bag:
        digest = hashlib.file_digest(bag, "sha256").hexdigest()
    out.unlink()
    return digest
