"""Shapes of blobs, and of what is told of all of them."""

from server.api.schema import (
    BLOB_ID,
    COUNT,
    DIGEST,
    FLAG,
    MOMENT,
    TEXT,
    TEXTS,
    Schema,
    array_of,
    list_of,
    optional,
    record_of,
    ref,
    tagged,
)

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

BLOBS: dict[str, Schema] = {
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
    "BlobExplanation": tagged(
        "blob_explanation",
        {
            "blob_id": BLOB_ID,
            "verdict": TEXT,
            "size_bytes": optional(COUNT),
            "sha256": optional(DIGEST),
            "orphaned_at": optional(MOMENT),
            "holders": TEXTS,
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
}
