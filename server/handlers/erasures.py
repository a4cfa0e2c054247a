"""Erasures: of a connector, an instance, or any scope up to the whole owner; previews, lists and receipts."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from records.erasure import receipts
from records.erasure.report import Covered, Erasure, Kept, Preview, Report
from records.erasure.request import ErasureRequest, covered
from server import params, wire
from server.keys import CALLER, STORE

WAIT = 30.0
"""Seconds that an erasure is waited for before it is answered with 202, and that it waits for readers."""

MAX_BYTES = 1 << 20
DEFAULT_LIMIT = 25
MAX_LIMIT = 100


async def erase_connector(request: web.Request) -> web.Response:
    """`DELETE /v1/owner/connectors/{connector_id}`: all that the connector brought, from all its instances."""
    params.query(request)
    owner, erasures = request[CALLER].owner, request.app[STORE].erasures
    goes = await erasures.coverage.of_connector(owner, params.path_part(request, "connector_id"))
    return _deleted(request, await carried_out(request, goes))


async def erase_connection(request: web.Request) -> web.Response:
    """`DELETE /v1/owner/connections/{connection_id}`: all that one instance brought."""
    params.query(request)
    owner, erasures = request[CALLER].owner, request.app[STORE].erasures
    goes = await erasures.coverage.of_instance(owner, params.path_part(request, "connection_id"))
    return _deleted(request, await carried_out(request, goes))


async def erase(request: web.Request) -> web.Response:
    """`POST /v1/owner/erasures`: erase what the body names, or show what that would do."""
    params.query(request)
    owner, erasures = request[CALLER].owner, request.app[STORE].erasures
    asked = await wire.read(request, ErasureRequest, MAX_BYTES)
    goes = await covered(erasures, owner, asked)
    if asked.preview:
        return wire.reply(_preview(await erasures.preview(owner, goes)))
    done = await carried_out(request, goes)
    return wire.reply(told(done)) if done.report.clean else accepted(request, done)


async def one(request: web.Request) -> web.Response:
    """`GET /v1/owner/erasures/{erasure_id}`: how it stands; with its receipt, always the same, once it is done."""
    params.query(request)
    name = params.path_part(request, "erasure_id")
    return wire.reply(told(await request.app[STORE].erasures.find(request[CALLER].owner, name)))


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/owner/erasures?after=&limit=`: newest first."""
    values = params.query(request, optional=("after", "limit"))
    limit = min(params.integer(values, "limit", DEFAULT_LIMIT, minimum=1), MAX_LIMIT)
    owner, erasures = request[CALLER].owner, request.app[STORE].erasures
    found = await erasures.listed(owner, values.get("after"), limit + 1)
    return wire.listing([told(each) for each in found[:limit]], has_more=len(found) > limit)


async def carried_out(request: web.Request, goes: Covered) -> Erasure:
    """The erasure as it stands when this client's patience ends; it goes on by itself.

    Of a whole owner the answer is waited for, whatever is preferred: nobody could ask for it later.
    """
    patient = goes.kind == "owner" or not params.prefers_async(request)
    erasures = request.app[STORE].erasures
    return await erasures.erase(request[CALLER].owner, goes, wait=WAIT, within=WAIT if patient else 0.0)


def accepted(request: web.Request, begun: Erasure) -> web.Response:
    """202: the erasure goes on, or left traces that the operator has to remove; where to ask for it."""
    headers = {"Location": f"/v1/owner/erasures/{begun.report.id}"}
    if params.prefers_async(request):
        headers["Preference-Applied"] = "respond-async"
    return wire.reply(told(begun), status=202, headers=headers)


def told(of: Erasure) -> dict[str, object]:
    """An erasure as it is shown."""
    report = of.report
    return {
        "object": "erasure",
        "erasure_id": report.id,
        "status": report.state,
        "scope": report.covered.kind,
        "connector_id": report.covered.connector,
        "connection_ids": report.covered.instances,
        "stream": report.covered.stream,
        **_counts(report),
        **_kept(report.kept),
        "resumed": report.resumed,
        "requested_at": report.requested_at,
        "completed_at": report.completed_at,
        "residue": None if report.residue is None else report.residue.member(),
        "receipt": _receipt(of),
    }


def _deleted(request: web.Request, done: Erasure) -> web.Response:
    if not done.report.clean:
        return accepted(request, done)
    covered, instances = done.report.covered, done.report.covered.instances
    return wire.reply(
        {
            "object": "owner_connection_delete",
            "connector_id": covered.connector,
            "connection_id": instances[0] if len(instances) == 1 else None,
            "deleted": True,
            **_counts(done.report),
            "erasure_id": done.report.id,
            "receipt": _receipt(done),
        }
    )


def _preview(of: Preview) -> dict[str, object]:
    return {
        "object": "erasure_preview",
        "scope": of.covered.kind,
        "connector_id": of.covered.connector,
        "connection_ids": of.covered.instances,
        "stream": of.covered.stream,
        "record_count": of.records,
        "streams": [
            {"connector_id": each.connector, "stream": each.stream, "record_count": each.records} for each in of.rows
        ],
        "blob_count": of.blobs,
        "bytes": of.bytes,
        **_kept(of.kept),
    }


def _receipt(of: Erasure) -> msgspec.Raw | None:
    return None if of.receipt is None else msgspec.Raw(of.receipt)


def _counts(report: Report) -> Mapping[str, object]:
    return {
        "deleted_record_count": report.records,
        "deleted_stream_count": report.streams,
        "deleted_blob_count": report.blobs,
        "deleted_bytes": report.bytes,
    }


def _kept(kept: Kept) -> Mapping[str, object]:
    return {
        "kept_blob_count": kept.blobs,
        "kept_bytes": kept.bytes,
        "kept_with": [receipts.keeper(each) for each in kept.keepers],
    }
