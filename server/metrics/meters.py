"""Every meter that this process keeps itself. Their help texts are the documentation of docs/reference/metrics.md.

Labels have few values: a route's pattern, never a path; nothing says whose a request was.
"""

import time
from functools import cache

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from server.metrics import shared

shared.join()
disable_created_metrics()  # type: ignore[no-untyped-call]

BEGAN = web.RequestKey("began", float)
"""When its handler began, by `time.perf_counter`; not there for what the parser refused, which has no route or app."""

PAST_PARSER = web.RequestKey("past_parser", int)
"""Bytes of a request's body that came past the parser (`server.intake`)."""

REGISTRY = CollectorRegistry()
"""Ours alone: libraries may count elsewhere."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600)


def _counter(name: str, help: str, *labels: str) -> Counter:
    return Counter(f"blobstore_{name}", help, labels, registry=REGISTRY)


def _gauge(name: str, help: str, *labels: str, of_all: str = "livesum") -> Gauge:
    """`of_all`: what several workers say of it together."""
    return Gauge(f"blobstore_{name}", help, labels, registry=REGISTRY, multiprocess_mode=of_all)  # type: ignore[arg-type]


REQUESTS = _counter(
    "http_requests",
    "Requests that ended, by the pattern of their route; status 0 is an answer that broke off, or never began.",
    *("method", "route", "status"),
)
SECONDS = Histogram(
    "blobstore_http_request_seconds",
    "Seconds from the head of a request to the end of its answer.",
    ("method", "route"),
    registry=REGISTRY,
    buckets=_SECONDS,
)
RECEIVED = _counter("http_received_bytes", "Bytes of bodies that came.", "route")
SENT = _counter("http_sent_bytes", "Bytes of answers that went, heads included; not those that others send.", "route")
RUNNING = _gauge("http_requests_running", "Requests that handlers are at.")
LINES = _counter("ingest_lines", "Lines of ingests: accepted (durable) or rejected.", "outcome")

BUSY = _gauge("slots_taken", "Bodies that are received at this moment, of those that --max-… lets in.", "kind")
MOST = _gauge("slots", "Bodies that may be received at once.", "kind")
REFUSED = _counter("slots_refused", "Requests that found no slot in time and were told to come again.", "kind")

UPLOADED = _counter(
    "uploaded_blobs", "Uploads that ended well: stored, or a duplicate of what was there, whose bytes went.", "outcome"
)
UPLOADED_BYTES = _counter("uploaded_blob_bytes", "The bytes of these uploads.", "outcome")
REMOVED = _counter("removed_blobs", "Stored copies that were removed, by reason: garbage, erasure, moved …", "reason")
REMOVED_BYTES = _counter("removed_blob_bytes", "The bytes of these.", "reason")
VERIFIED = _counter("verified_blobs", "Stored blobs that were hashed again and are good.")
VERIFIED_BYTES = _counter("verified_blob_bytes", "The bytes of these.")
DAMAGED = _counter("damaged_blobs", "Blobs that were hashed again, or looked for, and are not good.", "verdict")

WORK_DONE_AT = _gauge(
    "work_done_timestamp_seconds",
    "When a kind of work in the background last came to its end (Unix time); of all servers one does it.",
    "work",
    of_all="max",
)
WORK_FAILED = _counter("work_failures", "Ticks of work in the background that failed; the log says why.", "work")
STOPPED = _gauge("collection_stopped", "1 where collection waits for somebody to look at it.", of_all="livemax")
UNFINISHED = _gauge("erasures_unfinished", "Erasures that this server found and cannot finish yet.", of_all="livemax")

WAITING = _gauge("database_writers_waiting", "Writes that wait for the one writer of an SQLite file.", "database")
DATABASES = _gauge("database_files_open", "SQLite files that are open.", "database")
CONNECTIONS = _gauge("postgres_connections", "Connections to PostgreSQL that are open: busy or idle.", "state")

PROCESSES = _gauge("processes", "Processes that serve.")
FILES = _gauge("process_open_files", "Descriptors that are open.")
FILES_MOST = _gauge("process_open_files_limit", "Descriptors that one process may have open.", of_all="livemin")
MEMORY = _gauge("process_resident_bytes", "Memory that is in use.")
CPU = _counter("process_cpu_seconds", "Seconds of processor time.")
LAG = _gauge(
    "event_loop_lag_seconds", "How late the event loop was at its latest in the last seconds.", of_all="livemax"
)


def route_of(request: web.BaseRequest) -> str:
    """The pattern of its route; words in brackets where there is none."""
    if BEGAN not in request or not isinstance(request, web.Request):
        return "(malformed)"
    resource = request.match_info.route.resource
    if resource is None or resource.canonical.startswith("/{anything"):
        return "(unknown)"
    return resource.canonical


def method_of(request: web.BaseRequest) -> str:
    """Its method, if it is one that anybody has heard of."""
    return request.method if request.method in _METHODS else "other"


def ended(request: web.BaseRequest, began: float, status: int) -> None:
    """A request came to its end; `began` by `time.perf_counter`."""
    route = route_of(request)
    requests, seconds, received, sent = _of(method_of(request), route, status)
    requests.inc()
    seconds.observe(time.perf_counter() - began)
    if came := received_by(request):
        received.inc(came)
    sent.inc(request.writer.output_size)


def received_by(request: web.BaseRequest) -> int:
    """Bytes of its body that came."""
    return int(request.content.total_bytes) + int(request.get(PAST_PARSER, 0))


@cache
def _of(method: str, route: str, status: int) -> tuple[Counter, Histogram, Counter, Counter]:
    """Looked up once: to find a child by its labels takes longer than to count."""
    return (
        REQUESTS.labels(method, route, str(status)),
        SECONDS.labels(method, route),
        RECEIVED.labels(route),
        SENT.labels(route),
    )


def every() -> list[Counter | Gauge | Histogram]:
    """All of them."""
    return [each for each in globals().values() if isinstance(each, Counter | Gauge | Histogram)]
