"""Shapes of erasures, of their previews and receipts."""

from server.api.schema import (
    COUNT,
    DIGEST,
    FLAG,
    MOMENT,
    PUBLIC_KEY,
    TEXT,
    TEXTS,
    Schema,
    array_of,
    list_of,
    map_of,
    optional,
    record_of,
    ref,
    tagged,
)

_COUNTS: dict[str, Schema] = {
    "deleted_record_count": COUNT,
    "deleted_stream_count": COUNT,
    "deleted_blob_count": COUNT,
    "deleted_bytes": COUNT,
}

_SCOPES: Schema = {"enum": ["owner", "connector", "instance", "stream", "record"]}

_ERASED: dict[str, Schema] = {
    "scope": _SCOPES,
    "connector_id": optional(TEXT),
    "connection_ids": TEXTS,
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
            {"kind": _SCOPES}, connector_id=TEXT, connector_instance_ids=TEXTS, stream=TEXT, record=TEXT
        ),
        "requested_at": MOMENT,
        "completed_at": MOMENT,
        "resumed": COUNT,
        "erased": record_of({"records": COUNT, "streams": COUNT, "blobs": COUNT, "bytes": COUNT}),
        "removed_blobs_sha256": DIGEST,
        "kept": record_of({"blobs": COUNT, "bytes": COUNT, "with": array_of(ref("Keeper"))}),
        "covers": TEXTS,
        "does_not_cover": TEXTS,
        "residue": record_of({**_RESIDUE, "method": TEXT}),
        "signature": record_of({"algorithm": {"const": "Ed25519"}, "public_key": PUBLIC_KEY, "value": TEXT}),
    }
) | {"description": "A signed document (`blobstore receipt verify`)."}

ERASURES: dict[str, Schema] = {
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
}
