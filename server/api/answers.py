"""Shapes of what is answered, by the names that operations use."""

from server.api.schema import (
    BLOB_ID,
    COUNT,
    DIGEST,
    FLAG,
    MOMENT,
    OBJECT,
    TEXT,
    Schema,
    array_of,
    list_of,
    map_of,
    open_to_others,
    optional,
    record_of,
    ref,
    tagged,
)

_TEXTS = array_of(TEXT)
_COUNTS: dict[str, Schema] = {
    "deleted_record_count": COUNT,
    "deleted_stream_count": COUNT,
    "deleted_blob_count": COUNT,
    "deleted_bytes": COUNT,
}

_SCOPES: Schema = {"enum": ["owner", "connector", "instance", "stream", "record"]}
_KEY: Schema = {"type": "string", "description": "An Ed25519 public key, base64url without padding."}
_ERASED: dict[str, Schema] = {
    "scope": _SCOPES,
    "connector_id": optional(TEXT),
    "connection_ids": _TEXTS,
    "stream": optional(TEXT),
}
_KEPT: dict[str, Schema] = {
    "kept_blob_count": COUNT | {"description": "Blobs that stay because they are shared."},
    "kept_bytes": COUNT,
    "kept_with": array_of(ref("Keeper")),
}
_RESIDUE: dict[str, Schema] = {
    "result": {"enum": ["clean", "nothing_sought", "residue", "incomplete"]},
    "samples": COUNT | {"description": "Taken of what was to go, before it went."},
    "shared": COUNT | {"description": "Of these, samples that living data show too: they prove nothing."},
    "named": COUNT | {"description": "Blobs that went, and were looked for by their names."},
    "found": map_of(COUNT) | {"description": "Traces by the class of storage."},
    "unread": COUNT | {"description": "Places that could not be searched."},
}
_RECEIPT = record_of(
    {
        "kind": {"const": "erasure_receipt"},
        "version": {"const": 1},
        "store_id": TEXT,
        "owner": TEXT | {"description": "A keyed digest."},
        "spine_head": optional(record_of({"seq": COUNT, "hash": DIGEST, "at": MOMENT})),
        "erasure_id": TEXT,
        "scope": record_of(
            {"kind": _SCOPES}, connector_id=TEXT, connector_instance_ids=_TEXTS, stream=TEXT, record=TEXT
        ),
        "requested_at": MOMENT,
        "completed_at": MOMENT,
        "resumed": COUNT,
        "erased": record_of({"records": COUNT, "streams": COUNT, "blobs": COUNT, "bytes": COUNT}),
        "removed_blobs_sha256": DIGEST,
        "kept": record_of({"blobs": COUNT, "bytes": COUNT, "with": array_of(ref("Keeper"))}),
        "covers": _TEXTS,
        "does_not_cover": _TEXTS,
        "residue": record_of({**_RESIDUE, "method": TEXT}),
        "signature": record_of({"algorithm": {"const": "Ed25519"}, "public_key": _KEY, "value": TEXT}),
    }
) | {"description": "A signed document (`blobstore receipt verify`)."}

_FRESHNESS = record_of(
    {"captured_at": optional(MOMENT), "status": {"enum": ["current", "stale", "unknown"]}},
    last_attempted_at=optional(MOMENT),
)

_TIME_CONSTRAINT = record_of({"field": TEXT}, since=MOMENT, until=MOMENT)

_STREAM_GRANT = record_of(
    {"name": TEXT, "instance_ids": _TEXTS, "fields": _TEXTS}, time_constraint=_TIME_CONSTRAINT, resources=_TEXTS
)

_REJECTION = record_of(
    {
        "input_index": COUNT,
        "code": {
            "enum": [
                "malformed_ndjson",
                "invalid_utf8",
                "invalid_record_identity",
                "invalid_record",
                "blob_not_stored",
            ]
        },
        "message": {"type": "string", "maxLength": 500},
    },
    key=TEXT,
)

