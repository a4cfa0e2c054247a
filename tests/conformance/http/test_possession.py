"""Not sending what is there: what a connector has, and claims by proof of having the bytes, which tell nothing else."""

import secrets
from typing import Any

import pytest
from blake3 import blake3

from tests.conformance.http.api import Answer, Api, Connector, deletion, fresh_name, note, refused
from tests.conformance.http.granting import client

pytestmark = pytest.mark.ours

LARGE = 3 << 20


@pytest.fixture
def data() -> bytes:
    return secrets.token_bytes(1000)


@pytest.fixture
async def other(api: Api) -> Connector:
    """Another connector of the same owner."""
    other = Connector(api, fresh_name())
    await other.register()
    return other


def b3(data: bytes) -> str:
    return "blob_b3_" + blake3(data).hexdigest()


async def ask(connector: Connector, *blobs: dict[str, Any]) -> Answer:
    return await connector.api.call(
        "POST", "/v1/blobs/have", {"connector_id": connector.id}, body={"blobs": list(blobs)}
    )


async def has(connector: Connector, *bodies: bytes) -> list[bool]:
    answer = await ask(connector, *({"blob_id": b3(body)} for body in bodies))
    assert answer.status == 200, answer.body
    assert [each["blob_id"] for each in answer.data] == [b3(body) for body in bodies]
    assert all(each["challenge"] is None for each in answer.data)
    return [each["have"] for each in answer.data]


async def challenge(connector: Connector, blob_id: str, size: int) -> dict[str, Any]:
    answer = await ask(connector, {"blob_id": blob_id, "size_bytes": size})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.data[0]["challenge"]
    return found


def proof(of: dict[str, Any], data: bytes) -> dict[str, str]:
    """As the documents tell it."""
    hasher = blake3(key=bytes.fromhex(of["key"]))
    for start, stop in of["ranges"]:
        hasher.update(data[start:stop])
    return {"token": of["token"], "proof": hasher.hexdigest()}


async def claim(connector: Connector, body: object, key: str = "r", **query: object) -> Answer:
    named = {"connector_id": connector.id, "stream": "notes", "record_key": key, **query}
    return await connector.api.call("POST", "/v1/blobs/claim", named, body=body)


async def test_a_connector_hears_in_order_what_its_records_may_name(connector: Connector, data: bytes) -> None:
    never, linked = secrets.token_bytes(10), data[::-1]
    await connector.upload("claimed", data)
    await connector.put("notes", note("linked", blob_ref=await connector.upload("linked", linked)))
    assert await has(connector, never, linked, data, never, linked) == [False, True, True, False, True]
    assert await has(connector) == []


async def test_what_it_has_may_be_named_without_another_upload(connector: Connector, data: bytes) -> None:
    ref = await connector.upload("one", data)
    assert await has(connector, data) == [True]
    await connector.put("notes", note("another", blob_ref=ref))
    assert (await connector.api.get(f"/v1/blobs/{ref['blob_id']}")).body == data


@pytest.mark.parametrize("size", [0, 1, 1 << 20, LARGE])
async def test_who_has_the_bytes_claims_what_another_connector_brought(
    connector: Connector, other: Connector, size: int
) -> None:
    data = secrets.token_bytes(size)
    brought = await other.upload("theirs", data)
    asked = await challenge(connector, b3(data), size)
    answer = await claim(connector, proof(asked, data), mime_type="image/png")
    assert answer.status == 200, answer.body
    assert answer.json == {"object": "blob", **brought}
    await connector.put("notes", note("r", blob_ref=brought))
    await other.api.delete(f"/v1/owner/connectors/{other.id.replace('/', '%2F')}")
    assert (await connector.api.get(f"/v1/blobs/{b3(data)}", connector_id=connector.id)).body == data


async def test_an_answer_binds_nothing(connector: Connector, data: bytes) -> None:
    await connector.put("notes", note("r", blob_ref=await connector.upload("r", data)))
    asked = await challenge(connector, b3(data), len(data))
    await connector.put("notes", deletion("r"))
    await connector.api.call("POST", "/v1/owner/collect", {"max_share": "1"})
    assert await has(connector, data) == [False]
    refused(await claim(connector, proof(asked, data)), 404, "blob_not_found")


# -- who tries to find out -----------------------------------------------------------------------------------------


def without_secrets(answer: Answer) -> list[Any]:
    """What is said of a blob, but for what is random."""
    said = []
    for each in answer.data:
        of = each["challenge"]
        ranges = [stop - start for start, stop in of["ranges"]]
        said.append((each["object"], each["have"], sorted(of), len(of["token"]), len(of["key"]), ranges))
    return said


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_what_others_have_looks_like_what_nobody_has(
    api: Api, stranger: Api, connector: Connector, other: Connector, size: int
) -> None:
    theirs, mine, nobodys = (secrets.token_bytes(size) for _ in range(3))
    elsewhere = Connector(stranger, fresh_name())
    await elsewhere.register()
    await elsewhere.upload("r", theirs)
    await other.upload("r", mine)
    asked = [{"blob_id": b3(each), "size_bytes": size} for each in (theirs, mine, nobodys)]
    said = without_secrets(await ask(connector, *asked))
    assert said[0] == said[1] == said[2]
    # Whoever has the bytes of what another owner has does not hear that they are there.
    first = await challenge(connector, b3(theirs), size)
    error = refused(await claim(connector, proof(first, theirs)), 404, "blob_not_found")
    second = await challenge(connector, b3(nobodys), size)
    assert refused(await claim(connector, proof(second, nobodys)), 404, "blob_not_found")["message"] == error["message"]
    # Nor who knows a digest, and a size, and not the bytes; another size looks the same.
    for guess, of_size in ((nobodys, size), (mine[:-1] + b"?", size), (mine, size - 1), (mine, size + 1)):
        third = await challenge(connector, b3(mine), of_size)
        if guess == mine or size == 1000:
            answer = await claim(connector, proof(third, guess))
            assert refused(answer, 404, "blob_not_found")["message"] == error["message"]
    assert await has(connector, mine, theirs) == [False, False]


