"""Ingest: a stream of NDJSON lines into records."""

from aiohttp import web

from records.writing.ingest import Ingest, LineRejection
from server import ndjson, params, wire
from server.body import pieces, require_identity, require_type
from server.keys import CALLER, INGESTS, STORE
from server.metrics import meters


async def ingest(request: web.Request) -> web.Response:
    """`POST /v1/ingest/{stream}`: 200 when every line is settled; the accepted ones are durable."""
    values = params.query(request, required=params.CONNECTOR, optional=params.INSTANCE + params.RUN)
    stream = params.path_part(request, "stream")
    require_type(request, "application/x-ndjson")
    require_identity(request)
    async with request.app[INGESTS].taken():
        begun = await request.app[STORE].ingests.begin(request[CALLER].owner, stream, params.selector(values))
        try:
            await ndjson.feed(pieces(request), begun)
        finally:
            meters.LINES.labels("accepted").inc(begun.accepted)
            meters.LINES.labels("rejected").inc(begun.rejected)
    return wire.reply(_report(stream, begun))


def _report(stream: str, done: Ingest) -> dict[str, object]:
    report: dict[str, object] = {
        "stream": stream,
        "records_accepted": done.accepted,
        "records_attempted": done.attempted,
        "records_rejected": done.rejected,
        "rejections": [_rejection(each) for each in done.rejections],
        "errors": [],
    }
    if len(done.rejections) < done.rejected:
        report["rejections_truncated"] = True
    return report


def _rejection(of: LineRejection) -> dict[str, object]:
    entry: dict[str, object] = {"input_index": of.input_index, "code": of.code, "message": of.message}
    if of.key is not None:
        entry["key"] = of.key
    return entry