_WARNING = record_of(
    {"code": {"const": "limit_clamped"}, "message": TEXT},
    param=TEXT,
    detail=record_of({"requested_limit": COUNT, "max_limit": COUNT}),
)

_RELATED: Schema = {
    "anyOf": [ref("Record"), list_of(ref("Record"), {"has_more": FLAG}), {"type": "null"}],
    "description": "A list for has_many; a record, or null, for has_one.",
}

_PLACE: dict[str, Schema] = {"id": TEXT, "stream": TEXT, "connector_id": TEXT, "connector_instance_id": TEXT}

_SOURCE = record_of({"kind": {"const": "connector"}, "id": TEXT})

_RIGHTS: dict[str, Schema] = {
    "source": _SOURCE,
    "purpose_code": TEXT,
    "access_mode": {"enum": ["single_use", "continuous"]},
    "streams": array_of(_STREAM_GRANT),
}

_CONTEXT: dict[str, Schema] = {
    "issued_at": MOMENT,
    "source": _SOURCE,
    "source_declaration": record_of({"version": TEXT}),
}

_IDENTITY: dict[str, Schema] = {"grant_id": TEXT, "client_id": TEXT, "subject_id": TEXT}

_SPOT: dict[str, Schema] = {
    "connector_id": TEXT,
    "connector_instance_id": TEXT,
    "stream": TEXT,
    "record_key": TEXT,
    "json_path": TEXT,
    "mime_type": TEXT,
}

_AMOUNTS: dict[str, Schema] = dict.fromkeys(
    ("record_count", "record_bytes", "blob_count", "blob_bytes", "saved_bytes"), COUNT
)

