"""`blobstore bench costs`: what each kind of request costs in processor time, in room, and in requests to S3."""

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from tools.bench.bare import BATCH, PAGE, batches
from tools.bench.client import Client
from tools.bench.messages import MANIFEST, messages
from tools.bench.processor import Processors
from tools.bench.room import taken
from tools.bench.tapping import Door, counting
from tools.output import json_option, listing
from tools.running import Server, serving

SMALL, LARGE = 100_000, 20_000_000
"""Bytes of a blob: one of usual size, and one whose length is all that counts."""

SETTLED = 6.0
"""Seconds after the last write until the server has done what follows from it."""

IDLE = 30
"""Seconds in which an idle server is watched."""

FILES = {
    "name": "files",
    "semantics": "mutable_state",
    "primary_key": ["id"],
    "schema": {"type": "object", "properties": {"id": {"type": "string"}, "blob_ref": {"type": "object"}}},
}

Work = Callable[[], object]


@click.command()
@click.option(
    "--topology",
    type=click.Choice(["single", "per-connector", "postgres"]),
    default="single",
    show_default=True,
    help="Where records live.",
)
@click.option("--database-url", help="An empty database, on this machine: its processes are measured too.")
@click.option("--blobs", default="file", show_default=True, help="`file` or s3://BUCKET/PREFIX.")
@click.option("--s3-endpoint", help="Of an S3 store that speaks plain HTTP; keys are where boto3 looks for them.")
@click.option("--count", default=300, show_default=True, help="Requests of each kind.")
@click.option("--records", default=20_000, show_default=True, help="Records that are ingested.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def costs(
    topology: str,
    database_url: str | None,
    blobs: str,
    s3_endpoint: str | None,
    count: int,
    records: int,
    directory: Path | None,
    as_json: bool,
) -> None:
    """One request at a time: processor time of the server and of the database, room in the database, requests to S3."""
    if blobs != "file" and s3_endpoint is None:
        raise click.UsageError("give --s3-endpoint, too: requests to S3 are counted on their way there")
    options = ["--topology", topology, *([] if database_url is None else ["--database-url", database_url])]
    with (
        tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name,
        nullcontext() if s3_endpoint is None else counting(s3_endpoint) as door,
    ):
        if door is not None:
            options += ["--blobs", blobs, "--s3-endpoint", door.url]
        with serving(Path(name) / "data", "bench", *options) as server:
            rows = Costs(server, Path(name) / "data", database_url, door).rows(count, records)
    columns = ("request", "server_ms", "database_ms", "database_bytes", *(() if door is None else ("s3_requests",)))
    listing(rows, as_json=as_json, columns=columns)


