"""`blobstore bench http`: records in and out over HTTP, against bare SQLite and a request that does nothing."""

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from tools.bench.bare import BATCH, PAGE, Bare, batches, percentile, puts, row
from tools.bench.client import Client
from tools.bench.messages import MANIFEST, messages
from tools.output import json_option, listing
from tools.running import serving

INGEST_LIMIT = 0.1
DEPTH_LIMIT = 1.5


@click.command("http")
@click.option("--stream", default=100_000, show_default=True, help="Records that are ingested and paged through.")
@click.option("--pages", default=500, show_default=True, help="Pages at each end of the stream.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def http_(stream: int, pages: int, directory: Path | None, as_json: bool) -> None:
    """Ingest in bodies of 500 lines and page through them; the peers are executemany and GET /healthz."""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        rows = _measure(Path(name), stream, pages)
    listing(rows, as_json=as_json, columns=("figure", "value", "at_most", "at_least", "within"))
    if not all(each["within"] for each in rows):
        raise click.exceptions.Exit(1)


def _measure(scratch: Path, stream: int, pages: int) -> list[dict[str, object]]:
    with serving(scratch / "data", "bench") as server:
        client = Client(server)
        client.call("POST", "/v1/connectors", msgspec.json.encode(MANIFEST))
        rows = [_ingest(client, scratch / "bare.db", stream), *_paging(client, stream, pages)]
        client.close()
    return rows


def _ingest(client: Client, path: Path, count: int) -> dict[str, object]:
    """Batch by batch in turn; both are durable."""
    bare = Bare(path)
    total = [0.0, 0.0]
    for number, lines in enumerate(batches(messages(count))):
        body = b"\n".join(lines)
        bare.prepare(number * BATCH, puts(lines))
        work = (partial(_send, client, body), bare.write)
        for which in (0, 1) if number % 2 else (1, 0):
            total[which] += _timed(work[which])
    bare.close()
    return row("rate of ingest over HTTP / bare executemany", total[1] / total[0], at_least=INGEST_LIMIT)


def _send(client: Client, body: bytes) -> None:
    path = "/v1/ingest/messages?connector_id=bench"
    report = msgspec.json.decode(client.call("POST", path, body, "application/x-ndjson"))
    assert report["records_accepted"] == BATCH


def _paging(client: Client, count: int, pages: int) -> list[dict[str, object]]:
    first = _page_path({})
    last = _page_path({"cursor": _cursor_near_the_end(client, count)})
    times: dict[str, list[float]] = {"start": [], "end": [], "nothing": []}
    for _ in range(pages):
        for name, path in (("start", first), ("end", last), ("nothing", "/healthz")):
            times[name].append(_timed(partial(client.call, "GET", path)))
    nothing = percentile(times["nothing"], 50)
    rows = [
        row(f"page of {PAGE} at the {name} of {count:,}, p50, ms, beyond a request that does nothing", beyond * 1000)
        for name in ("start", "end")
        if (beyond := percentile(times[name], 50) - nothing)
    ]
    depth = percentile(times["end"], 90) / percentile(times["start"], 90)
    return [*rows, row("page at the end / page at the start, p90", depth, at_most=DEPTH_LIMIT)]


def _page_path(query: Mapping[str, str]) -> str:
    return "/v1/streams/messages/records?" + urlencode({"limit": PAGE, "order": "asc", **query})


def _cursor_near_the_end(client: Client, count: int) -> str:
    """Walks there, as a client must."""
    query: dict[str, str] = {}
    for _ in range(count // PAGE - 1):
        query = {"cursor": msgspec.json.decode(client.call("GET", _page_path(query)))["next_cursor"]}
    return query["cursor"]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
