"""JSON on the wire: strict on its way in, spliced from stored text on its way out."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from aiohttp import web

from records.errors import Invalid
from records.reading.lens import Related, Removed, Shown
from server.body import require_type, whole

T = TypeVar("T")

INLINE = 128 << 10
"""Bytes of JSON that take less time to decode than to hand to a thread and back."""


def reply(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in JSON; stored text goes in untouched as `msgspec.Raw`."""
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers
    )


def raw_reply(text: bytes) -> web.Response:
    """An answer that is JSON text already."""
    return web.Response(body=text, content_type="application/json")


def listing(data: Sequence[object], **members: object) -> web.Response:
    """A list object; `members` beside its data."""
    return reply({"object": "list", **members, "data": data})


async def read(request: web.Request, form: type[T], limit: int) -> T:
    """The body, decoded as `form`. Raises `UnsupportedMedia`, `TooLarge`, `Invalid`."""
    return await decode(await read_raw(request, limit), form)


async def read_raw(request: web.Request, limit: int) -> bytes:
    """The body of a request that says it is JSON, not looked into. Raises `UnsupportedMedia`, `TooLarge`."""
    require_type(request, "application/json")
    return await whole(request, limit)


async def decode(text: bytes, form: type[T]) -> T:
    """Decode JSON; long texts in a thread. Raises `Invalid` for what is not JSON, not UTF-8 or not of this form."""
    if len(text) <= INLINE:
        return _decode(text, form)
    return await asyncio.to_thread(_decode, text, form)


def record(of: Shown | Removed, stream: str) -> dict[str, object]:
    """A record as it is served, or the tombstone of one that is not there any more."""
    served: dict[str, object] = {"object": "record", "id": of.key, "stream": stream}
    if isinstance(of, Shown):
        served["data"] = msgspec.Raw(of.data)
    else:
        served |= {"deleted": True, "deleted_at": of.deleted_at}
    served |= {
        "emitted_at": of.emitted_at,
        "connector_id": of.partition.connector,
        "connector_instance_id": of.partition.instance,
    }
    if isinstance(of, Shown) and of.expanded is not None:
        served["expanded"] = {name: _related(each) for name, each in of.expanded.items()}
    return served


def freshness(last_updated: str | None) -> dict[str, object]:
    """How recent data is, as far as is known here: not how often a connector should have run."""
    return {"captured_at": last_updated, "status": "unknown", "last_attempted_at": None}


def _related(of: Related) -> object:
    served = [record(each, each.partition.stream) for each in of.records]
    if of.many:
        return {"object": "list", "has_more": of.has_more, "data": served}
    return served[0] if served else None


def _decode(text: bytes, form: type[T]) -> T:
    try:
        text.decode()  # what is kept as msgspec.Raw would not be checked
        return msgspec.json.decode(text, type=form)
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise Invalid(f"the body is not the JSON that is expected here: {error}") from None
    except RecursionError:
        raise Invalid("the body is nested too deeply") from None
