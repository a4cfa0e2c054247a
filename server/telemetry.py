"""Traces for an OpenTelemetry collector: a span for each request, and in it one for each step of the storage.

They say what took how long: methods, patterns of routes, statuses, ids of requests, names of steps. No path, no query,
no header, no message of an exception: nothing of what is kept here, or of whom.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from aiohttp import web

from blobstore import spans
from server.metrics.meters import method_of, route_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACES_PATH = "/v1/traces"


class NoTelemetryError(Exception):
    """The libraries are not installed."""


class Traces:
    """Sends what it is told to one collector, in the background; what does not get there is dropped."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("blobstore")

    @classmethod
    def to(cls, endpoint: str) -> Self:
        """To the collector at this address (OTLP over HTTP). Raises `NoTelemetryError`."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise NoTelemetryError("traces need more libraries: pip install 'blobstore-server[otel]'") from None
        provider = TracerProvider(resource=Resource.create({"service.name": "blobstore"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint.rstrip("/") + TRACES_PATH)))
        traces = cls(provider)
        spans.trace(traces.step)
        return traces

    @contextmanager
    def request(self, request: web.Request, id: str) -> Iterator["Told"]:
        """A span from here to the end of the handler, below the one that the client names (W3C Trace Context)."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        headers = {name: request.headers[name] for name in ("traceparent", "tracestate") if name in request.headers}
        route = route_of(request)
        facts = {"http.request.method": method_of(request), "http.route": route, "request.id": id}
        with self._tracer.start_as_current_span(
            f"{method_of(request)} {route}",
            context=TraceContextTextMapPropagator().extract(headers),
            kind=SpanKind.SERVER,
            attributes=facts,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            told = Told()
            try:
                yield told
            finally:
                if told.status:
                    span.set_attribute("http.response.status_code", told.status)
                _judge(span, told.status >= 500 or not told.status)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A span for a step of whatever is under way."""
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                _judge(span, failed=True)
                raise

    async def close(self) -> None:
        """Send what is left, for some seconds at most."""
        spans.trace(None)
        await asyncio.to_thread(self._provider.shutdown)


class Told:
    """What the handler says of its answer."""

    status = 0


def _judge(span: "object", failed: bool) -> None:
    from opentelemetry.trace import Span, StatusCode

    if failed and isinstance(span, Span):
        span.set_status(StatusCode.ERROR)
