"""A client whose grant is taken back gets no more bytes, also of a download that runs."""

import json
from typing import Any

import aiohttp

from tests.conformance.http.api import Api, Connector, note
from tests.test_server.conftest import Running

BLOB = 48 << 20


async def test_a_download_ends_soon_after_its_grant_was_revoked(running: Running) -> None:
    async with aiohttp.ClientSession() as session:
        mine = Connector(Api(session, running.url, running.token), "mail")
        await mine.register()
        query = {"connector_id": "mail", "stream": "notes", "record_key": "a"}
        blob_id = (await mine.api.call("POST", "/v1/blobs", query, body=bytes(BLOB))).json["blob_id"]
        await mine.put("notes", note("a", blob_ref={"blob_id": blob_id}))
        body = {"client_id": "app", "connector_id": "mail", "streams": [{"name": "notes"}]}
        made = (await mine.api.call("POST", "/v1/owner/grants", body=body)).json

        with await running.connect() as wire:
            await wire.send(running.head(f"GET /v1/blobs/{blob_id}", token=made["token"]))
            await wire.reader.readuntil(b"\r\n\r\n")
            await mine.api.call("POST", f"/v1/owner/grants/{made['grant_id']}/revoke")
            assert len(await wire.rest()) < BLOB

        found: list[dict[str, Any]] = []
        while len(found) < 2:  # how it ended is written down once it has
            found = (await mine.api.get("/v1/owner/disclosures", grant=made["grant_id"])).data
        begin, end = [each["body"] for each in found]
        assert (begin["ranges"], end["end"]) == ([[0, BLOB]], "revoked")
        assert end["bytes"] < BLOB
        assert json.dumps(begin["record"]) != '"a"'
