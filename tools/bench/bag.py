"""`blobstore bench bag`: memory and time of an export and an import, whatever the size of what goes out and in.

Memory is the largest resident size of the command's process, beside that of the same command for an owner who has
nothing: what is more grows with the data, or is a buffer.
"""

import asyncio
import filecmp
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import msgspec

from records.central import Owner
from records.consent.scope import Selector
from records.slots import WHOLE_RECORD
from records.store import RecordStore
from tools.bench.bare import batches
from tools.bench.messages import MANIFEST, messages
from tools.output import json_option, listing
from tools.running import serving

MIB = 1 << 20
LIMIT = 64 * MIB
"""Bytes that memory may grow by, whatever the size."""


@click.command()
@click.option("--records", default=300_000, show_default=True, help="Messages of some 275 bytes.")
@click.option("--blobs", default=2_000, show_default=True, help="Attached files, all different.")
@click.option("--size", default=600_000, show_default=True, help="Bytes of each.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work; needs the space.")
@json_option
def bag(records: int, blobs: int, size: int, directory: Path | None, as_json: bool) -> None:
    """Export and import an owner's data; how much memory do they take over those of an owner without any?"""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as scratch:
        rows = _measure(Path(scratch), records, blobs, size)
    listing(rows, as_json=as_json, columns=("work", "seconds", "idle_bytes", "growth_bytes", "limit_bytes", "within"))
    if not all(row["within"] for row in rows):
        raise click.exceptions.Exit(1)


def _measure(scratch: Path, records: int, blobs: int, size: int) -> list[dict[str, object]]:
    data, copy = scratch / "data", scratch / "copy"
    asyncio.run(_make(data, records, blobs, size))
    rows = []
    empty, full = scratch / "empty.tar", scratch / "full.tar"
    _, idle = _run("export", "--data", data, "--owner", "nobody", empty)
    seconds, peak = _run("export", "--data", data, "--owner", "bench", full)
    rows.append(_row(f"export of {full.stat().st_size:,} bytes", seconds, idle, peak))
    _, idle = _run("import", "--data", copy, "--owner", "nobody", empty)
    seconds, peak = _run("import", "--data", copy, "--owner", "bench", full)
    rows.append(_row(f"import of {full.stat().st_size:,} bytes", seconds, idle, peak))
    seconds, peak = _run("import", "--data", copy, "--owner", "bench", full)
    rows.append(_row("the same again", seconds, idle, peak))
    with serving(data, "bench") as server:
        idle = server.idle()
        server.reset_peak()
        begun = time.monotonic()
        token = f"Authorization: Bearer {server.token}"
        url = f"{server.url}/v1/owner/export"
        subprocess.run(["curl", "-sSf", "-H", token, "-o", scratch / "sent.tar", url], check=True)
        seconds = time.monotonic() - begun
        rows.append(_row("export over HTTP", seconds, idle, server.peak()))
    if not filecmp.cmp(full, scratch / "sent.tar", shallow=False):
        raise click.ClickException("the two exports differ")
    return rows


def _row(work: str, seconds: float, idle: int, peak: int) -> dict[str, object]:
    growth = max(peak - idle, 0)
    return {
        "work": work,
        "seconds": round(seconds, 1),
        "idle_bytes": idle,
        "growth_bytes": growth,
        "limit_bytes": LIMIT,
        "within": growth <= LIMIT,
    }


def _run(*arguments: str | Path) -> tuple[float, int]:
    """Wall seconds of a command, and the largest resident size of its process in bytes."""
    begun = time.monotonic()
    command = [sys.executable, "-c", _COMMAND, *map(str, arguments)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.monotonic() - begun, int(printed.split()[-1]) * 1024


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
            raise click.ClickException(ingest.rejections[0].message)
    finally:
        await store.close()


async def _upload(store: RecordStore, owner: Owner, number: int, size: int) -> str:
    receiving = await store.attachments.receive(
        owner,
        Selector("bench", None),
        stream="messages",
        record_key=f"file {number}",
        json_path=WHOLE_RECORD,
        media="application/octet-stream",
    )
    block = number.to_bytes(8) + bytes(MIB - 8)
    async with receiving as upload:
        for offset in range(0, size, MIB):
            await upload.write(block[: size - offset])
        return str((await upload.finish()).name.digest)


def _with_file(number: int, blob: str) -> bytes:
    data = {"id": f"file {number}", "blob_ref": {"blob_id": blob}}
    return msgspec.json.encode({"key": data["id"], "data": data, "emitted_at": "2026-01-01T00:00:00Z"})
