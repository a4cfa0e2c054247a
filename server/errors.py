"""From exceptions to answers: the one table of statuses, types and codes, and the body that the contract prescribes.

What HTTP itself refuses, beside what `records.errors` and `blobstore.errors` tell:

ServerError
├── Unauthenticated      401: no token, or none that this server knows
├── NoSuchRoute          404: no such path
├── MethodNotAllowed     405: the path is there, the method is not
├── TooSlow              408: the body stalls or trickles
├── PreconditionFailed   412: If-Match, If-Unmodified-Since
├── TooLarge             413: a body or a line over its limit
├── UnsupportedMedia     415: a Content-Type or Content-Encoding that is not taken here
├── RangeNotSatisfiable  416: no byte of the ranges exists
├── ExpectationFailed    417: an Expect other than 100-continue
├── ChecksumMismatch     460: a part of a resumable upload has another checksum than was declared
├── NoAuthorization      503: the authorization server cannot be asked who the caller is
└── Busy                 503: as much is under way as this server takes at once
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec
from aiohttp.web import HTTPNotFound, RequestPayloadError, Response

from blobstore.errors import (
    BlobNotFound,
    ContentMismatch,
    FuseBlown,
    InvalidBlobId,
    LargerThanQuota,
    LargerThanRoom,
    LeaseLost,
    OutOfSpace,
    OverQuota,
    StorageUnavailable,
    UploadBusy,
    UploadNotFound,
)
from records.errors import Ambiguous, Conflict, CursorExpired, Forbidden, Invalid, NotExported, SourceDown, Unknown

READS = frozenset({"GET", "HEAD"})
RETRY_AFTER = "5"
"""Seconds that a client is asked to wait when the storage does not answer."""

NOTHING: Mapping[str, object] = MappingProxyType({})


class ServerError(Exception):
    """A request that is refused before the storage is asked. The message is fit for the caller to read.

    `headers` go onto the answer, `members` into its `error` object.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] = NOTHING,
    ) -> None:
        super().__init__(message)
        self.param = param
        self.headers = dict(headers or {})
        self.members = members


class Unauthenticated(ServerError):
    """No token, or none that this server knows."""


class NoSuchRoute(ServerError):
    """No such path."""


class MethodNotAllowed(ServerError):
    """The path is there, the method is not."""


class TooSlow(ServerError):
    """The body stalls or trickles."""


class PreconditionFailed(ServerError):
    """If-Match or If-Unmodified-Since does not hold."""


class TooLarge(ServerError):
    """A body, or a line of one, over its limit."""


class UnsupportedMedia(ServerError):
    """A Content-Type or Content-Encoding that is not taken here."""


class RangeNotSatisfiable(ServerError):
    """No byte of the asked ranges exists; `headers` must hold the Content-Range that tells the size."""


class ExpectationFailed(ServerError):
    """An Expect other than 100-continue."""


class ChecksumMismatch(ServerError):
    """A part of a resumable upload has another checksum than was declared (tus 1.0); none of it was kept."""


class NoAuthorization(ServerError):
    """The authorization server does not answer, or not in a way that can be trusted: nobody is let in."""


class Busy(ServerError):
    """As much is under way as this server takes at once; nothing of the request was read."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How an exception looks on the wire. Without `message` the exception's own is shown: it must be fit for that."""

    status: int
    type: str
    code: str
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


_INVALID = "invalid_request_error"
_MISSING = "not_found_error"
_LATER = {"Retry-After": RETRY_AFTER}

UNEXPECTED = Shape(500, "api_error", "api_error", "internal error; the request id finds it in the server's log")