class Costs:
    """Measures one server."""

    def __init__(self, server: Server, data: Path, database_url: str | None, door: Door | None) -> None:
        self._client = Client(server)
        self._processors = Processors(server, database_url)
        self._room = partial(taken, data, database_url)
        self._door = door
        self._idle = (0.0, 0.0)

    def rows(self, count: int, records: int) -> list[dict[str, object]]:
        """What each kind of request costs, in the mean of so many."""
        client, call = self._client, self._client.call
        manifest = {**MANIFEST, "streams": [*MANIFEST["streams"], FILES]}
        call("POST", "/v1/connectors", msgspec.json.encode(manifest))
        sent = list(batches(messages(records)))
        rows = [
            self._idling(),
            self._row(f"ingest of {BATCH} records", [partial(_ingest, client, "messages", lines) for lines in sent]),
            self._row("ingest of 1 record", [partial(_ingest, client, "files", [_line(n)]) for n in range(count)]),
            self._row(f"page of {PAGE} records", [partial(call, "GET", _PAGE)] * count),
            self._row("one record", [partial(call, "GET", "/v1/streams/files/records/1?connector_id=bench")] * count),
        ]
        blobs: list[str] = []
        uploads = [partial(_upload, client, n, secrets.token_bytes(SMALL), blobs) for n in range(count)]
        rows.append(self._row(f"upload of {SMALL // 1000} kB", uploads))
        links = [partial(_ingest, client, "files", [_line(n, blob)]) for n, blob in _numbered(blobs, count)]
        rows.append(self._row("ingest of 1 record with a blob", links))
        downloads = [partial(_download, client, blobs, n) for n in range(count)]
        rows.append(self._row(f"download of {SMALL // 1000} kB", downloads))
        large: list[str] = []
        again = [partial(_upload, client, n, secrets.token_bytes(LARGE), large) for n in range(5)]
        rows.append(self._row("10 MB of an upload of 20 MB", again, LARGE // 10_000_000))
        rows.append(self._row("10 MB of a download of 20 MB", [partial(_download, client, large, 0)] * 10, 2))
        erasures = [
            partial(call, "DELETE", f"/v1/streams/files/records/{n}?connector_id=bench") for n in range(count // 10)
        ]
        return [*rows, self._row("erasure of a record with its blob", erasures)]

    def _idling(self) -> dict[str, object]:
        """What a second costs in which nobody asks for anything; left out of all other rows."""
        time.sleep(SETTLED)
        row: dict[str, object] = {"request": "nothing, for a second"}
        with self._measured(row, IDLE):
            time.sleep(IDLE)
        self._idle = (float(str(row["server_ms"])), float(str(row["database_ms"])))
        return row

    def _row(self, request: str, works: Sequence[Work], parts: int = 1) -> dict[str, object]:
        """The work and what follows from it, once what came before is over; divided by requests and their parts."""
        time.sleep(SETTLED)
        self._client.close()  # the next request opens it anew: the server may have given it up meanwhile
        row: dict[str, object] = {"request": request}
        with self._measured(row, len(works) * parts):
            for work in works:
                work()
            time.sleep(SETTLED)
        return row

    @contextmanager
    def _measured(self, row: dict[str, object], count: int) -> Iterator[None]:
        server, database, room = self._processors.server(), self._processors.database(), self._room()
        began = time.monotonic()
        asked = 0 if self._door is None else self._door.requests.total()
        yield
        server, database = self._processors.server() - server, self._processors.database() - database
        seconds = time.monotonic() - began
        for name, used, idle in zip(("server_ms", "database_ms"), (server, database), self._idle, strict=True):
            row[name] = round((used * 1000 - idle * seconds) / count, 2)
        row["database_bytes"] = round((self._room() - room) / count)
        if self._door is not None:
            row["s3_requests"] = round((self._door.requests.total() - asked) / count, 2)


_PAGE = "/v1/streams/messages/records?" + urlencode({"connector_id": "bench", "limit": PAGE})


def _line(number: int, blob: str | None = None) -> bytes:
    reference = {} if blob is None else {"blob_ref": {"blob_id": blob, "mime_type": "image/png"}}
    line = {"key": f"{number}", "emitted_at": "2026-01-01T00:00:00Z", "data": {"id": f"{number}", **reference}}
    return msgspec.json.encode(line)


def _numbered(blobs: Sequence[str], count: int) -> Iterator[tuple[int, str]]:
    """They are known when they are asked for: after the uploads."""
    return ((number, blobs[number]) for number in range(count))


def _ingest(client: Client, stream: str, lines: Sequence[bytes]) -> None:
    path = f"/v1/ingest/{stream}?connector_id=bench"
    report = msgspec.json.decode(client.call("POST", path, b"\n".join(lines), "application/x-ndjson"))
    assert report["records_accepted"] == len(lines), report


def _upload(client: Client, number: int, content: bytes, blobs: list[str]) -> None:
    named = {"connector_id": "bench", "stream": "files", "record_key": f"{number}", "mime_type": "image/png"}
    stored = msgspec.json.decode(client.call("POST", "/v1/blobs?" + urlencode(named), content))
    blobs.append(stored["blob_id"])


def _download(client: Client, blobs: Sequence[str], number: int) -> None:
    client.call("GET", f"/v1/blobs/{blobs[number]}")
