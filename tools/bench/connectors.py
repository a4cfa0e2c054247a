"""`blobstore bench connectors`: pages over many connectors, one file for all against a file for each, side by side."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from tools.bench.bare import row
from tools.bench.client import Client
from tools.bench.messages import MANIFEST, messages
from tools.output import json_option, listing
from tools.running import serving

PAGE = 50
RATIO_LIMIT = 5.0
SETTLED = 5.0
"""Seconds after the last write until the server has brought to rest what it wrote."""


@click.command()
@click.option("--connectors", "count", default=1000, show_default=True, help="Connectors that share one list.")
@click.option("--records", default=25, show_default=True, help="Records of each.")
@click.option("--pages", default=500, show_default=True, help="Pages that are walked through, one after the other.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def connectors(count: int, records: int, pages: int, directory: Path | None, as_json: bool) -> None:
    """Walk through a list over many connectors, in the topologies single and per-connector in turn."""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        rows = _measure(Path(name), count, records, pages)
    listing(rows, as_json=as_json, columns=("figure", "value", "at_most", "at_least", "within"))
    if not all(each["within"] for each in rows):
        raise click.exceptions.Exit(1)


def _measure(scratch: Path, count: int, records: int, pages: int) -> list[dict[str, object]]:
    one, each = scratch / "single", scratch / "per-connector"
    with (
        serving(one, "bench", "--topology", "single") as single,
        serving(each, "bench", "--topology", "per-connector") as divided,
    ):
        for server in (single, divided):
            client = Client(server)
            _fill(client, count, records)
            client.close()
        time.sleep(SETTLED)
        # Anew: a connection that waited for the other's records was closed meanwhile.
        clients = [Client(single), Client(divided)]
        times = _walk(clients, pages)
        for client in clients:
            client.close()
    return _rows(times, count)


def _fill(client: Client, count: int, records: int) -> None:
    """Neighbours in the list are of different connectors."""
    lines = list(messages(count * records))
    for number in range(count):
        name = f"bench{number:05}"
        client.call("POST", "/v1/connectors", msgspec.json.encode({**MANIFEST, "connector_id": name}))
        body = b"\n".join(lines[number::count])
        path = "/v1/ingest/messages?" + urlencode({"connector_id": name})
        client.call("POST", path, body, "application/x-ndjson")


def _walk(clients: Sequence[Client], pages: int) -> list[list[float]]:
    """Seconds of every page: both go through the same list, page by page in turn."""
    walks = [_paged(client) for client in clients]
    times: list[list[float]] = [[] for _ in walks]
    for _ in range(pages):
        bodies = []
        for walk, spent in zip(walks, times, strict=True):
            started = time.perf_counter()
            body = next(walk, None)
            if body is None:
                return times
            spent.append(time.perf_counter() - started)
            bodies.append(body)
        if bodies[0] != bodies[1]:
            raise click.ClickException("the topologies give different pages")
    return times


def _paged(client: Client) -> Iterator[list[object]]:
    query: dict[str, object] = {"limit": PAGE, "order": "asc"}
    while True:
        answer = msgspec.json.decode(client.call("GET", "/v1/streams/messages/records?" + urlencode(query)))
        yield [record["data"] for record in answer["data"]]
        if answer.get("next_cursor") is None:
            return
        query["cursor"] = answer["next_cursor"]


def _rows(times: list[list[float]], count: int) -> list[dict[str, object]]:
    single, divided = (statistics.median(each) for each in times)
    return [
        row(f"page of {PAGE} over {count:,} connectors in one file, median of {len(times[0])}, ms", single * 1000),
        row("the same in a file for each, ms", divided * 1000),
        row("a file for each / one file", divided / single, at_most=RATIO_LIMIT),
        row("the first page in a file for each, ms", times[1][0] * 1000),
        row("the slowest page but the first in a file for each, ms", max(times[1][1:], default=0.0) * 1000),
    ]
