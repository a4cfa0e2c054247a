"""One store of one topology that grows: measured at each size, with each number of writers."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from blobstore.errors import BlobError
from records.errors import RecordError
from records.snapshots.backup import back_up
from records.store import RecordStore
from tools.bench.bare import percentile
from tools.bench.client import Client
from tools.bench.topology.lines import BATCH, LINE, STREAM
from tools.bench.topology.writers import OWNER, write
from tools.opening import Opening, configure, open_store
from tools.running import serving

CONNECTORS = 16
PAGES = 100
PAGE = 100
GB = 1_000_000_000

Row = dict[str, object]


@dataclass
class Growth:
    """One store that grows. `_next` is the number from which on lines are new in every connector."""

    topology: str
    directory: Path
    database_url: str | None
    burst: int
    _next: int = 0
    _counts: list[int] = field(default_factory=lambda: [0] * CONNECTORS)

    def measure(self, sizes: Sequence[float], writers: Sequence[int]) -> Iterator[Row]:
        """Grow to each size in turn and measure there."""
        configure(self._opening())
        for size in sizes:
            missing = int(size * GB / LINE) - sum(self._counts) - self.burst * len(writers)
            if missing > 0:
                self._write(CONNECTORS, missing)
            for count in writers:
                yield self._row(size, "ingest", self._write(count, self.burst), "MB/s", count)
            yield from self._pages(size)
            yield from asyncio.run(self._upkeep(size))

    def _opening(self) -> Opening:
        return Opening(self.directory, self.topology, None, database_url=self.database_url)

    def _write(self, writers: int, count: int) -> float:
        """MB per second, from the first writer's start to the last one's end."""
        each = max(BATCH, count // writers // BATCH * BATCH)
        rate = write("store", [(self.directory, number) for number in range(writers)], self._next, each)
        self._next += each
        for number in range(writers):
            self._counts[number] += each
        return rate

    def _pages(self, size: float) -> Iterator[Row]:
        with serving(self.directory, OWNER) as server:
            client = Client(server)
            for name, query in (("page", {"connector_id": "bench0"}), ("page over all connectors", {})):
                times = []
                cursor: dict[str, str] = {}
                for _ in range(PAGES):
                    path = f"/v1/streams/{STREAM}/records?" + urlencode({"limit": PAGE, **query, **cursor})
                    begun = time.perf_counter()
                    text = client.call("GET", path)
                    times.append(time.perf_counter() - begun)
                    cursor = {"cursor": msgspec.json.decode(text)["next_cursor"]}
                for at in (50, 90):
                    yield self._row(size, f"{name}, p{at}", percentile(times, at) * 1000, "ms")
            client.close()

    async def _upkeep(self, size: float) -> list[Row]:
        """A backup of everything, and the erasure of one connector."""
        rows = []
        async with open_store(self._opening()) as store:
            for figure, work in (("backup", self._back_up), ("erasure of a connector", self._erase)):
                begun = time.perf_counter()
                try:
                    await work(store)
                except (BlobError, RecordError, click.ClickException) as error:
                    click.echo(f"{self.topology}: no {figure}: {error}", err=True)
                else:
                    rows.append(self._row(size, figure, time.perf_counter() - begun, "s"))
        return rows

    async def _back_up(self, store: RecordStore) -> None:
        with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=self.directory.parent) as out:
            await back_up(store, Path(out) / "backup")

    async def _erase(self, store: RecordStore) -> None:
        owner = await store.access.owner(OWNER)
        erased = await store.erasures.erase(
            owner, await store.erasures.coverage.of_connector(owner, "bench1"), wait=600
        )
        self._counts[1] = 0
        if erased.report.state != "done":
            raise click.ClickException("the erasure was not finished in ten minutes")

    def _row(self, size: float, figure: str, value: float, unit: str, writers: int | None = None) -> Row:
        shown = round(value, 2)
        return {
            "topology": self.topology,
            "gigabytes": size,
            "figure": figure,
            "writers": writers,
            "value": shown,
            "unit": unit,
        }
