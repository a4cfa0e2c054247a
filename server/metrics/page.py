"""The page that Prometheus reads, and what may stand on it."""

import asyncio

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from server.metrics import meters, shared
from server.metrics.sampling import Sampling
from server.metrics.standing import FAMILIES, READY, Answered, Standing
from server.readiness import OK, Readiness

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Page:
    """The metrics of one server."""

    def __init__(self, sampling: Sampling, standing: Standing, readiness: Readiness) -> None:
        self._sampling = sampling
        self._standing = standing
        self._readiness = readiness

    async def text(self, request_id: str) -> bytes:
        """All metrics, now. Whatever does not answer is left out, or said to be not ready, within some seconds."""
        known, checks = await asyncio.gather(self._standing.values(), self._readiness.check(request_id))
        self._sampling.look()
        answered = Answered(known, {part: found == OK for part, found in checks.items()})
        return await asyncio.to_thread(_text, answered)


def _text(answered: Answered) -> bytes:
    registry = CollectorRegistry() if shared.is_shared() else meters.REGISTRY
    if shared.is_shared():
        shared.gather(registry)
    beside = CollectorRegistry()
    beside.register(answered)
    return generate_latest(registry) + generate_latest(beside)


def described() -> list[tuple[str, str, tuple[str, ...], str]]:
    """(name, type, labels, help) of every metric, in order of names: for the documents, and for who checks others."""
    kept = [
        (
            f"{each._name}{'_total' if each._type == 'counter' else ''}",
            each._type,
            each._labelnames,
            each._documentation,
        )
        for each in meters.every()
    ]
    asked = [(f"blobstore_{name}", "gauge", (), help) for name, help in FAMILIES.items()]
    return sorted([*kept, *asked, ("blobstore_ready", "gauge", ("part",), READY)])
