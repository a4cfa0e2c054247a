"""docker-registry as a peer: blobs by SHA-256 in files. Its access log is off, as ours is; nobody signs in."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tools.bench.peers.programs import free_port, listens, program, running

NAME = "bench"
"""The repository that everything goes into."""


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """The address of one that keeps its blobs in `folder/data`."""
    found = program("docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    conf = folder / "config.yml"
    conf.write_text(_CONFIGURATION.format(folder=folder, port=port))
    with running([found, "serve", conf], partial(listens, port), folder / "log"):
        yield f"http://127.0.0.1:{port}"


_CONFIGURATION = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {folder}/data}}
http: {{addr: "127.0.0.1:{port}"}}
"""
