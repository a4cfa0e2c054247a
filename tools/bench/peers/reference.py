"""A PDPP reference that somebody runs: it has the same paths, so it is asked as this server is."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tools.bench.ours import Ours
from tools.bench.peers import Missing


@contextmanager
def reference(told: str | None) -> Iterator[Ours]:
    """At http://TOKEN@HOST:PORT."""
    if told is None:
        raise Missing("PDPP reference not found: start one and give its address as --reference http://TOKEN@HOST:PORT")
    parts = urlsplit(told)
    ours = Ours(f"{parts.scheme}://{parts.hostname}:{parts.port}", parts.username or "")
    ours.register()
    yield ours
