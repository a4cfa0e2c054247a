"""What a server gives to more and more connections at once, and how long each request takes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tools.bench.growth.figures import Growing, Growth
from tools.bench.workers import Load
from tools.running import serving


def measure(scratch: Path, sizes: Sequence[int], seconds: float, *serve: str) -> Growth:
    """Each connection asks one request after another."""
    growing = Growing()
    with serving(scratch / "data", "bench", serve=serve) as server:
        load = Load(server)
        for kind in load.kinds:
            asyncio.run(load.run(kind, seconds / 4, 1))  # warms the caches
        for size in sizes:
            for kind in load.kinds:
                times = sorted(asyncio.run(load.run(kind, seconds, size)))
                growing.add(kind, "/s", len(times) / seconds)
                growing.add(f"{kind}, median", "ms", 1000 * times[len(times) // 2], must=1)
                growing.add(f"{kind}, 99 of 100", "ms", 1000 * times[len(times) * 99 // 100], must=1)
    return growing.grown("One server, more and more connections at once", "connections", sizes)
