"""Every error code: its status and type, when it is answered, and what stands in it beside the message."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from server.api.schema import COUNT, TEXT, Schema, array_of, record_of


@dataclass(frozen=True, slots=True)
class Failure:
    """One code. `members` stand in its `error` object, beside those of every error."""

    status: int
    type: str
    when: str
    members: Mapping[str, Schema] = field(default_factory=dict)
    may_have: Mapping[str, Schema] = field(default_factory=dict)


_PARAM: Mapping[str, Schema] = {"param": TEXT}
_CHOICE: Mapping[str, Schema] = {
    "available_connections": array_of(record_of({"connection_id": TEXT})),
    "retry_with": {"const": "connection_id"},
}
_LINE: Mapping[str, Schema] = {
    "line": COUNT,
    "input_index": COUNT,
    "records_attempted": COUNT,
    "records_accepted": COUNT,
    "records_rejected": COUNT,
}


def _invalid(status: int, when: str, **may_have: Schema) -> Failure:
    return Failure(status, "invalid_request_error", when, may_have=may_have)


def _not_permitted(when: str) -> Failure:
    return Failure(403, "permission_error", when, may_have=_PARAM)


FAILURES: Mapping[str, Failure] = {
    "invalid_request": _invalid(400, "the request cannot be meant; `param` names the parameter", param=TEXT),
    "unsupported_version": _invalid(400, "another `PDPP-Version`, or a grant of another version", param=TEXT),
    "invalid_cursor": _invalid(400, "a cursor of another list, or none of this server's", param=TEXT),
    "invalid_expand": _invalid(400, "no relation that is declared for expanding", param=TEXT),
    "unknown_field": _invalid(400, "the stream declares no such field", param=TEXT),
    "digest_mismatch": _invalid(400, "the bytes are not those that were declared"),
    "ambiguous_connector_instance": Failure(
        400, "invalid_request_error", "a write that must name one of several instances", _CHOICE
    ),
    "authentication_error": Failure(
        401, "authentication_error", "no token, or none that is known here", {"resource_metadata": TEXT}
    ),
    "insufficient_scope": _not_permitted("a client's token where an owner's is needed"),
    "grant_stream_not_allowed": _not_permitted("the grant does not name the stream"),
    "field_not_granted": _not_permitted("the grant does not name the field"),
    "grant_revoked": _not_permitted("the grant was revoked"),
    "grant_expired": _not_permitted("the grant has expired"),
    "grant_invalid": _not_permitted("the grant cannot be enforced to the letter"),
    "not_found": Failure(404, "not_found_error", "not there, or not for this caller"),
    "blob_not_found": Failure(
        404, "not_found_error", "no such blob, or not for this caller; also for ids that are none"
    ),
    "method_not_allowed": _invalid(405, "the path has other methods; see `Allow`"),
    "request_timeout": _invalid(408, "the body stalled or trickled"),
    "ambiguous_connection": Failure(409, "conflict_error", "a read that several instances answer", _CHOICE),
    "conflict": Failure(
        409,
        "conflict_error",
        "erased while the request ran; another `Upload-Offset` than the upload's; a grant that has ended, or is made"
        " elsewhere",
    ),
    "cursor_expired": Failure(410, "gone_error", "a change token from before what is remembered: begin again"),
    "precondition_failed": _invalid(
        412, "it has another entity tag than `If-Match` names; another `Tus-Resumable` than is spoken here"
    ),
    "payload_too_large": Failure(
        413,
        "request_entity_too_large_error",
        "a body or a line over its limit, or a blob larger than its whole quota",
        may_have=_LINE,
    ),
    "unsupported_media_type": _invalid(415, "another `Content-Type`, or a `Content-Encoding`"),
    "range_not_satisfiable": _invalid(416, "no byte of the ranges exists"),
    "expectation_failed": _invalid(417, "an `Expect` other than `100-continue`"),
    "upload_locked": Failure(423, "conflict_error", "another request sends to this upload; see `Retry-After`"),
    "checksum_mismatch": _invalid(460, "the body has another checksum than `Upload-Checksum`: it was not kept"),
    "api_error": Failure(500, "api_error", "a mistake of ours; the log has it under the request id"),
    "temporarily_unavailable": Failure(
        503,
        "api_error",
        "storage, or the authorization server, does not answer, or too much is under way; see `Retry-After`",
    ),
    "insufficient_storage": Failure(
        507, "api_error", "the disk is full, or a quota is used up; the message tells which"
    ),
}

ALWAYS = ("invalid_request", "unsupported_version", "method_not_allowed", "expectation_failed", "api_error")
"""What every operation may answer."""


def _schema(code: str, of: Failure) -> Schema:
    every = {"type": {"const": of.type}, "code": {"const": code}, "message": TEXT, "request_id": TEXT}
    error = record_of({**every, **of.members}, **of.may_have)
    return record_of({"error": error}) | {"description": of.when, "x-status": of.status}


SCHEMAS: Mapping[str, Schema] = {f"Error.{code}": _schema(code, of) for code, of in FAILURES.items()}


def by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    """The codes of each status, statuses in order."""
    found: dict[int, list[str]] = {}
    for code in sorted({*codes, *ALWAYS}, key=list(FAILURES).index):
        found.setdefault(FAILURES[code].status, []).append(code)
    return found
