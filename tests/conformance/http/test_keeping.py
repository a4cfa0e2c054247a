"""What an owner is told of what is kept, and how they get rid of what nobody needs."""

from typing import Any

import pytest

from tests.conformance.http.api import Connector, deletion, note, refused

pytestmark = pytest.mark.ours


async def explained(connector: Connector, reference: dict[str, Any]) -> dict[str, Any]:
    answer = await connector.api.get(f"/v1/owner/blobs/{reference['blob_id']}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def collected(connector: Connector, **query: object) -> dict[str, Any]:
    answer = await connector.api.call("POST", "/v1/owner/collect", query)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def test_a_claimed_blob_is_explained_by_its_claim_and_a_linked_one_by_its_links(connector: Connector) -> None:
    reference = await connector.upload("a", b"explain me")
    claimed = await explained(connector, reference)
    assert [(each["record_key"], each["stream"]) for each in claimed["claims"]] == [("a", "notes")]
    assert (claimed["size_bytes"], claimed["sha256"]) == (10, reference["sha256"])
    assert claimed["links"] == []
    await connector.put("notes", note("a", blob_ref=reference))
    linked = await explained(connector, reference)
    assert [(each["record_key"], each["json_path"]) for each in linked["links"]] == [("a", "/blob_ref")]
    assert linked["verdict"] == "kept: records link it"
    assert linked["has_more_links"] is False


async def test_after_its_removal_a_blob_is_explained_by_the_collection_that_removed_it(connector: Connector) -> None:
    reference = await connector.upload("a", b"collect me")
    await connector.put("notes", note("a", blob_ref=reference), deletion("a"))
    foreseen = await collected(connector, dry_run="true")
    assert (foreseen["collection_id"], foreseen["blob_count"] >= 1) == (None, True)
    assert (await explained(connector, reference))["orphaned_at"] is not None
    spared = await collected(connector, grace="1h")
    assert spared["finished"] is True
    found = await collected(connector)
    assert found["blob_count"] == foreseen["blob_count"]
    (removal,) = (await explained(connector, reference))["removals"]
    assert (removal["reason"], removal["collection_id"]) == ("garbage", found["collection_id"])
    assert removal["erasure_id"] is None


async def test_after_an_erasure_a_blob_is_explained_by_it(connector: Connector) -> None:
    reference = await connector.upload("a", b"erase me")
    await connector.put("notes", note("a", blob_ref=reference))
    gone = await connector.api.delete("/v1/streams/notes/records/a", connector_id=connector.id)
    assert gone.status == 204
    (removal,) = (await explained(connector, reference))["removals"]
    assert (removal["reason"], removal["collection_id"]) == ("erasure", None)
    assert removal["erasure_id"].startswith("era_")


async def test_what_is_not_there_and_what_is_no_id_is_not_explained(connector: Connector) -> None:
    for name in ("blob_b3_" + "0" * 64, "blob_sha256_" + "0" * 64, "x"):
        refused(await connector.api.get(f"/v1/owner/blobs/{name}"), 404, "blob_not_found")


@pytest.mark.parametrize("query", [{"grace": "soon"}, {"dry_run": "maybe"}, {"max_share": "2"}, {"max_share": "nan"}])
async def test_a_collection_asked_for_in_other_words_is_refused(connector: Connector, query: dict[str, str]) -> None:
    (name,) = query
    refused(await connector.api.call("POST", "/v1/owner/collect", query), 400, "invalid_request", name)


async def test_usage_counts_what_a_stream_links_and_what_is_saved(connector: Connector) -> None:
    reference = await connector.upload("a", b"x" * 1000)
    await connector.put("notes", note("a", blob_ref=reference))
    await connector.upload("b", b"x" * 1000)
    await connector.put("notes", note("b", blob_ref=reference))
    answer = await connector.api.get("/v1/owner/usage")
    (mine,) = [each for each in answer.json["streams"] if each["connector_id"] == connector.id]
    assert (mine["stream"], mine["record_count"]) == ("notes", 2)
    assert (mine["blob_count"], mine["blob_bytes"], mine["saved_bytes"]) == (1, 1000, 1000)
    assert answer.json["blob_bytes"] >= 1000
