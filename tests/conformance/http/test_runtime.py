"""A run of a connector as the PDPP project's own collection runtime makes it, unchanged."""

import hashlib
import secrets
from collections.abc import AsyncIterator

import pytest

from tests.conformance.http.api import Connector, note, part

BATCH = 500


@pytest.mark.parametrize("count", [BATCH - 1, 3 * BATCH])
async def test_a_run_uploads_ingests_and_keeps_its_state_with_the_parameters_it_always_sends(
    connector: Connector, count: int
) -> None:
    run = {"run_id": "run_0123", "connection_id": connector.work}
    data = secrets.token_bytes(200_000)

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]

    upload = {"connector_id": connector.id, "stream": "notes", "record_key": "00000", "mime_type": "application/pdf"}
    headers = {"Content-Type": "application/octet-stream"}
    stored = (await connector.api.call("POST", "/v1/blobs", {**upload, **run}, body=body(), headers=headers)).json
    assert (stored["sha256"], stored["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    ref = {name: stored[name] for name in ("blob_id", "mime_type", "size_bytes", "sha256")}
    for start in range(0, count, BATCH):
        lines = [note(f"{n:05}", blob_ref=ref if n == 0 else None) for n in range(start, min(start + BATCH, count))]
        counts = (await connector.ingest("notes", *lines, **run)).json
        assert counts["records_accepted"] + counts["records_rejected"] == len(lines)
        assert counts["records_rejected"] == 0
        state = {"state": {"notes": {"cursor": start}}}
        path = f"/v1/state/{part(connector.id)}"
        put = await connector.api.call("PUT", path, {"connection_id": connector.work}, body=state)
        assert put.json["state"] == state["state"]
    streams = (await connector.api.get("/v1/streams", connector_id=connector.id)).data
    assert next(each["record_count"] for each in streams if each["name"] == "notes") == count
    seen = (await connector.one("notes", "00000")).json["data"]["blob_ref"]
    assert (await connector.api.get(seen["fetch_url"])).body == data
