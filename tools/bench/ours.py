"""This server, or another with the same paths, with blobs that records name: what benchmarks of its HTTP begin with."""

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from tools.bench.client import Client
from tools.running import serving

CONNECTOR = "bench"

MANIFEST = {
    "connector_id": CONNECTOR,
    "version": "1",
    "display_name": "Benchmark",
    "streams": [
        {
            "name": "files",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "schema": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "blob_ref": {"type": "object"}},
                "required": ["id"],
            },
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Ours:
    """Its address and an owner's token."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What an owner's request carries."""
        return {"Authorization": f"Bearer {self.token}"}

    def register(self) -> None:
        """Make the connector known."""
        self._call("POST", "/v1/connectors", msgspec.json.encode(MANIFEST))

    def attach(self, bodies: Sequence[bytes | Path]) -> list[str]:
        """Upload each, and ingest a record that names it; the paths to download them at."""
        paths, client = [], Client(self)
        for number, body in enumerate(bodies):
            key = f"file-{number}"
            with _mapped(body) if isinstance(body, Path) else nullcontext(body) as content:
                stored = msgspec.json.decode(client.call("POST", upload_path(key), content, "application/octet-stream"))
            reference = {name: stored[name] for name in ("blob_id", "mime_type", "size_bytes", "sha256")}
            line = {"key": key, "emitted_at": "2026-01-01T00:00:00Z", "data": {"id": key, "blob_ref": reference}}
            ingest = f"/v1/ingest/files?connector_id={CONNECTOR}"
            report = client.call("POST", ingest, msgspec.json.encode(line), "application/x-ndjson")
            assert msgspec.json.decode(report)["records_accepted"] == 1, report
            paths.append(f"/v1/blobs/{stored['blob_id']}?connector_id={CONNECTOR}")
        client.close()
        return paths

    def granted(self) -> str:
        """The token of a client that may see all files: each of its downloads is recorded."""
        asked = {"client_id": "bench-client", "connector_id": CONNECTOR, "streams": [{"name": "files"}]}
        answer = self._call("POST", "/v1/owner/grants", msgspec.json.encode(asked))
        return str(msgspec.json.decode(answer)["token"])

    def _call(self, method: str, path: str, body: bytes) -> bytes:
        client = Client(self)
        answer = client.call(method, path, body)
        client.close()
        return answer


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def upload_path(key: str) -> str:
    """Where the bytes of a record go."""
    named = {"connector_id": CONNECTOR, "stream": "files", "record_key": key}
    return "/v1/blobs?" + urlencode({**named, "mime_type": "application/octet-stream"})


@contextmanager
def ours(data: Path, *serve: str) -> Iterator[Ours]:
    """`blobstore serve` on a new directory, with its defaults but for these options; it knows the connector."""
    with serving(data, "bench", serve=serve) as server:
        found = Ours(server.url, server.token)
        found.register()
        yield found


def emptied(folder: Path) -> None:
    """Remove stored bytes behind a server's back, after the clock: disks are finite. The same for all servers."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    os.sync()
