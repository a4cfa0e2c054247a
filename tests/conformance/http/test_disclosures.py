"""What the audit log tells: every mutation, every page and range that a client was shown, every refusal."""

from collections import Counter
from typing import Any

import pytest

from records.signing import SignedDocument
from tests.conformance.http.api import Api, Connector, deletion, part
from tests.conformance.http.granting import grant, holding
from tests.conformance.http.library import covered, filled

pytestmark = pytest.mark.ours


@pytest.fixture
async def library(api: Api) -> Connector:
    return await filled(api)


async def disclosed(library: Connector, **query: object) -> list[dict[str, Any]]:
    answer = await library.api.get("/v1/owner/disclosures", limit=1000, **query)
    assert answer.status == 200, answer.body
    return [each["body"] for each in answer.data]


async def test_every_page_and_record_that_a_client_reads_is_disclosed(library: Connector) -> None:
    made = (await grant(library, {"name": "books"})).json
    seen = holding(library, made["token"])
    await seen.page("books", limit=2)
    await seen.one("books", "ada")
    page, record = await disclosed(library, grant=made["grant_id"])
    assert (page["kind"], page["stream"], page["records"], page["client"]) == (
        "disclosure.records",
        "books",
        2,
        "an-app",
    )
    assert (record["records"], record["first"]) == (1, record["last"])
    assert "ada" not in record.values()


async def test_ranges_of_blobs_are_disclosed_as_asked_and_as_sent(library: Connector) -> None:
    blob_id = await covered(library, "x", b"0123456789")
    made = (await grant(library, {"name": "books"})).json
    seen = Api(library.api.session, library.api.base_url, made["token"])
    await seen.call("GET", f"/v1/blobs/{blob_id}", headers={"Range": "bytes=2-4"})
    found: list[dict[str, Any]] = []
    while len(found) < 2:  # how it ended is written down once it has
        found = await disclosed(library, blob=blob_id, grant=made["grant_id"])
    begin, end = found
    assert (begin["kind"], begin["ranges"], begin["grant"]) == ("disclosure.blob.begin", [[2, 5]], made["grant_id"])
    assert (end["kind"], end["sent"], end["bytes"], end["end"]) == ("disclosure.blob.end", [[2, 5]], 3, "whole")
    assert begin["disclosure"] == end["disclosure"]


async def test_owners_reads_are_no_disclosures(library: Connector) -> None:
    blob_id = await covered(library, "x", b"mine")
    await library.page("books")
    await library.api.get(f"/v1/blobs/{blob_id}")
    assert await disclosed(library, connector=library.id) == []
    assert await disclosed(library, blob=blob_id) == []


async def test_refusals_are_on_the_spine(library: Connector) -> None:
    made = (await grant(library, {"name": "books", "fields": ["pages"]})).json
    seen = holding(library, made["token"])
    await seen.page("chapters")
    await seen.page("books", fields="lent")
    await seen.page("books", **{"filter[title]": "x"})
    await seen.api.get("/v1/blobs/blob_b3_" + 64 * "0")
    await seen.api.get("/v1/owner/spine")
    await library.api.call("POST", f"/v1/owner/grants/{made['grant_id']}/revoke")
    await seen.page("books")
    found = await disclosed(library, grant=made["grant_id"])
    assert {each["kind"] for each in found} == {"disclosure.refused"}
    assert [each["code"] for each in found] == [
        "grant_stream_not_allowed",
        "field_not_granted",
        "invalid_request",
        "blob_not_found",
        "insufficient_scope",
        "grant_revoked",
    ]


async def test_disclosures_page_by_event(library: Connector) -> None:
    made = (await grant(library, {"name": "books"})).json
    seen = holding(library, made["token"])
    for _ in range(5):
        await seen.page("books")
    found, after = [], 0
    while True:
        answer = await library.api.get("/v1/owner/disclosures", grant=made["grant_id"], after=after, limit=2)
        found += [each["seq"] for each in answer.data]
        after = answer.json["next_after"]
        if not answer.json["has_more"]:
            break
    assert found == sorted(set(found))
    assert len(found) == 5


async def test_a_strangers_disclosures_are_not_seen(library: Connector, stranger: Api) -> None:
    made = (await grant(library, {"name": "books"})).json
    seen = holding(library, made["token"])
    await seen.page("books")
    answer = await stranger.get("/v1/owner/disclosures", grant=made["grant_id"])
    assert answer.data == []


async def test_every_mutation_is_on_the_spine_without_content(library: Connector) -> None:
    after, events = 0, list[Any]()
    made = (await grant(library, {"name": "books"})).json
    await covered(library, "s3cr3t", b"s3cr3t")
    state = await library.api.call("PUT", f"/v1/state/{part(library.id)}", body={"state": {"books": "s3cr3t"}})
    assert state.status == 200
    await library.put("books", deletion("s3cr3t"))
    await library.api.call("POST", f"/v1/owner/grants/{made['grant_id']}/revoke")
    await library.api.delete("/v1/streams/books/records/ada", connector_id=library.id)
    while True:
        page = (await library.api.get("/v1/owner/spine", after=after, limit=1000)).json
        events += [each["body"] for each in page["data"]]
        after = page["next_after"]
        if not page["has_more"]:
            break
    mine = [each for each in events if library.id in str(each) or made["grant_id"] in str(each)]
    assert Counter(each["kind"] for each in mine) == {
        "connector.register": 1,
        "records.ingest": 5,
        "grant.create": 1,
        "blob.upload": 1,
        "state.put": 1,
        "grant.revoke": 1,
        "erasure.begin": 1,
        "erasure.done": 1,
    }
    assert "s3cr3t" not in str(mine)


async def test_the_owner_gets_a_signed_checkpoint_of_the_newest_event(library: Connector) -> None:
    answer = await library.api.get("/v1/owner/spine/checkpoint")
    assert answer.status == 200, answer.body
    document = SignedDocument.verify(answer.body).content
    head = document["spine_head"]
    [event] = (await library.api.get("/v1/owner/spine", after=head["seq"] - 1, limit=1)).data
    assert head == {"seq": event["seq"], "hash": event["hash"], "at": event["at"]}
    await library.put("books", deletion("ada"))
    later = (await library.api.get("/v1/owner/spine/checkpoint")).json
    assert later["spine_head"]["seq"] > head["seq"]
    assert later["signature"]["public_key"] == answer.json["signature"]["public_key"]
