"""Shapes of the audit log."""

from server.api.schema import COUNT, DIGEST, FLAG, MOMENT, TEXT, Schema, list_of, open_to_others, record_of, ref, tagged

SPINE: dict[str, Schema] = {
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
}
