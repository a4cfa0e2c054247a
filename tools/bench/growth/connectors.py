"""What a request costs while the owner has more and more connectors."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from tools.bench.client import Client
from tools.bench.growth.figures import Growing, Growth
from tools.bench.messages import MANIFEST, messages
from tools.running import Server, serving

RECORDS = 25
"""Records of each connector."""

PAGE = 50
TIMES = 50

SETTLED = 6.0
"""Seconds after the last write until the server has brought to rest what it wrote."""


def measure(scratch: Path, sizes: Sequence[int], topology: str, settled: float = SETTLED) -> Growth:
    """Connectors that have the same stream, filled one after another."""
    growing, data = Growing(), scratch / topology
    told = ("--topology", topology)
    present = 0
    for size in sizes:
        with serving(data, "bench", *told) as server:
            client = Client(server)
            for number in range(present, size):
                _fill(client, number)
            client.close()
            time.sleep(settled)
        present = size
        with serving(data, "bench", *told) as server:
            _ask(server, growing, size)
    return growing.grown(f"More and more connectors, topology {topology}", "connectors", sizes)


def _fill(client: Client, number: int) -> None:
    client.call("POST", "/v1/connectors", msgspec.json.encode({**MANIFEST, "connector_id": _name(number)}))
    _ingest(client, number, b"\n".join(messages(RECORDS)))


def _ingest(client: Client, number: int, body: bytes) -> bytes:
    path = "/v1/ingest/messages?" + urlencode({"connector_id": _name(number)})
    return client.call("POST", path, body, "application/x-ndjson")


def _name(number: int) -> str:
    return f"bench{number:05}"


def _ask(server: Server, growing: Growing, size: int) -> None:
    growing.add("start of the server", "s", server.started)
    client = Client(server)
    pages = f"/v1/streams/messages/records?limit={PAGE}"
    line = next(messages(1))
    turn = _turns(size)
    growing.median(f"page of {PAGE} over all connectors", partial(client.call, "GET", pages), TIMES)
    one = f"{pages}&connector_id={_name(size - 1)}"
    growing.median("page of one connector", partial(client.call, "GET", one), TIMES)
    growing.median("one record into one connector after another", lambda: _ingest(client, next(turn), line), TIMES)
    growing.median("list of connections", partial(client.call, "GET", "/v1/owner/connections"), 5, must=1)
    growing.median("list of streams", partial(client.call, "GET", "/v1/streams"), 5, must=1)
    client.close()
    growing.add("memory of the server after that", "MiB", server.idle() / (1 << 20))


def _turns(size: int) -> Iterator[int]:
    while True:
        yield from range(size)
