"""Every operation of the surface: what it takes, what it answers. One entry a route, as in `server.routes`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from server.api.schemas import TEXT, Schema, ref

JSON = "application/json"
NDJSON = "application/x-ndjson"
ANYTHING = "*/*"
FORM = "application/x-www-form-urlencoded"

READ = (400, 401, 403, 404, 503)
WRITE = (400, 401, 403, 404, 408, 409, 415, 503, 507)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter; `style` for the two that are objects or arrays."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string", "minLength": 1, "pattern": r"\S"})
    required: bool = False
    style: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path. `answers` maps statuses to schema names ("" where there is no JSON)."""

    id: str
    summary: str
    answers: Mapping[int, str]
    errors: Sequence[int] = READ
    parameters: Sequence[Parameter] = ()
    body: Mapping[str, Schema] | None = None
    callers: str = "owner"
    """`owner`, `owner or client`, or `anyone`."""


_SPELLING: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 512,
    "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*\S",
}
_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 10**17}

CONNECTOR = Parameter("connector_id", "The connector, by its id or its key.", _SPELLING)
INSTANCE = (
    Parameter("connector_instance_id", "One account of the connector.", _SPELLING),
    Parameter("connection_id", "Another name of connector_instance_id."),
)
SELECTOR = (CONNECTOR, *INSTANCE)
RUN = Parameter("run_id", "Taken from the collection runtime; means nothing here.")
WRITTEN = (
    Parameter("connector_id", "The connector that writes.", _SPELLING, required=True),
    *INSTANCE,
)
AFTER = Parameter("after", "The event beyond which to begin.", {"type": "integer", "minimum": 0, "maximum": 10**17})
EVENTS = Parameter("limit", "Events; 100 where it is not given, 1000 at most.", _COUNT)
SHAPE = (
    Parameter("fields", "Top-level fields, with commas between them; required ones always come."),
    Parameter("view", "Owners only: the fields of a declared view. Excludes fields."),
    Parameter(
        "expand[]",
        "Owners only: declared relations to serve with each record.",
        {"type": "array", "items": TEXT},
        style={"style": "form", "explode": True},
    ),
    Parameter(
        "expand_limit",
        "Owners only: records of a has_many relation.",
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        style={"style": "deepObject", "explode": True},
    ),
)
LIST = (
    Parameter("limit", "Records of a page: 25 where it is not given, clamped to 100.", _COUNT),
    Parameter("cursor", "The `next_cursor` of the page before."),
    Parameter("order", "The direction of (cursor field, key).", {"enum": ["desc", "asc"]}),
    Parameter("changes_since", "A `next_changes_since`, or `beginning`: what changed since."),
    Parameter(
        "filter",
        "Owners only: `filter[field]=v`, and `filter[field][gte|gt|lte|lt]=v` where declared.",
        {"type": "object", "additionalProperties": TEXT},
        style={"style": "deepObject", "explode": True},
    ),
    *SHAPE,
)

OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "/healthz": {"GET": Operation("alive", "The process answers.", {200: "Health"}, (), callers="anyone")},
    "/readyz": {
        "GET": Operation("ready", "It can do its work.", {200: "Readiness", 503: "Readiness"}, (), callers="anyone")
    },
    "/.well-known/oauth-protected-resource": {
        "GET": Operation(
            "resource_metadata", "What a client must know (RFC 9728).", {200: "ResourceMetadata"}, (), callers="anyone"
        )
    },
    "/openapi.json": {"GET": Operation("openapi", "This document.", {200: ""}, (), callers="anyone")},
    "/introspect": {
        "POST": Operation(
            "introspect",
            "What a token stands for (RFC 7662): for other resource servers, and for owners.",
            {200: "Introspection"},
            (400, 401, 408, 413, 415, 503),
            body={FORM: {"type": "object", "properties": {"token": TEXT}, "required": ["token"]}},
        )
    },
    "/v1/connectors": {
        "GET": Operation(
            "connectors", "Connectors with their streams.", {200: "ConnectorList"}, callers="owner or client"
        ),
        "POST": Operation(
            "register",
            "Register a manifest, or replace it.",
            {200: "ConnectorRegistered", 201: "ConnectorRegistered"},
            (*WRITE, 413),
            body={JSON: ref("Manifest")},
        ),
    },
    "/connectors": {
        "POST": Operation(
            "register_here_too",
            "The same, where the reference has it.",
            {200: "ConnectorRegistered", 201: "ConnectorRegistered"},
            (*WRITE, 413),
            body={JSON: ref("Manifest")},
        )
    },
    "/v1/connectors/{connector_id}": {
        "GET": Operation("manifest", "The manifest as it was registered.", {200: "Manifest"})
    },
    "/v1/ingest/{stream}": {
        "POST": Operation(
            "ingest",
            "NDJSON into records.",
            {200: "IngestReport"},
            (*WRITE, 413),
            (*WRITTEN, RUN),
            body={NDJSON: TEXT},
        )
    },
    "/v1/state/{connector_id}": {
        "GET": Operation(
            "state",
            "What the connector remembers.",
            {200: "State"},
            (*READ, 409),
            (*INSTANCE, RUN, Parameter("grant_id", "The namespace of a continuous grant.")),
        ),
        "PUT": Operation(
            "put_state",
            "Set the named streams, leave the others.",
            {200: "State"},
            (*WRITE, 413),
            (*INSTANCE, RUN, Parameter("grant_id", "The namespace of a continuous grant.")),
            body={JSON: ref("StateUpdate")},
        ),
    },
    "/v1/blobs": {
        "POST": Operation(
            "upload",
            "Bytes for a record to come.",
            {200: "Blob"},
            WRITE,
            (
                *WRITTEN,
                Parameter("stream", "The record's stream.", required=True),
                Parameter("record_key", "The record's key.", required=True),
                Parameter("mime_type", "The bytes' media type; else the Content-Type.", {"type": "string"}),
                Parameter("json_path", "`@record`, or a JSON Pointer into the record.", {"pattern": "^(@record$|/)"}),
                RUN,
            ),
            body={ANYTHING: {"type": "string", "format": "binary"}},
        )
    },
    "/v1/blobs/{blob_id}": {
        "GET": Operation(
            "download",
            "Bytes that a record names, with the ranges and conditions of RFC 9110.",
            {200: "", 206: "", 304: ""},
            (400, 401, 403, 404, 412, 416, 503),
            SELECTOR,
            callers="owner or client",
        )
    },
    "/v1/streams": {
        "GET": Operation(
            "streams",
            "Streams with their counts.",
            {200: "StreamList"},
            parameters=SELECTOR,
            callers="owner or client",
        )
    },
    "/v1/streams/{stream}": {
        "GET": Operation(
            "stream",
            "The declaration of a stream.",
            {200: "StreamMetadata"},
            parameters=SELECTOR,
            callers="owner or client",
        )
    },
    "/v1/streams/{stream}/records": {
        "GET": Operation(
            "records",
            "A page of records, or of changes.",
            {200: "RecordList"},
            (*READ, 410),
            (*SELECTOR, *LIST),
            callers="owner or client",
        ),
        "DELETE": Operation(
            "erase_records",
            "Erase a stream's records.",
            {202: "Erasure", 204: ""},
            (*READ, 409),
            WRITTEN,
        ),
    },
    "/v1/streams/{stream}/records/{key}": {
        "GET": Operation(
            "record",
            "One record.",
            {200: "Record"},
            (*READ, 409),
            (*SELECTOR, *SHAPE),
            callers="owner or client",
        ),
        "DELETE": Operation("erase_record", "Erase a record.", {202: "Erasure", 204: ""}, (*READ, 409), WRITTEN),
    },
    "/v1/owner/connectors/{connector_id}": {
        "DELETE": Operation(
            "erase_connector",
            "Erase all that a connector brought.",
            {200: "ConnectionErased", 202: "Erasure"},
            (*READ, 409),
        )
    },
    "/v1/owner/connections": {
        "GET": Operation("connections", "Living instances of all connectors.", {200: "ConnectionList"})
    },
    "/v1/owner/connections/{connection_id}": {
        "DELETE": Operation(
            "erase_connection",
            "Erase all that one instance brought.",
            {200: "ConnectionErased", 202: "Erasure"},
            (*READ, 409),
        )
    },
    "/v1/owner/erasures/{erasure_id}": {"GET": Operation("erasure", "How an erasure stands.", {200: "Erasure"})},
    "/v1/owner/spine": {
        "GET": Operation("spine", "The audit log.", {200: "SpineEventList"}, parameters=(AFTER, EVENTS))
    },
    "/v1/owner/disclosures": {
        "GET": Operation(
            "disclosures",
            "What clients were shown or refused, from the audit log.",
            {200: "SpineEventList"},
            parameters=(
                Parameter("grant", "Only through this grant."),
                Parameter("connector", "Only of this connector."),
                Parameter("blob", "Only of this blob."),
                AFTER,
                EVENTS,
            ),
        )
    },
    "/v1/owner/grants": {
        "GET": Operation("grants", "Grants, oldest first.", {200: "GrantList"}),
        "POST": Operation(
            "grant",
            "Make a grant; its client's token is told here and nowhere else.",
            {201: "Grant"},
            (*WRITE, 413),
            body={JSON: ref("GrantRequest")},
        ),
    },
    "/v1/owner/grants/{grant_id}/revoke": {
        "POST": Operation("revoke", "Revoke a grant, at once.", {200: "Grant"}, WRITE)
    },
}


def reason(status: int) -> str:
    """A status in words."""
    return HTTPStatus(status).phrase
