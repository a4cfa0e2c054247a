"""One connector's file is damaged or away: who may not know of it notices nothing, others are told its name.

The server is real, and so is the damage. `alpha` is whole; what is wrong is wrong with the other of two connectors, one
that comes after `alpha` in order, or before.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import aiohttp
import pytest

from records.layout import Topology
from server import routes
from tests.conformance.http.api import MANIFEST, Answer, Api, Connector, note
from tests.conformance.http.granting import client
from tests.test_server.conftest import Start

ALPHA = "alpha"


@dataclass
class World:
    """The server as its callers have it: a client with a grant on `alpha`, one with one on `lost`, and the owner."""

    lost: str
    callers: Mapping[str, Api]
    named: dict[str, str]
    """What paths of the table name."""


async def page(caller: Api, **query: object) -> Answer:
    return await caller.get("/v1/streams/notes/records", **query)


async def fill(owner: Api, lost: str) -> tuple[dict[str, str], dict[str, str]]:
    """Two connectors with a blob in common and blobs of their own; tokens of clients, and what paths name."""
    tokens, named = {}, {"unknown": "blob_b3_" + "0" * 64, "lost": lost}
    for connector, name in ((Connector(owner, ALPHA), ALPHA), (Connector(owner, lost), "lost")):
        assert (await connector.register()).status == 201
        both, own = await connector.upload("1", b"in both"), await connector.upload("2", f"of {name}".encode())
        hidden = await connector.upload("hidden", f"hidden in {name}".encode())
        claimed = await connector.upload("later", f"claimed by {name}".encode())
        await connector.put(
            "notes",
            note("1", "2026-01-01T00:00:00Z", blob_ref=both),
            note("2", "2026-02-01T00:00:00Z", blob_ref=own),
            note("hidden", "2026-03-01T00:00:00Z", blob_ref=hidden),
        )
        await connector.put("log", note("line"))
        seen = await client(connector, {"name": "notes", "resources": ["1", "2"]})
        tokens[name] = seen.api.token or ""
        named |= {"both": both["blob_id"], f"of_{name}": own["blob_id"], f"hidden_{name}": hidden["blob_id"]}
        named[f"claimed_{name}"] = claimed["blob_id"]
        named[f"cursor_{name}"] = (await page(seen.api, limit=1)).json["next_cursor"]
        named[f"token_{name}"] = (await page(seen.api, changes_since="beginning")).json["next_changes_since"]
    for each in (await owner.get("/v1/owner/connections")).data:
        named["account_alpha" if each["connector_id"] == ALPHA else "account_lost"] = each["connection_id"]
    named["grant"] = (await owner.get("/v1/owner/grants")).data[-1]["grant_id"]
    return tokens, named


def damage(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}-*"):
        each.unlink()
    file.write_bytes(b"\xa5" * file.stat().st_size)


def take_away(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


@pytest.fixture(params=[(damage, "omega"), (take_away, "abacus")], ids=["damaged", "away"])
async def world(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> AsyncIterator[World]:
    """The server was started again since the file was lost; before, a process died that was about to write there."""
    lose, lost = request.param
    async with aiohttp.ClientSession() as session:
        async with start(topology=Topology.PER_CONNECTOR) as running:
            ada = await running.store.access.owner("ada")
            tokens, named = await fill(Api(session, running.url, running.token), lost)
            home = (await running.store.central.shards(ada.id)).homes[lost].shard
        lose(tmp_path / "data" / "records" / ada.id / f"{home}.db")
        async with start(topology=Topology.PER_CONNECTOR) as running:
            await running.store.central.wake(ada.id, lost, home)
            callers = {name: Api(session, running.url, token) for name, token in tokens.items()}
            yield World(lost, callers | {"owner": Api(session, running.url, running.token)}, named)


class Row(NamedTuple):
    """A request, and how the client of `alpha`, the client of the lost connector and the owner are answered."""

    method: str
    path: str
    alpha: int
    of_lost: int
    owner: int
    body: str = ""
    kind: str = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})


MANIFEST_BODY = json.dumps({"connector_id": "NAME", **MANIFEST})
LINE = '{"key":"9","emitted_at":"2026-01-01T00:00:00Z","data":{"id":"9"}}\n'
NDJSON = "application/x-ndjson"
GRANT = '{"client_id":"app","connector_id":"NAME","streams":[{"name":"notes"}]}'
PREVIEW = '{"scope":"connector","connector_id":"NAME","preview":true}'

BATCH = json.dumps({"blobs": [{"blob_id": "blob_b3_" + "0" * 64, "size_bytes": 4}]})
PROOF = json.dumps({"token": "none", "proof": "0" * 64})
TUS = {"Tus-Resumable": "1.0.0"}
LENGTH = {**TUS, "Upload-Length": "4"}
PIECE = "application/offset+octet-stream"

PUBLIC: list[Row] = [
    Row("GET", "/healthz", 200, 200, 200),
    Row("GET", "/readyz", 200, 200, 200),
    Row("GET", "/openapi.json", 200, 200, 200),
    Row("GET", "/.well-known/oauth-protected-resource", 200, 200, 200),
    Row("OPTIONS", "/v1/uploads", 204, 204, 204),
    Row("OPTIONS", "/v1/uploads/{unknown}", 204, 204, 204),
]

READS: list[Row] = [
    Row("GET", "/v1/connectors", 200, 503, 503),
    Row("GET", "/v1/streams", 200, 503, 503),
    Row("GET", "/v1/streams?connector_id=alpha", 200, 404, 200),
    Row("GET", "/v1/streams?connector_id={lost}", 404, 503, 503),
    Row("GET", "/v1/streams?connector_id=none", 404, 404, 404),
    Row("GET", "/v1/streams?connection_id={account_alpha}", 200, 404, 200),
    Row("GET", "/v1/streams?connection_id={account_lost}", 404, 503, 503),
    Row("GET", "/v1/streams/notes", 200, 200, 200),
    Row("GET", "/v1/streams/notes?connector_id={lost}", 404, 200, 200),
    Row("GET", "/v1/streams/notes/records", 200, 503, 503),
    Row("GET", "/v1/streams/notes/records?changes_since=beginning", 200, 503, 503),
    Row("GET", "/v1/streams/notes/records?cursor={cursor_alpha}", 200, 503, 503),
    Row("GET", "/v1/streams/notes/records?cursor={cursor_lost}", 400, 503, 503),
    Row("GET", "/v1/streams/notes/records?changes_since={token_alpha}", 200, 503, 503),
    Row("GET", "/v1/streams/notes/records?changes_since={token_lost}", 400, 503, 503),
    Row("GET", "/v1/streams/notes/records?connector_id=alpha", 200, 404, 200),
    Row("GET", "/v1/streams/notes/records?connector_id={lost}", 404, 503, 503),
    Row("GET", "/v1/streams/notes/records?connection_id={account_alpha}", 200, 404, 200),
    Row("GET", "/v1/streams/notes/records?connection_id={account_lost}", 404, 503, 503),
    Row("GET", "/v1/streams/log/records?connector_id=alpha", 403, 403, 200),
    Row("GET", "/v1/streams/notes/records/1", 200, 503, 503),
    Row("GET", "/v1/streams/notes/records/1?connection_id={account_alpha}", 200, 404, 200),
    Row("GET", "/v1/streams/notes/records/none?connector_id=alpha", 404, 404, 404),
    Row("GET", "/v1/blobs/{both}", 200, 503, 200),
    Row("GET", "/v1/blobs/{of_alpha}", 200, 503, 200),
    Row("GET", "/v1/blobs/{hidden_alpha}", 404, 503, 200),
    Row("GET", "/v1/blobs/{claimed_alpha}", 404, 503, 200),
    Row("GET", "/v1/blobs/{of_lost}", 404, 503, 503),
    Row("GET", "/v1/blobs/{hidden_lost}", 404, 503, 503),
    Row("GET", "/v1/blobs/{claimed_lost}", 404, 503, 200),
    Row("GET", "/v1/blobs/{unknown}", 404, 503, 404),
    Row("GET", "/v1/blobs/{both}?connector_id=alpha", 200, 404, 200),
    Row("GET", "/v1/blobs/{both}?connector_id={lost}", 404, 503, 503),
    Row("GET", "/v1/blobs/{of_lost}?connector_id=alpha", 404, 404, 404),
]

OWNERS: list[Row] = [
    Row("GET", "/v1/connectors/alpha", 403, 403, 200),
    Row("GET", "/v1/connectors/{lost}", 403, 403, 200),
    Row("POST", "/v1/connectors", 403, 403, 200, MANIFEST_BODY),
    Row("POST", "/connectors", 403, 403, 200, MANIFEST_BODY),
    Row("GET", "/v1/state/{lost}", 403, 403, 200),
    Row("PUT", "/v1/state/{lost}", 403, 403, 200, '{"state":{"notes":1}}'),
    Row("GET", "/v1/owner/blobs/{both}", 403, 403, 503),
    Row("GET", "/v1/owner/blobs/{of_alpha}", 403, 403, 200),
    Row("GET", "/v1/owner/blobs/{of_lost}", 403, 403, 503),
    Row("GET", "/v1/owner/blobs/{unknown}", 403, 403, 404),
    Row("GET", "/v1/owner/usage", 403, 403, 503),
    Row("GET", "/v1/owner/connections", 403, 403, 200),
    Row("GET", "/v1/owner/erasures", 403, 403, 200),
    Row("GET", "/v1/owner/spine/checkpoint", 403, 403, 200),
    Row("GET", "/v1/owner/disclosures", 403, 403, 200),
    Row("GET", "/v1/owner/grants", 403, 403, 200),
    Row("GET", "/v1/owner/export", 403, 403, 503),
    Row("GET", "/v1/owner/export?connector_id=alpha", 403, 403, 200),
    Row("GET", "/v1/owner/export?connector_id={lost}", 403, 403, 503),
    Row("POST", "/v1/owner/collect?dry_run=true", 403, 403, 200),
    Row("POST", "/v1/owner/collect", 403, 403, 200),
    Row("POST", "/v1/ingest/notes?connector_id={lost}", 403, 403, 503, LINE, NDJSON),
    Row("POST", "/v1/ingest/notes?connector_id=alpha", 403, 403, 200, LINE, NDJSON),
    Row(
        "POST",
        "/v1/blobs?connector_id=alpha&stream=notes&record_key=9",
        403,
        403,
        200,
        "bytes",
        "application/octet-stream",
    ),
    Row(
        "POST",
        "/v1/blobs?connector_id={lost}&stream=notes&record_key=9",
        403,
        403,
        200,
        "bytes",
        "application/octet-stream",
    ),
    Row("POST", "/v1/blobs/have?connector_id=alpha", 403, 403, 200, BATCH),
    Row("POST", "/v1/blobs/have?connector_id={lost}", 403, 403, 200, BATCH),
    Row("POST", "/v1/blobs/claim?connector_id={lost}&stream=notes&record_key=9", 403, 403, 400, PROOF),
    Row("POST", "/v1/uploads?connector_id=alpha&stream=notes&record_key=9", 403, 403, 201, headers=LENGTH),
    Row("POST", "/v1/uploads?connector_id={lost}&stream=notes&record_key=9", 403, 403, 201, headers=LENGTH),
    Row("HEAD", "/v1/uploads/{unknown}", 403, 403, 404, headers=TUS),
    Row("PATCH", "/v1/uploads/{unknown}", 403, 403, 404, "more", PIECE, {**TUS, "Upload-Offset": "0"}),
    Row("POST", "/v1/uploads/{unknown}", 403, 403, 405, headers=TUS),
    Row("DELETE", "/v1/uploads/{unknown}", 403, 403, 404, headers=TUS),
    Row("POST", "/v1/owner/grants", 403, 403, 201, GRANT),
    Row("POST", "/v1/owner/grants/{grant}/revoke", 403, 403, 200),
    Row("POST", "/introspect", 403, 403, 200, "token=none", "application/x-www-form-urlencoded"),
    Row("POST", "/v1/owner/erasures", 403, 403, 200, PREVIEW.replace("NAME", ALPHA)),
    Row("POST", "/v1/owner/erasures", 403, 403, 503, PREVIEW),
    Row("DELETE", "/v1/streams/notes/records/2?connector_id={lost}", 403, 403, 503),
    Row("DELETE", "/v1/streams/notes/records?connector_id={lost}", 403, 403, 503),
    Row("DELETE", "/v1/owner/connections/{account_lost}", 403, 403, 503),
    Row("DELETE", "/v1/owner/connectors/{lost}", 403, 403, 503),
    Row("DELETE", "/v1/streams/notes/records/2?connector_id=alpha", 403, 403, 204),
    Row("DELETE", "/v1/streams/notes/records?connector_id=alpha", 403, 403, 204),
    Row("DELETE", "/v1/owner/connections/{account_alpha}", 403, 403, 200),
    Row("DELETE", "/v1/owner/connectors/alpha", 403, 403, 200),
    Row("GET", "/v1/owner/erasures/{erasure}", 403, 403, 200),
]
"""In this order: erasures of the lost connector come before those of the other, which wait for none of them."""

SPINE = "/v1/owner/spine"
"""What the owner is told there depends on what may wait in the file: `test_records/test_sharded.py`."""


async def ask(world: World, caller: str, row: Row) -> Answer:
    path, _, query = row.path.partition("?")
    return await world.callers[caller].call(
        row.method,
        path.format(**world.named),
        [
            (name, value.format(**world.named))
            for name, _, value in (pair.partition("=") for pair in query.split("&"))
            if name
        ],
        body=row.body.replace("NAME", world.lost).encode() if row.body else None,
        headers={**row.headers, **({"Content-Type": row.kind} if row.body else {})},
    )


def message(answer: Answer) -> str:
    return str(answer.json["error"]["message"])


async def test_every_route_answers_each_caller_as_far_as_that_caller_reaches(world: World) -> None:
    for row in PUBLIC + READS + OWNERS:
        for caller, expected in (("alpha", row.alpha), ("lost", row.of_lost), ("owner", row.owner)):
            answer = await ask(world, caller, row)
            assert answer.status == expected, (caller, row, answer.body)
            if expected == 503:
                assert message(answer) == f"the records of {world.lost} cannot be read; those of other connectors can"
            if caller == "alpha":
                told = answer.body + repr(answer.headers).encode()
                assert world.lost.encode() not in told, row
            if row.path == "/v1/owner/erasures" and row.method == "GET" and caller == "owner":
                assert answer.data == []
            if row.path == "/v1/owner/connectors/alpha" and caller == "owner":
                world.named["erasure"] = answer.json["erasure_id"]


def test_the_table_has_every_route() -> None:
    asked = {(row.method, row.path.partition("?")[0]) for row in PUBLIC + READS + OWNERS} | {("GET", SPINE)}
    for table in (routes.PUBLIC, routes.OWNER, routes.READS, routes.SERVERS):
        for path, methods in table.items():
            pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
            for method in methods:
                assert any(each == method and pattern.fullmatch(there) for each, there in asked), (method, path)


async def test_a_blob_of_the_lost_connector_and_an_unknown_one_are_the_same_to_others(world: World) -> None:
    """And a grant on the lost connector does not tell which blobs that has, either."""
    blobs = ("of_lost", "hidden_lost", "claimed_lost", "hidden_alpha", "unknown")
    for caller, also in (("alpha", []), ("lost", ["both", "of_alpha"])):
        for method in ("GET", "HEAD"):
            for query in ("", "?connection_id={account_lost}", "?connector_id={lost}", "?connector_id=alpha"):
                rows = [Row(method, f"/v1/blobs/{{{blob}}}{query}", 0, 0, 0) for blob in (*blobs, *also)]
                seen = {observable(await ask(world, caller, row)) for row in rows}
                assert len(seen) == 1, (caller, method, query, seen)


def observable(answer: Answer) -> tuple[object, ...]:
    """All but the request's id and the time."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("Request-Id", "Date")}
    return answer.status, tuple(headers.items()), re.sub(rb'"request_id":"[^"]*"', b"", answer.body)
