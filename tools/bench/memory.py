"""`blobstore bench memory`: resident memory while large bodies move, against the idle server."""

import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from tools.bench.samples import MIB, digest_of, made
from tools.output import json_option, listing
from tools.running import Server, serving

MANIFEST = {
    "connector_id": "bench",
    "version": "1",
    "display_name": "Benchmark",
    "streams": [
        {
            "name": "files",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "schema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
        }
    ],
}


@click.command()
@click.option("--large", default=2_000_000_000, show_default=True, help="Bytes of the one large file.")
@click.option("--small", default=100_000_000, show_default=True, help="Bytes of each parallel upload.")
@click.option("--parallel", default=32, show_default=True, help="Uploads at once.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work; needs the space.")
@json_option
def memory(large: int, small: int, parallel: int, directory: Path | None, as_json: bool) -> None:
    """Upload and download large files; how far does the server's memory grow over idle?"""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as scratch:
        rows = _measure(Path(scratch), large, small, parallel)
    listing(rows, as_json=as_json, columns=("work", "idle_bytes", "growth_bytes", "limit_bytes", "within"))
    if not all(row["within"] for row in rows):
        raise click.exceptions.Exit(1)


def _measure(scratch: Path, large: int, small: int, parallel: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    source = scratch / "large"
    sha256 = digest_of(made(source, large, b"large"))
    with serving(scratch / "data", "bench") as server:
        post(server, "/v1/connectors", MANIFEST)
        idle = server.idle()

        server.reset_peak()
        blob_id = sent(server, source, "large")
        rows.append(_row(f"one upload of {large:,} bytes", idle, server, 96))

        server.reset_peak()
        _upload_many(server, scratch, small, parallel)
        rows.append(_row(f"{parallel} parallel uploads of {small:,} bytes", idle, server, 96))

        server.reset_peak()
        _download(server, blob_id, scratch / "copy", large, sha256)
        rows.append(_row(f"download of {large:,} bytes, cut and resumed, with 16 parallel seeks", idle, server, 64))
    return rows


def _row(work: str, idle: int, server: Server, limit: int) -> dict[str, object]:
    growth = server.peak() - idle
    return {
        "work": work,
        "idle_bytes": idle,
        "growth_bytes": growth,
        "limit_bytes": limit * MIB,
        "within": growth <= limit * MIB,
    }


def _curl(server: Server, *arguments: str) -> list[str]:
    return ["curl", "--silent", "--show-error", "--fail", "-H", f"Authorization: Bearer {server.token}", *arguments]


def post(server: Server, path: str, body: object) -> None:
    """Send a small body."""
    command = _curl(server, "-X", "POST", server.url + path, "-H", "Content-Type: application/json", "-d", "@-")
    subprocess.run(command, check=True, input=msgspec.json.encode(body), stdout=subprocess.DEVNULL)


def sent(server: Server, path: Path, key: str) -> str:
    """Upload a file by curl; the id of its blob."""
    query = urlencode({"connector_id": "bench", "stream": "files", "record_key": key})
    command = _curl(server, "-X", "POST", "-T", str(path), f"{server.url}/v1/blobs?{query}")
    answer = msgspec.json.decode(subprocess.run(command, check=True, capture_output=True).stdout)
    return str(answer["blob_id"])


def _upload_many(server: Server, scratch: Path, size: int, parallel: int) -> None:
    paths = [scratch / f"small-{index}" for index in range(parallel)]
    for path in paths:
        made(path, size, path.name.encode())
    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(lambda path: sent(server, path, path.name), paths))
    for path in paths:
        path.unlink()


def taken(server: Server, blob_id: str) -> None:
    """Download a blob by curl, to nowhere."""
    subprocess.run(_curl(server, "-o", os.devnull, f"{server.url}/v1/blobs/{blob_id}"), check=True)


def _download(server: Server, blob_id: str, copy: Path, size: int, sha256: str) -> None:
    """A download that is cut at a third and resumed, while 16 readers jump about in the same blob."""
    url = f"{server.url}/v1/blobs/{blob_id}"

    def seek(number: int) -> None:
        for jump in range(8):
            start = (number * 8 + jump) * 7919 * 4096 % size
            command = _curl(server, "-r", f"{start}-{min(start + 4 * MIB, size) - 1}", "-o", os.devnull, url)
            subprocess.run(command, check=True)

    with ThreadPoolExecutor(16) as pool:
        seeks = pool.map(seek, range(16))
        cut = _curl(server, "--range", f"0-{size // 3}", "-o", str(copy), url)
        subprocess.run(cut, check=True)
        subprocess.run(_curl(server, "-C", "-", "-o", str(copy), url), check=True)
        list(seeks)
    if digest_of(copy) != sha256:
        raise click.ClickException("the resumed download differs from what was uploaded")
