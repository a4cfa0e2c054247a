"""What an owner keeps: why a blob is there or gone, how much it all is, and what nobody needs any more."""

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from blobstore.errors import BlobNotFound
from blobstore.fuse import MAX_SHARE
from records.errors import Invalid
from records.explanation import GRACE, Explanation, Fact, digest_of
from records.times import duration
from records.usage import Row, usage_of
from server import params, wire
from server.keys import CALLER, STORE

LINKS = 100
"""Links that are shown of a blob."""

_SHARE = re.compile(r"(?:0(?:\.\d{1,9})?|1(?:\.0{1,9})?)\Z", re.ASCII)


async def explain(request: web.Request) -> web.Response:
    """`GET /v1/owner/blobs/{blob_id}`: every claim, deadline and holder of a blob, its first links, what removed it."""
    params.query(request)
    store, owner = request.app[STORE], request[CALLER].owner
    digest = await digest_of(store, owner, params.path_part(request, "blob_id"))
    if digest is None:
        raise BlobNotFound("no such blob")
    facts = await Explanation(store, owner, digest, GRACE).by_kind(LINKS + 1)
    if not facts:
        raise BlobNotFound("no such blob")
    return wire.reply(_explanation(facts))


async def collect(request: web.Request) -> web.Response:
    """`POST /v1/owner/collect?grace=&dry_run=&max_share=`: remove this owner's garbage now, and nobody else's."""
    values = params.query(request, optional=("grace", "dry_run", "max_share"))
    grace, share = _grace(values.get("grace", "0")), _share(values)
    collections, owner = request.app[STORE].collections, request[CALLER].owner
    if params.flag(values, "dry_run"):
        forecast = await collections.foresee(owner, grace)
        return wire.reply(_collection(None, forecast.blobs, forecast.bytes, dry_run=True, finished=True))
    found = await collections.of(owner, grace, share)
    return wire.reply(_collection(found.id, found.blobs, found.bytes, dry_run=False, finished=found.finished))


async def usage(request: web.Request) -> web.Response:
    """`GET /v1/owner/usage`: records, blobs, bytes, what deduplication saves, orphans, and the quota."""
    params.query(request)
    *streams, total = await usage_of(request.app[STORE], request[CALLER].owner)
    return wire.reply(
        {
            "object": "usage",
            **_counts(total),
            "orphan_count": total.orphans,
            "orphan_bytes": total.orphan_bytes,
            "reserved_bytes": total.reserved_bytes,
            "quota_bytes": total.quota_bytes,
            "streams": [{"connector_id": each.connector, "stream": each.stream, **_counts(each)} for each in streams],
        }
    )


def _counts(row: Row) -> dict[str, object]:
    return {
        "record_count": row.records,
        "record_bytes": row.record_bytes,
        "blob_count": row.blobs,
        "blob_bytes": row.blob_bytes,
        "saved_bytes": row.saved_bytes,
    }


def _collection(id: str | None, blobs: int, size: int, *, dry_run: bool, finished: bool) -> dict[str, object]:
    return {
        "object": "collection",
        "collection_id": id,
        "dry_run": dry_run,
        "finished": finished,
        "blob_count": blobs,
        "bytes": size,
    }


def _grace(text: str) -> float:
    try:
        return 0.0 if text == "0" else duration(text).total_seconds()
    except ValueError:
        raise Invalid("grace must be 0, or a number and one of s, m, h, d, w", param="grace") from None


def _share(values: Mapping[str, str]) -> float:
    text = values.get("max_share", str(MAX_SHARE))
    if not _SHARE.match(text):
        raise Invalid("max_share must be a number from 0 to 1", param="max_share")
    return float(text)


def _explanation(facts: Mapping[str, list[Fact]]) -> dict[str, object]:
    (summary,) = facts["blob"]
    generation: Mapping[str, Any] = (facts.get("generation") or [{}])[-1]
    links = facts.get("link", [])
    return {
        "object": "blob_explanation",
        "blob_id": summary["blob_id"],
        "verdict": summary["verdict"],
        "size_bytes": generation.get("size_bytes"),
        "sha256": generation.get("sha256"),
        "orphaned_at": generation.get("orphaned_at"),
        "holders": [each["connector"] for each in facts.get("holder", ())],
        "links": [_place(each) for each in links[:LINKS]],
        "has_more_links": len(links) > LINKS,
        "claims": [_place(each) | {"expires_at": each["expires_at"]} for each in facts.get("claim", ())],
        "uploads": [_upload(each) for each in facts.get("lease", ())],
        "removals": [_removal(each) for each in facts.get("removed", ())],
    }


def _place(fact: Fact) -> dict[str, object]:
    return {
        "connector_id": fact["connector"],
        "connector_instance_id": fact["instance"],
        "stream": fact["stream"],
        "record_key": fact["key"],
        "json_path": fact["place"],
        "mime_type": fact["media_type"],
    }


def _upload(fact: Fact) -> dict[str, object]:
    names = {"connector_id": fact["connector"], "connector_instance_id": fact["instance"]}
    return names | {"expires_at": fact["expires_at"]}


def _removal(fact: Fact) -> dict[str, object]:
    kind, _, erasure = fact["reason"].partition(" ")
    return {
        "removed_at": fact["removed_at"],
        "size_bytes": fact["size_bytes"],
        "reason": kind,
        "collection_id": fact["collection"],
        "erasure_id": erasure or None,
    }
