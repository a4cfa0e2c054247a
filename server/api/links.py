"""What of an answer leads to which operation: by operation and status, as OpenAPI's links."""

from typing import Any

Links = dict[str, dict[str, Any]]


def _to(operation: str, **parameters: str) -> dict[str, Any]:
    return {"operationId": operation, "parameters": parameters}


_ERASURE = {"erasure": _to("erasure", erasure_id="$response.body#/erasure_id")}
_REGISTERED = {
    "manifest": _to("manifest", connector_id="$response.body#/connector_key"),
    "erase_connector": _to("erase_connector", connector_id="$response.body#/connector_key"),
}
_CONNECTED = {"connector_id": "$request.query.connector_id"}

LINKS: dict[tuple[str, int], Links] = {
    ("register", 200): _REGISTERED,
    ("register", 201): _REGISTERED,
    ("ingest", 200): {"records": _to("records", stream="$request.path.stream", **_CONNECTED)},
    ("upload", 200): {"download": _to("download", blob_id="$response.body#/blob_id")},
    ("streams", 200): {
        "stream": _to("stream", stream="$response.body#/data/0/name"),
        "records": _to("records", stream="$response.body#/data/0/name"),
    },
    ("records", 200): {
        "next": _to("records", stream="$request.path.stream", cursor="$response.body#/next_cursor"),
        "changes": _to("records", stream="$request.path.stream", changes_since="$response.body#/next_changes_since"),
        "record": _to("record", stream="$request.path.stream", key="$response.body#/data/0/id"),
    },
    ("grant", 201): {
        "revoke": _to("revoke", grant_id="$response.body#/grant_id"),
        "state": _to("state", connector_id="$response.body#/grant/source/id", grant_id="$response.body#/grant_id"),
    },
    ("erase_records", 202): _ERASURE,
    ("erase_record", 202): _ERASURE,
    ("erase_connector", 200): _ERASURE,
    ("erase_connector", 202): _ERASURE,
    ("erase_connection", 200): _ERASURE,
    ("erase_connection", 202): _ERASURE,
}
