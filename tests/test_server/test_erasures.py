"""An owner who erases all that they have, over HTTP: the answer is complete though the token that asked is gone."""

import json
from pathlib import Path

import aiohttp
import pytest

from records.erasure import receipts
from records.store import RecordStore
from tests.conformance.http.api import Api, Connector, fresh_name, note, refused
from tests.conformance.http.own_server import serving


@pytest.mark.parametrize("prefer", ["", "respond-async"])
async def test_an_owner_is_erased_and_the_answer_goes_out(tmp_path: Path, prefer: str) -> None:
    with serving(tmp_path / "data") as target:
        async with aiohttp.ClientSession() as session:
            ada, bob = Api(session, target.base_url, target.token), Api(session, target.base_url, target.other_token)
            for api in (ada, bob):
                connector = Connector(api, fresh_name())
                await connector.register()
                await connector.put("notes", note("a", blob_ref=await connector.upload("a", b"the same bytes")))
            grant = {"client_id": "app", "connector_id": (await ada.get("/v1/connectors")).data[0]["connector_id"]}
            made = await ada.call("POST", "/v1/owner/grants", body=grant | {"streams": [{"name": "notes"}]})
            client = Api(session, target.base_url, made.json["token"])
            preview = (await ada.call("POST", "/v1/owner/erasures", body={"scope": "owner", "preview": True})).json
            assert (preview["record_count"], preview["blob_count"]) == (1, 1)

            answer = await ada.call("POST", "/v1/owner/erasures", body={"scope": "owner"}, headers={"Prefer": prefer})

            assert answer.status == 200, answer.body
            done = answer.json
            assert (done["scope"], done["connector_id"], done["deleted_bytes"]) == ("owner", None, preview["bytes"])
            said, _ = receipts.verify(json.dumps(done["receipt"]).encode())
            assert said.scope.kind == "owner"
            refused(await ada.get("/v1/streams"), 401, "authentication_error")
            refused(await client.get("/v1/streams"), 401, "authentication_error")
            assert len((await bob.get("/v1/streams/notes/records")).data) == 1
    store = await RecordStore.open(tmp_path / "data")
    try:
        (gone,) = [owner for owner in await store.central.owners() if owner.erased_at is not None]
        erasure = await store.erasures.find(gone, done["erasure_id"])
        assert erasure.receipt is not None
        assert (await store.access.owner("ada")).id != gone.id
    finally:
        await store.close()