async def test_a_challenge_is_good_for_its_owner_and_its_blob_alone(
    stranger: Api, connector: Connector, data: bytes
) -> None:
    elsewhere = Connector(stranger, fresh_name())
    await elsewhere.register()
    await elsewhere.upload("r", data)
    await connector.upload("r", data)
    mine = await challenge(connector, b3(data), len(data))
    refused(await claim(elsewhere, proof(mine, data)), 400, "invalid_request", "token")
    # Its ranges and its key are those of the token, whatever is said beside it.
    nothing = await challenge(connector, b3(b""), 0)
    refused(await claim(connector, {**proof(nothing, b""), "token": mine["token"]}), 404, "blob_not_found")
    assert (await claim(connector, proof(mine, data))).status == 200


async def test_a_size_is_a_whole_number_however_it_is_spelled(connector: Connector, data: bytes) -> None:
    answer = await ask(connector, {"blob_id": b3(data), "size_bytes": 1000.0})
    assert answer.data[0]["challenge"]["ranges"] == [[0, 1000]]


async def test_two_challenges_are_never_the_same(connector: Connector, data: bytes) -> None:
    found = [await challenge(connector, b3(data), LARGE) for _ in range(3)]
    for name in ("token", "key"):
        assert len({each[name] for each in found}) == 3
    assert found[0]["ranges"] != found[1]["ranges"] != found[2]["ranges"]
    assert all(0 <= start < stop <= LARGE for each in found for start, stop in each["ranges"])


async def test_whoever_lacks_a_tenth_of_a_large_blob_does_not_get_it(connector: Connector, other: Connector) -> None:
    data = secrets.token_bytes(LARGE)
    await other.upload("r", data)
    part = bytes(LARGE // 3) + data[LARGE // 3 :]
    for _ in range(3):
        refused(await claim(connector, proof(await challenge(connector, b3(data), LARGE), part)), 404, "blob_not_found")


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"blobs": [{"blob_id": "blob_b3_x"}]},
        {"blobs": [{"blob_id": "blob_sha256_" + "0" * 64}]},
        {"blobs": [{}]},
        {"blobs": [{"blob_id": b3(b""), "size_bytes": -1}]},
        {"blobs": [{"blob_id": b3(b""), "size_bytes": 10**16}]},
        {"blobs": [{"blob_id": b3(b""), "size_bytes": 1.5}]},
        {"blobs": [{"blob_id": b3(b""), "size_bytes": 1e300}]},
        {"blobs": [{"blob_id": b3(b""), "size_bytes": True}]},
        {"blobs": [{"blob_id": b3(b""), "size": 1}]},
        {"blobs": [{"blob_id": b3(b"")}] * 1001},
        {"blobs": [], "more": 1},
    ],
)
async def test_a_question_that_cannot_be_meant(connector: Connector, body: dict[str, Any]) -> None:
    answer = await connector.api.call("POST", "/v1/blobs/have", {"connector_id": connector.id}, body=body)
    refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("token", ["", "x", "A" * 400, "é", "\ud800"])
async def test_a_token_that_is_none(connector: Connector, token: str) -> None:
    refused(await claim(connector, {"token": token, "proof": "0" * 64}), 400, "invalid_request")


@pytest.mark.parametrize("given", ["", "0" * 64, "é", "0" * 100_000])
async def test_a_proof_that_is_none(connector: Connector, data: bytes, given: str) -> None:
    await connector.upload("r", data)
    asked = await challenge(connector, b3(data), len(data))
    refused(await claim(connector, {"token": asked["token"], "proof": given}), 404, "blob_not_found")


async def test_it_is_for_owners_and_their_connectors(connector: Connector, anyone: Api, data: bytes) -> None:
    refused(await ask(Connector(anyone, connector.id)), 401, "authentication_error")
    refused(await ask(Connector(connector.api, "https://none.example/")), 404, "not_found")
    granted = await client(connector, {"name": "notes"})
    refused(await ask(granted), 403, "insufficient_scope")
    asked = await challenge(connector, b3(data), len(data))
    refused(await claim(granted, proof(asked, data)), 403, "insufficient_scope")
    refused(await claim(connector, proof(asked, data), stream="none"), 404, "not_found")
    refused(await claim(connector, proof(asked, data), json_path="x"), 400, "invalid_request", "json_path")
