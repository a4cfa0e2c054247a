"""Loads of many connections, each from a process of its own: `apart(kind, …)` runs one and tells its seconds."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

from tools.bench.ours import upload_path
from tools.bench.peers import registry
from tools.bench.wire import Exchange, driven, head, shared


def ranges(
    url: str, path: str, size: int, length: int, count: int, connections: int, headers: Mapping[str, str]
) -> float:
    """So many ranges of a length, at places that are the same each time."""
    places = random.Random(size)  # noqa: S311
    requests = []
    for _ in range(count):
        first = places.randrange(0, max(1, size - length))
        requests.append(head("GET", url, path, 0, {**headers, "Range": f"bytes={first}-{first + length - 1}"}))
    return driven(url, _at_once(iter(requests), connections))


def downloads(url: str, path: str, count: int, connections: int, headers: Mapping[str, str]) -> float:
    """The same, so many times."""
    requests = [head("GET", url, path, 0, headers)] * count
    return driven(url, _at_once(iter(requests), connections))


def uploads(url: str, size: int, count: int, connections: int, headers: Mapping[str, str]) -> float:
    """So many different bodies, each for a record of its own."""
    prefix = os.urandom(8).hex()
    requests = (
        head("POST", url, upload_path(f"{prefix}-{number}"), size, headers) + os.urandom(size)
        for number in range(count)
    )
    return driven(url, _at_once(iter(list(requests)), connections))


def pushes(url: str, size: int, count: int, connections: int) -> float:
    """So many different bodies into a registry: POST asks where to, PUT brings the body and its digest."""
    bodies = [os.urandom(size) for _ in range(count)]
    named = iter([(body, hashlib.sha256(body).hexdigest()) for body in bodies])
    return driven(url, [pushed(url, named) for _ in range(connections)])


def pushed(url: str, bodies: Iterator[tuple[bytes, str]]) -> Exchange:
    """Bodies with their digests, one after another."""
    for body, digest in bodies:
        begun = yield head("POST", url, f"/v2/{registry.NAME}/blobs/uploads/")
        yield head("PUT", url, place(begun, digest), len(body)) + body


def place(begun: bytes, digest: str) -> str:
    """Where the registry wants the bytes."""
    found = _LOCATION.search(begun)
    assert found, begun
    return f"{found[1].decode()}&digest=sha256:{digest}"


_LOCATION = re.compile(rb"\r\nLocation: https?://[^/]*([^\r]*)", re.IGNORECASE)


def _at_once(requests: Iterator[bytes], connections: int) -> list[Exchange]:
    return [shared(requests) for _ in range(connections)]


KINDS: dict[str, Callable[..., float]] = {each.__name__: each for each in (ranges, downloads, uploads, pushes)}


def apart(kind: Callable[..., float], *arguments: str | int | Mapping[str, str]) -> float:
    """Run it in a process of its own: neither what is prepared nor who prepares it counts."""
    told = json.dumps([kind.__name__, arguments])
    done = subprocess.run([sys.executable, "-m", __name__, told], stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    name, told = json.loads(sys.argv[1])
    print(KINDS[name](*told))
