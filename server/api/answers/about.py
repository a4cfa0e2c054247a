"""Shapes of what the server says of itself."""

from server.api.schema import FLAG, OBJECT, PUBLIC_KEY, TEXT, TEXTS, Schema, map_of, open_to_others, record_of

ABOUT: dict[str, Schema] = {
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
            "authorization_servers": TEXTS,
            "bearer_methods_supported": TEXTS,
            "pdpp_core_query_base": TEXT,
            "pdpp_token_kinds_supported": TEXTS,
            "pdpp_self_export_supported": FLAG,
            "signing_public_key": PUBLIC_KEY,
            "resource_name": TEXT,
            "pdpp_discovery_hints": map_of(TEXT),
        },
    ),
}
