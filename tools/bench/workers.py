"""`blobstore bench workers`: what more workers bring, side by side in one run, and how connections spread over them."""

import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from yarl import URL

from tools.bench.bare import BATCH, batches, row
from tools.bench.client import Client
from tools.bench.messages import MANIFEST, messages
from tools.output import json_option, listing
from tools.running import Server, serving

CLIENTS = 16
"""Connections that ask all the time, each one request after another."""

BLOB = 1 << 20
ROUNDS = 5


@click.command("workers")
@click.option("--workers", "count", default=2, show_default=True, help="Workers that are held against one process.")
@click.option("--seconds", default=2.0, show_default=True, help="How long each kind of work goes on in each round.")
@click.option(
    "--topology",
    type=click.Choice(["single", "per-connector"]),
    default="single",
    show_default=True,
    help="Where records live.",
)
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def workers(count: int, seconds: float, topology: str, directory: Path | None, as_json: bool) -> None:
    """Pages, downloads, uploads and ingests of 16 clients against `serve` and `serve --workers N`, in turn."""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        told = ("--topology", topology)
        with (
            serving(Path(name, "one"), "bench", *told) as one,
            serving(Path(name, "many"), "bench", *told, serve=("--workers", str(count))) as many,
        ):
            rows = _measure((Load(one), Load(many)), seconds)
            rows.append(
                row(f"share of the busiest of {count} workers in 64 connections at once", _busiest(many, count))
            )
    listing(rows, as_json=as_json, columns=("figure", "value", "at_most", "at_least", "within"))


class Load:
    """What is asked of one server."""

    def __init__(self, server: Server) -> None:
        self._url = URL(server.url)
        self._token = server.token
        self._fresh = itertools.count()
        client = Client(server)
        client.call("POST", "/v1/connectors", msgspec.json.encode(MANIFEST))
        self._bodies = [b"\n".join(lines) for lines in batches(messages(20 * BATCH))]
        for body in self._bodies:
            client.call("POST", "/v1/ingest/messages?connector_id=bench", body, "application/x-ndjson")
        blob = msgspec.json.decode(client.call("POST", self._upload_path(), os.urandom(BLOB), "text/plain"))["blob_id"]
        client.close()
        self.kinds: dict[str, Callable[[], bytes]] = {
            "pages of 25 records": lambda: self._get("/v1/streams/messages/records"),
            "downloads of 1 MiB": lambda: self._get(f"/v1/blobs/{blob}"),
            "uploads of 1 MiB": lambda: self._post(self._upload_path(), os.urandom(BLOB), "text/plain"),
            "ingests of 500 lines": self._ingest,
        }

    async def run(self, kind: str, seconds: float, clients: int) -> list[float]:
        """Seconds that each request took, of so many connections that ask all the time."""
        times = await asyncio.gather(*(self._ask(self.kinds[kind], seconds) for _ in range(clients)))
        return [each for of_one in times for each in of_one]

    async def rate(self, kind: str, seconds: float) -> float:
        """Requests in a second."""
        return len(await self.run(kind, seconds, CLIENTS)) / seconds

    async def _ask(self, request: Callable[[], bytes], seconds: float) -> list[float]:
        reader, writer = await asyncio.open_connection(self._url.host, self._url.port, limit=4 << 20)
        times: list[float] = []
        now = time.perf_counter()
        end = now + seconds
        while now < end:
            writer.write(request())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            begun, now = now, time.perf_counter()
            times.append(now - begun)
        writer.close()
        return times

    def _ingest(self) -> bytes:
        body = self._bodies[next(self._fresh) % len(self._bodies)]
        return self._post("/v1/ingest/messages?connector_id=bench", body, "application/x-ndjson")

    def _upload_path(self) -> str:
        return f"/v1/blobs?connector_id=bench&stream=messages&record_key={next(self._fresh)}"

    def _get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._token}\r\n\r\n".encode()

    def _post(self, path: str, body: bytes, kind: str) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._token}\r\nContent-Type: {kind}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _measure(loads: tuple[Load, Load], seconds: float) -> list[dict[str, object]]:
    """Round by round in turn, so that whatever else the machine does meets both."""
    ratios: dict[str, list[float]] = {kind: [] for kind in loads[0].kinds}
    for number, kind in itertools.product(range(ROUNDS), ratios):
        rates = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            rates[which] = asyncio.run(loads[which].rate(kind, seconds))
        ratios[kind].append(rates[1] / rates[0])
    return [
        row(f"{kind}: rate of many / one, median of {ROUNDS}", statistics.median(of)) for kind, of in ratios.items()
    ]


def _busiest(server: Server, count: int) -> float:
    """Median over rounds: 1 / workers would be even, 1 is all to one."""
    shares = [asyncio.run(_held(server)) for _ in range(ROUNDS)]
    assert all(sum(share.values()) == 64 and len(share) <= count for share in shares), shares
    return statistics.median(max(share.values()) / 64 for share in shares)


async def _held(server: Server) -> Counter[int]:
    """How many of 64 connections that come at once each worker has."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    before = {pid: _sockets(int(pid)) for pid in children}
    url = URL(server.url)
    opened = await asyncio.gather(*(asyncio.open_connection(url.host, url.port) for _ in range(64)))
    for reader, writer in opened:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
    held = Counter({int(pid): _sockets(int(pid)) - count for pid, count in before.items()})
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.5)
    return held


def _sockets(pid: int) -> int:
    return sum(str(each.readlink()).startswith("socket:") for each in Path(f"/proc/{pid}/fd").iterdir())
