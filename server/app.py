"""The application: the only place where the server's parts are wired together."""

from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from records.store import RecordStore
from records.upkeep import Schedule, Upkeep
from server import introspection, middleware, routes
from server.config import Config, Introspect
from server.console import rendering
from server.console.attempts import ATTEMPTS, Attempts
from server.handlers import uploads
from server.keys import CONFIG, INGESTS, METRICS, READINESS, RESOLVER, STOPPING, STORE, TRACES, UPLOADS
from server.metrics.page import Page
from server.metrics.sampling import Sampling
from server.metrics.standing import Standing
from server.prepared import PREPARED, Prepared
from server.readiness import Readiness
from server.slots import Slots
from server.stopping import Stopping
from server.telemetry import Traces


def make_app(
    store: RecordStore, config: Config, schedule: Schedule | None = None, stopping: Stopping | None = None
) -> web.Application:
    """The application over an open store; it looks after the store while it runs and leaves it open.

    Its answers tell when it is `stopping`. It raises `NoTelemetryError` when it starts and cannot trace as it should.
    Raises `RuntimeError` where aiohttp has no C parser: the other one lets requests be smuggled.
    """
    if HttpRequestParser is HttpRequestParserPy:
        raise RuntimeError("aiohttp was installed without its C parser; reinstall it with binary wheels allowed")
    app = web.Application(middlewares=[middleware.envelope])
    app[STORE] = store
    app[CONFIG] = config
    app[STOPPING] = stopping or Stopping()
    app[READINESS] = Readiness(store, app[STOPPING])
    app[ATTEMPTS] = Attempts()
    app[PREPARED] = Prepared()
    app[UPLOADS] = Slots(config.max_uploads, "uploads", config.slot_wait)
    app[INGESTS] = Slots(config.max_ingests, "ingests", config.slot_wait)
    upkeep = Upkeep(store, schedule or Schedule())
    sampling = Sampling(store, upkeep, (app[UPLOADS], app[INGESTS]))
    standing = Standing(store)
    app[METRICS] = Page(sampling, standing, app[READINESS])
    if config.introspect is None:
        app[RESOLVER] = store.access
    else:
        app.cleanup_ctx.append(_introspection(config.introspect))
    app.on_response_prepare.append(middleware.on_prepare)
    if config.otlp_endpoint is not None:
        app.cleanup_ctx.append(_traced(config.otlp_endpoint))
    app.on_cleanup.append(_let_go)
    app.cleanup_ctx.append(_upkeep(upkeep))
    app.cleanup_ctx.append(_measured(sampling, standing))
    app.on_response_prepare.append(uploads.stamp)
    rendering.install(app)
    routes.install(app.router)
    return app


async def _let_go(app: web.Application) -> None:
    await app[PREPARED].close()


def _introspection(server: Introspect) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        async with introspection.connected(server, app[STORE].access) as resolver:
            app[RESOLVER] = resolver
            yield

    return context


def _traced(endpoint: str) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        app[TRACES] = traces = Traces.to(endpoint)
        yield
        await traces.close()

    return context


def _measured(sampling: Sampling, standing: Standing) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        sampling.start()
        yield
        await standing.close()
        await sampling.stop()

    return context


def _upkeep(upkeep: Upkeep) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        # What a crash left between an outbox and the spine is there before the first request.
        await app[STORE].audit.drain_all()
        upkeep.start()
        yield
        await upkeep.stop()
        await app[READINESS].close()

    return context