ANSWERS: dict[str, Schema] = {
    "Freshness": _FRESHNESS,
    "Stream": tagged(
        "stream",
        {
            "name": TEXT,
            "connector_id": TEXT,
            "record_count": COUNT,
            "last_updated": optional(MOMENT),
            "freshness": ref("Freshness"),
        },
    ),
    "StreamList": list_of(ref("Stream")),
    "StreamMetadata": tagged(
        "stream_metadata",
        {
            "name": TEXT,
            "connector_id": TEXT,
            "semantics": {"enum": ["append_only", "append", "mutable_state"]},
            "schema": OBJECT,
            "primary_key": _TEXTS,
            "cursor_field": optional(TEXT),
            "consent_time_field": optional(TEXT),
            "selection": optional(OBJECT),
            "query": OBJECT,
            "views": array_of(OBJECT),
            "relationships": array_of(OBJECT),
        },
    ),
    "Connector": tagged(
        "connector",
        {
            "connector_id": TEXT,
            "connector_key": TEXT,
            "source": _SOURCE,
            "display_name": TEXT,
            "stream_count": COUNT,
            "streams": array_of(ref("Stream")),
        },
    ),
    "ConnectorList": list_of(ref("Connector")),
    "ConnectorRegistered": record_of({"connector_id": TEXT, "connector_key": TEXT}),
    "Record": tagged(
        "record",
        {**_PLACE, "data": OBJECT, "emitted_at": TEXT},
        expanded=map_of(_RELATED),
    ),
    "Tombstone": tagged(
        "record",
        {**_PLACE, "deleted": {"const": True}, "deleted_at": TEXT, "emitted_at": TEXT},
    )
    | {"description": "What a list of changes says of a record that is gone, or no longer seen."},
    "RecordList": list_of(
        {"anyOf": [ref("Record"), ref("Tombstone")]},
        {"url": TEXT, "has_more": FLAG},
        next_cursor=TEXT,
        next_changes_since=TEXT,
        freshness=ref("Freshness"),
        meta=record_of({"warnings": array_of(_WARNING)}),
    ),
    "IngestReport": record_of(
        {
            "stream": TEXT,
            "records_accepted": COUNT,
            "records_attempted": COUNT,
            "records_rejected": COUNT,
            "rejections": array_of(_REJECTION),
            "errors": {"type": "array", "maxItems": 0},
        },
        rejections_truncated={"const": True},
    ),
    "State": tagged(
        "stream_state",
        {"connector_id": TEXT, "grant_id": optional(TEXT), "state": map_of({}), "updated_at": optional(MOMENT)},
    ),
    "Blob": tagged(
        "blob",
        {
            "blob_id": BLOB_ID,
            "sha256": DIGEST,
            "size_bytes": COUNT,
            "mime_type": TEXT,
        },
    ),
    "BlobPresenceList": list_of(ref("BlobPresence")),
    "BlobPresence": tagged(
        "blob_presence",
        {
            "blob_id": BLOB_ID,
            "have": FLAG | {"description": "A record of the connector may name it now. False says nothing of others."},
            "challenge": optional(ref("BlobChallenge")),
        },
    ),
    "BlobChallenge": record_of(
        {
            "token": TEXT | {"description": "Comes back with the proof, within ten minutes."},
            "key": DIGEST | {"description": "Of the keyed BLAKE3."},
            "ranges": array_of(
                array_of(COUNT, minItems=2, maxItems=2), minItems=1, description="First byte, and first beyond."
            ),
        }
    ),
    "Connection": tagged(
        "connection",
        {
            "connection_id": TEXT,
            "connector_instance_id": TEXT,
            "connector_id": TEXT,
            "is_default": FLAG,
            "created_at": MOMENT,
        },
    ),
    "ConnectionList": list_of(ref("Connection")),
    "ConnectionErased": tagged(
        "owner_connection_delete",
        {
            "connector_id": TEXT,
            "connection_id": optional(TEXT),
            "deleted": {"const": True},
            **_COUNTS,
            "erasure_id": TEXT,
            "receipt": ref("Receipt"),
        },
    ),
    "Erasure": tagged(
        "erasure",
        {
            "erasure_id": TEXT,
            "status": {"enum": ["running", "done"]},
            **_ERASED,
            **_COUNTS,
            **_KEPT,
            "resumed": COUNT | {"description": "How often it was taken up again after it was cut off."},
            "requested_at": MOMENT,
            "completed_at": optional(MOMENT),
            "residue": optional(record_of(_RESIDUE)),
            "receipt": optional(ref("Receipt")),
        },
    ),
    "ErasureList": list_of(ref("Erasure"), {"has_more": FLAG}),
    "ErasureOrPreview": {"anyOf": [ref("Erasure"), ref("ErasurePreview")]},
    "ErasurePreview": tagged(
        "erasure_preview",
        {
            **_ERASED,
            "record_count": COUNT,
            "streams": array_of(record_of({"connector_id": TEXT, "stream": TEXT, "record_count": COUNT})),
            "blob_count": COUNT,
            "bytes": COUNT,
            **_KEPT,
        },
    ),
    "Keeper": record_of(
        {"connector_id": TEXT, "blobs": COUNT, "bytes": COUNT}, connector_instance_id=TEXT, stream=TEXT
    ),
    "Receipt": _RECEIPT,
    "BlobExplanation": tagged(
        "blob_explanation",
        {
            "blob_id": BLOB_ID,
            "verdict": TEXT,
            "size_bytes": optional(COUNT),
            "sha256": optional(DIGEST),
            "orphaned_at": optional(MOMENT),
            "holders": _TEXTS,
            "links": array_of(record_of(_SPOT)),
            "has_more_links": FLAG,
            "claims": array_of(record_of({**_SPOT, "expires_at": MOMENT})),
            "uploads": array_of(record_of({"connector_id": TEXT, "connector_instance_id": TEXT, "expires_at": MOMENT})),
            "removals": array_of(
                record_of(
                    {
                        "removed_at": MOMENT,
                        "size_bytes": COUNT,
                        "reason": {"enum": ["garbage", "erasure", "abandoned", "duplicate", "healed"]},
                        "collection_id": optional(TEXT),
                        "erasure_id": optional(TEXT),
                    }
                )
            ),
        },
    ),
    "Collection": tagged(
        "collection",
        {
            "collection_id": optional(TEXT),
            "dry_run": FLAG,
            "finished": FLAG | {"description": "Else send it again: there is more."},
            "blob_count": COUNT,
            "bytes": COUNT,
        },
    ),
    "Usage": tagged(
        "usage",
        {
            **_AMOUNTS,
            "orphan_count": COUNT,
            "orphan_bytes": COUNT,
            "reserved_bytes": COUNT,
            "quota_bytes": optional(COUNT),
            "streams": array_of(record_of({"connector_id": TEXT, "stream": TEXT, **_AMOUNTS})),
        },
    ),
    "SpineEvent": tagged(
        "spine_event",
        {
            "seq": COUNT,
            "at": MOMENT,
            "body": open_to_others(record_of({"kind": TEXT})),
            "previous": DIGEST,
            "hash": DIGEST,
        },
    ),
    "SpineEventList": list_of(ref("SpineEvent"), {"has_more": FLAG, "next_after": COUNT}),
    "SpineHead": record_of({"seq": COUNT, "hash": DIGEST, "at": MOMENT}),
    "Signature": record_of({"algorithm": {"const": "Ed25519"}, "public_key": TEXT, "value": TEXT}),
    "SpineCheckpoint": record_of(
        {
            "kind": {"const": "spine_checkpoint"},
            "store_id": TEXT,
            "owner": TEXT,
            "spine_head": ref("SpineHead"),
            "signature": ref("Signature"),
        }
    )
    | {"description": "Keep it: `blobstore spine verify --checkpoint` holds the audit log against it."},
    "GrantDocument": record_of(
        {
            "version": {"const": "0.1.0"},
            "grant_id": TEXT,
            "subject": record_of({"id": TEXT}),
            "client": record_of({"client_id": TEXT}),
            **_CONTEXT,
            **_RIGHTS,
        },
        expires_at=MOMENT,
    ),
    "Grant": tagged(
        "grant",
        {
            "grant_id": TEXT,
            "client_id": TEXT,
            "status": {"enum": ["active", "expired", "revoked"]},
            "created_at": MOMENT,
            "revoked_at": optional(MOMENT),
            "grant": ref("GrantDocument"),
        },
        token=TEXT | {"description": "The client's; told when the grant is made, and nowhere else."},
    ),
    "GrantList": list_of(ref("Grant")),
    "Introspection": record_of(
        {"active": FLAG},
        inactive_reason={"enum": ["grant_revoked", "grant_expired", "grant_invalid"]},
        iss=TEXT,
        exp=COUNT,
        pdpp_token_kind={"enum": ["owner", "client"]},
        **_IDENTITY,
        authorization_details=array_of(record_of({"type": TEXT, **_RIGHTS}), minItems=1, maxItems=1),
        pdpp=record_of({"context_kind": TEXT, **_IDENTITY, **_CONTEXT}),
        grant_storage_binding=record_of({"connector_id": TEXT}),
    ),
    "Document": open_to_others(record_of({"openapi": TEXT, "info": OBJECT, "paths": OBJECT})),
    "Health": record_of({"status": {"const": "ok"}}),
    "Readiness": record_of(
        {
            "status": {"enum": ["ready", "unavailable"]},
            "checks": record_of(dict.fromkeys(("records", "blobs", "space"), TEXT), collection=TEXT, server=TEXT),
        }
    ),
    "ResourceMetadata": record_of(
        {
            "resource": TEXT,
            "authorization_servers": _TEXTS,
            "bearer_methods_supported": _TEXTS,
            "pdpp_core_query_base": TEXT,
            "pdpp_token_kinds_supported": _TEXTS,
            "pdpp_self_export_supported": FLAG,
            "signing_public_key": _KEY,
            "resource_name": TEXT,
            "pdpp_discovery_hints": map_of(TEXT),
        },
    ),
}
