"""What reading and writing records costs over HTTP while one stream grows."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec

from tools.bench.bare import BATCH, PAGE
from tools.bench.client import Client
from tools.bench.growth.figures import Growing, Growth, timed
from tools.bench.messages import MANIFEST, messages
from tools.bench.room import taken
from tools.running import Server, serving

FILLED = 5_000
"""Lines of a body while the stream is filled."""

TIMED = 40
"""Batches by which the rate is told, at each size."""

TIMES = 50
"""Requests of each kind, of which the median counts."""

STREAM = "/v1/streams/messages"
INGEST = "/v1/ingest/messages?connector_id=bench"


def measure(scratch: Path, sizes: Sequence[int], *serve: str) -> Growth:
    """One stream that grows to each of the sizes in turn."""
    lines, growing, data = messages(sizes[-1] + len(sizes)), Growing(), scratch / "data"
    present = 0
    for size in sizes:
        with serving(data, "bench", serve=serve) as server:
            client = Client(server)
            client.call("POST", "/v1/connectors", msgspec.json.encode(MANIFEST))
            batches = min(TIMED, (size - present) // BATCH)
            _fill(client, islice(lines, size - present - batches * BATCH))
            _ingest(client, growing, lines, batches)
            client.close()
        present = size
        with serving(data, "bench", serve=serve) as server:
            _read(server, growing, next(lines))
        growing.add("room on the disk for each record", "bytes", taken(data, None) / size)
    return growing.grown("One stream of more and more records", "records", sizes)


def _fill(client: Client, lines: Iterator[bytes]) -> None:
    while body := b"\n".join(islice(lines, FILLED)):
        client.call("POST", INGEST, body, "application/x-ndjson")


def _ingest(client: Client, growing: Growing, lines: Iterator[bytes], batches: int) -> None:
    bodies = [b"\n".join(islice(lines, BATCH)) for _ in range(batches)]
    spent = timed(lambda: [client.call("POST", INGEST, body, "application/x-ndjson") for body in bodies])
    growing.add(f"ingest in batches of {BATCH}", "/s", batches * BATCH / spent)


def _read(server: Server, growing: Growing, line: bytes) -> None:
    growing.add("start of the server", "s", server.started)
    client = Client(server)
    call = partial(partial, client.call, "GET")
    for name, order in (("first", "asc"), ("last", "desc")):
        path = f"{STREAM}/records?" + urlencode({"limit": PAGE, "order": order})
        growing.median(f"the {name} page of {PAGE}", call(path), TIMES)
    growing.median("one record by its key", call(f"{STREAM}/records/{quote(_key(client), safe='')}"), TIMES)
    growing.median("the list of streams, with counts", call("/v1/streams"), TIMES)
    growing.median(
        "one record written again", partial(client.call, "POST", INGEST, line, "application/x-ndjson"), TIMES
    )
    client.close()
    growing.add("memory of the server after that", "MiB", server.idle() / (1 << 20))


def _key(client: Client) -> str:
    page = msgspec.json.decode(client.call("GET", f"{STREAM}/records?limit=1&order=asc"))
    return str(page["data"][0]["id"])