TABLE: Mapping[type[Exception], Shape] = {
    Invalid: Shape(400, _INVALID, "invalid_request"),
    RequestPayloadError: Shape(400, _INVALID, "invalid_request", "the body is not framed as its headers say"),
    ContentMismatch: Shape(400, _INVALID, "digest_mismatch"),
    Unauthenticated: Shape(401, "authentication_error", "authentication_error"),
    Forbidden: Shape(403, "permission_error", "insufficient_scope"),
    Unknown: Shape(404, _MISSING, "not_found"),
    NoSuchRoute: Shape(404, _MISSING, "not_found"),
    HTTPNotFound: Shape(404, _MISSING, "not_found", "no such path"),  # aiohttp's, for targets without a path
    BlobNotFound: Shape(404, _MISSING, "blob_not_found", "no such blob"),
    InvalidBlobId: Shape(404, _MISSING, "blob_not_found", "no such blob"),
    UploadNotFound: Shape(
        404, _MISSING, "not_found", "no such upload, or its time is over; begin again (nothing of it is kept)"
    ),
    MethodNotAllowed: Shape(405, _INVALID, "method_not_allowed"),
    TooSlow: Shape(408, _INVALID, "request_timeout"),
    Ambiguous: Shape(409, "conflict_error", "ambiguous_connection"),
    Conflict: Shape(409, "conflict_error", "conflict"),
    LeaseLost: Shape(409, "conflict_error", "conflict", "erased while the upload ran; nothing of it is kept"),
    FuseBlown: Shape(409, "conflict_error", "conflict"),
    CursorExpired: Shape(410, "gone_error", "cursor_expired"),
    PreconditionFailed: Shape(412, _INVALID, "precondition_failed"),
    TooLarge: Shape(413, "request_entity_too_large_error", "payload_too_large"),
    LargerThanQuota: Shape(413, "request_entity_too_large_error", "payload_too_large"),
    UnsupportedMedia: Shape(415, _INVALID, "unsupported_media_type"),
    RangeNotSatisfiable: Shape(416, _INVALID, "range_not_satisfiable"),
    ExpectationFailed: Shape(417, _INVALID, "expectation_failed"),
    UploadBusy: Shape(423, "conflict_error", "upload_locked", None, _LATER),
    ChecksumMismatch: Shape(460, _INVALID, "checksum_mismatch"),
    NoAuthorization: Shape(503, "api_error", "temporarily_unavailable", None, _LATER),
    Busy: Shape(503, "api_error", "temporarily_unavailable", None, _LATER),
    SourceDown: Shape(503, "api_error", "temporarily_unavailable", None, _LATER),
    NotExported: Shape(503, "api_error", "temporarily_unavailable", None, _LATER),
    StorageUnavailable: Shape(
        503, "api_error", "temporarily_unavailable", "the storage does not answer; send it again later", _LATER
    ),
    OverQuota: Shape(507, "api_error", "insufficient_storage"),
    LargerThanRoom: Shape(507, "api_error", "insufficient_storage", "there is not room enough for so many bytes"),
    OutOfSpace: Shape(507, "api_error", "insufficient_storage", "the storage is full; nothing of this was kept"),
}

_TOLD_WHOLE = (OverQuota, LargerThanRoom, Busy)
"""Limits that the operator or the disk sets: the client is told all there is to know, and the log is not for them."""

AMBIGUOUS_WRITE = Shape(400, _INVALID, "ambiguous_connector_instance")


def shape(error: Exception, method: str) -> Shape:
    """The row of the table for an exception, or for the nearest of its bases; `UNEXPECTED` when there is none."""
    if isinstance(error, Ambiguous) and method not in READS:
        return AMBIGUOUS_WRITE
    if isinstance(error, ContentMismatch) and method in READS:
        return TABLE[StorageUnavailable]  # who reads has declared nothing: what is stored is damaged
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), UNEXPECTED)


def is_for_log(error: Exception, status: int) -> bool:
    """Whether the operator should know of an error that was answered so."""
    return status >= 500 and not isinstance(error, _TOLD_WHOLE)


def code_of(error: Exception, method: str) -> str:
    """The contract's code for an exception."""
    return error.code if isinstance(error, Invalid | Forbidden) else shape(error, method).code


def answer(error: Exception, *, method: str, request_id: str) -> Response:
    """The answer that an exception becomes."""
    row = shape(error, method)
    body: dict[str, object] = {
        "type": row.type,
        "code": code_of(error, method),
        "message": row.message or str(error),
    }
    if isinstance(error, Invalid | Forbidden | ServerError) and error.param is not None:
        body["param"] = error.param
    if isinstance(error, Ambiguous):
        body["available_connections"] = [{"connection_id": each} for each in error.candidates]
        body["retry_with"] = "connection_id"
    if isinstance(error, ServerError):
        body.update(error.members)
    body["request_id"] = request_id
    headers = {**row.headers, **(error.headers if isinstance(error, ServerError) else {})}
    return Response(
        status=row.status,
        body=msgspec.json.encode({"error": body}),
        content_type="application/json",
        headers=headers,
    )
