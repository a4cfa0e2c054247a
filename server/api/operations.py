"""Every operation of the surface: what it takes, what it answers. One entry a route, as in `server.routes`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.api import parameters as query
from server.api.headers import CONDITIONS, DIGESTS, PREFER, TUS_APPEND, TUS_BEGIN, TUS_VERSION, asked
from server.api.parameters import Parameter, optional
from server.api.schema import TEXT, Schema, ref

JSON = "application/json"
NDJSON = "application/x-ndjson"
ANYTHING = "*/*"
OCTETS = "application/offset+octet-stream"
FORM = "application/x-www-form-urlencoded"

_STORED = ("temporarily_unavailable", "insufficient_storage")
_READ = ("authentication_error", "grant_revoked", "grant_expired", "grant_invalid", *_STORED)
_SEEN = (*_READ, "not_found", "grant_stream_not_allowed")
_OWNED = (*_READ, "insufficient_scope")
_FOUND = (*_OWNED, "not_found")
_BODY = ("request_timeout", "unsupported_media_type", "payload_too_large")
_WRITE = (*_FOUND, *_BODY, "conflict", "ambiguous_connector_instance")
_ERASE = (*_FOUND, "conflict")
_RESUMED = (*_FOUND, "precondition_failed", "upload_locked")
_APPENDED = (*_RESUMED, *_BODY, "conflict", "checksum_mismatch", "digest_mismatch")
_SHAPED = ("unknown_field", "field_not_granted", "invalid_expand")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path. `answers` maps statuses to schema names ("" where there is no JSON)."""

    id: str
    summary: str
    answers: Mapping[int, str]
    errors: Sequence[str] = _OWNED
    """Codes, beside those that every operation may answer."""
    parameters: Sequence[Parameter] = ()
    headers: Sequence[dict[str, Any]] = ()
    body: Mapping[str, Schema] = field(default_factory=dict)
    needs_body: bool = True
    callers: str = "owner"
    """`owner`, `owner or client`, `resource server or owner`, `anyone`, or `watcher`.

    That is who has the token of metrics, or where there is none, programs of the server's machine.
    """


def _public(id: str, summary: str, answers: Mapping[int, str]) -> Operation:
    return Operation(id, summary, answers, (), callers="anyone")


def _seen(id: str, summary: str, answer: str, errors: Sequence[str], parameters: Sequence[Parameter]) -> Operation:
    return Operation(id, summary, {200: answer}, errors, parameters, callers="owner or client")


def _registering(id: str, summary: str) -> Operation:
    answers = {200: "ConnectorRegistered", 201: "ConnectorRegistered"}
    return Operation(id, summary, answers, (*_OWNED, *_BODY), body={JSON: ref("Manifest")})


def _erasing(id: str, summary: str, answers: Mapping[int, str], parameters: Sequence[Parameter] = ()) -> Operation:
    return Operation(id, summary, {**answers, 202: "Erasure"}, _ERASE, parameters, (PREFER,))


_LINES: Schema = {"type": "string", "contentMediaType": NDJSON, "contentSchema": ref("IngestLine")}

OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "/healthz": {"GET": _public("alive", "The process answers.", {200: "Health"})},
    "/readyz": {"GET": _public("ready", "It can do its work.", {200: "Readiness", 503: "Readiness"})},
    "/metrics": {
        "GET": Operation(
            "metrics",
            "What the server counts, in the text format of Prometheus.",
            {200: ""},
            ("authentication_error",),
            callers="watcher",
        )
    },
    "/.well-known/oauth-protected-resource": {
        "GET": _public("resource_metadata", "What a client must know (RFC 9728).", {200: "ResourceMetadata"})
    },
    "/openapi.json": {"GET": _public("openapi", "This document.", {200: "Document"})},
    "/introspect": {
        "POST": Operation(
            "introspect",
            "What a token stands for (RFC 7662): for other resource servers, and for owners.",
            {200: "Introspection"},
            (*_OWNED, *_BODY),
            body={FORM: ref("TokenForm")},
            callers="resource server or owner",
        )
    },
    "/v1/connectors": {
        "GET": _seen("connectors", "Connectors with their streams.", "ConnectorList", _READ, ()),
        "POST": _registering("register", "Register a manifest, or replace it."),
    },
    "/connectors": {"POST": _registering("register_here_too", "The same, where the reference has it.")},
    "/v1/connectors/{connector_id}": {
        "GET": Operation("manifest", "The manifest as it was registered.", {200: "Manifest"}, _FOUND)
    },
    "/v1/ingest/{stream}": {
        "POST": Operation(
            "ingest",
            "Records, one a line, in the form of `IngestLine`.",
            {200: "IngestReport"},
            _WRITE,
            (*query.WRITTEN, query.RUN),
            body={NDJSON: _LINES},
        )
    },
    "/v1/state/{connector_id}": {
        "GET": Operation(
            "state",
            "What the connector remembers.",
            {200: "State"},
            (*_FOUND, "ambiguous_connection"),
            (*query.INSTANCE, query.RUN, query.GRANT),
        ),
        "PUT": Operation(
            "put_state",
            "Set the named streams, leave the others.",
            {200: "State"},
            _WRITE,
            (*query.INSTANCE, query.RUN, query.GRANT),
            body={JSON: ref("StateUpdate")},
        ),
    },
    "/v1/blobs": {
        "POST": Operation(
            "upload",
            "Bytes for a record to come.",
            {200: "Blob"},
            (*_WRITE, "digest_mismatch"),
            (*query.WRITTEN, *query.UPLOAD, query.RUN),
            DIGESTS,
            {ANYTHING: {}},
        )
    },
    "/v1/uploads": {
        "OPTIONS": _public("tus", "What of tus 1.0 is spoken here.", {204: ""}),
        "POST": Operation(
            "begin_upload",
            "Begin a resumable upload (tus 1.0) of bytes for a record to come; its first ones may come along.",
            {201: ""},
            (*_APPENDED, "ambiguous_connector_instance"),
            (*map(optional, (*query.WRITTEN, *query.UPLOAD)), query.RUN),
            TUS_BEGIN,
            {OCTETS: {}},
            needs_body=False,
        ),
    },
    "/v1/uploads/{upload_id}": {
        "OPTIONS": _public("tus_upload", "The same.", {204: ""}),
        "HEAD": Operation(
            "upload_standing",
            "How far an upload has come. One that has all its bytes is stored before this answers.",
            {200: ""},
            (*_RESUMED, "conflict", "digest_mismatch"),
            (query.RUN,),
            (TUS_VERSION,),
        ),
        "PATCH": Operation(
            "append",
            "The next bytes of an upload: durable when this answers, and stored if they were the last.",
            {204: ""},
            _APPENDED,
            (query.RUN,),
            TUS_APPEND,
            {OCTETS: {}},
        ),
        "DELETE": Operation(
            "end_upload", "Forget an upload and what came of it.", {204: ""}, _RESUMED, (query.RUN,), (TUS_VERSION,)
        ),
        "POST": Operation(
            "override",
            "The method that `X-HTTP-Method-Override` names.",
            {200: "", 204: ""},
            _APPENDED,
            (query.RUN,),
            (asked("X-HTTP-Method-Override", "PATCH, HEAD or DELETE.", TEXT), *TUS_APPEND),
            {OCTETS: {}},
            needs_body=False,
        ),
    },
    "/v1/blobs/have": {
        "POST": Operation(
            "have",
            "Which blobs the connector has, so that a record may name them now; the answer binds nothing.",
            {200: "BlobPresenceList"},
            (*_FOUND, *_BODY),
            (query.WRITTEN[0], query.RUN),
            body={JSON: ref("BlobQuestion")},
        )
    },
    "/v1/blobs/claim": {
        "POST": Operation(
            "claim",
            "Claim a blob for a record to come by a proof of having its bytes; 404 whenever the proof does not hold.",
            {200: "Blob"},
            (*_WRITE, "blob_not_found"),
            (*query.WRITTEN, *query.UPLOAD, query.RUN),
            body={JSON: ref("BlobProof")},
        )
    },
    "/v1/blobs/{blob_id}": {
        "GET": Operation(
            "download",
            "Bytes that a record names, with the ranges and conditions of RFC 9110.",
            {200: "", 206: "", 302: "", 304: ""},
            (*_READ, "not_found", "blob_not_found", "precondition_failed", "range_not_satisfiable"),
            query.SELECTOR,
            CONDITIONS,
            callers="owner or client",
        )
    },
    "/v1/streams": {"GET": _seen("streams", "Streams with their counts.", "StreamList", _SEEN, query.SELECTOR)},
    "/v1/streams/{stream}": {
        "GET": _seen("stream", "The declaration of a stream.", "StreamMetadata", _SEEN, query.SELECTOR)
    },
    "/v1/streams/{stream}/records": {
        "GET": _seen(
            "records",
            "A page of records, or of changes.",
            "RecordList",
            (*_SEEN, *_SHAPED, "invalid_cursor", "cursor_expired"),
            (*query.SELECTOR, *query.LIST),
        ),
        "DELETE": _erasing("erase_records", "Erase a stream's records.", {204: ""}, query.WRITTEN),
    },
    "/v1/streams/{stream}/records/{key}": {
        "GET": _seen(
            "record",
            "One record.",
            "Record",
            (*_SEEN, *_SHAPED, "ambiguous_connection"),
            (*query.SELECTOR, *query.SHAPE),
        ),
        "DELETE": _erasing("erase_record", "Erase a record, or what may be left of it.", {204: ""}, query.WRITTEN),
    },
    "/v1/owner/connectors/{connector_id}": {
        "DELETE": _erasing("erase_connector", "Erase all that a connector brought.", {200: "ConnectionErased"})
    },
    "/v1/owner/blobs/{blob_id}": {
        "GET": Operation(
            "explain",
            "Why a blob is there, or what removed it.",
            {200: "BlobExplanation"},
            (*_OWNED, "blob_not_found"),
        )
    },
    "/v1/owner/collect": {
        "POST": Operation(
            "collect",
            "Remove the owner's garbage now; with `dry_run`, only count it.",
            {200: "Collection"},
            (*_OWNED, "conflict"),
            query.COLLECT,
        )
    },
    "/v1/owner/usage": {"GET": Operation("usage", "How much is kept, and what deduplication saves.", {200: "Usage"})},
    "/v1/owner/connections": {
        "GET": Operation("connections", "Living instances of all connectors.", {200: "ConnectionList"})
    },
    "/v1/owner/connections/{connection_id}": {
        "DELETE": _erasing("erase_connection", "Erase all that one instance brought.", {200: "ConnectionErased"})
    },
    "/v1/owner/erasures": {
        "GET": Operation("erasures", "Erasures, newest first.", {200: "ErasureList"}, parameters=query.ERASURES),
        "POST": Operation(
            "erase",
            "Erase what the body names; with `preview`, only show what that would do.",
            {200: "ErasureOrPreview", 202: "Erasure"},
            (*_ERASE, *_BODY),
            headers=(PREFER,),
            body={JSON: ref("ErasureRequest")},
        ),
    },
    "/v1/owner/erasures/{erasure_id}": {
        "GET": Operation("erasure", "How an erasure stands, and its receipt.", {200: "Erasure"}, _FOUND)
    },
    "/v1/owner/export": {
        "GET": Operation(
            "export",
            "All data, or one connector's, as a bag (RFC 8493) in a tar archive, with the ranges and conditions of"
            " RFC 9110.",
            {200: "", 206: "", 304: ""},
            (*_FOUND, "precondition_failed", "range_not_satisfiable"),
            (query.CONNECTOR,),
            CONDITIONS,
        )
    },
    "/v1/owner/spine": {"GET": Operation("spine", "The audit log.", {200: "SpineEventList"}, parameters=query.EVENTS)},
    "/v1/owner/spine/checkpoint": {
        "GET": Operation("checkpoint", "How far the audit log has come, signed.", {200: "SpineCheckpoint"}, _FOUND)
    },
    "/v1/owner/disclosures": {
        "GET": Operation(
            "disclosures",
            "What clients were shown or refused, from the audit log.",
            {200: "SpineEventList"},
            parameters=(*query.DISCLOSURES, *query.EVENTS),
        )
    },
    "/v1/owner/grants": {
        "GET": Operation("grants", "Grants, oldest first.", {200: "GrantList"}),
        "POST": Operation(
            "grant",
            "Make a grant; its client's token is told here and nowhere else.",
            {201: "Grant"},
            (*_FOUND, *_BODY, "conflict", "unknown_field"),
            body={JSON: ref("GrantRequest")},
        ),
    },
    "/v1/owner/grants/{grant_id}/revoke": {
        "POST": Operation("revoke", "Revoke a grant, at once.", {200: "Grant"}, _FOUND)
    },
}
