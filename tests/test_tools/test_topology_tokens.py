"""What clients were given before their records move goes on after it: cursors, change tokens, downloads, validators."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from records.layout import Topology
from tests.conformance.http.api import Answer, Api, Connector, deletion, note
from tests.conformance.http.granting import client
from tests.conftest import SEED, SOAK
from tests.crash.fleet import Fleet

SINGLE, APART, DATABASE = Topology.SINGLE, Topology.PER_CONNECTOR, Topology.POSTGRES
ROUNDS = [(SINGLE, APART), (SINGLE, DATABASE), (APART, DATABASE)]
"""From where, to where, and back: each way between two."""

RECORDS = 40
BLOB = bytes(range(256)) * 4096 * 24
"""More than lies between a server and a client who does not read: its sending goes on after the move."""


@dataclass
class Moving:
    """A server, its owner's connector, and the command that moves its records."""

    fleet: Fleet
    connector: Connector
    database: tuple[str, str]
    began: Topology

    async def to(self, topology: Topology) -> None:
        """Move all there."""
        named = self.database if topology is DATABASE else ()
        code, _ = await self.fleet.command("topology", "migrate", "--to", str(topology), *named)
        assert code == 0, self.fleet.log.read_text()


@pytest.fixture
async def moving(
    request: pytest.FixtureRequest, tmp_path: Path, forks: Path, database_url: str
) -> AsyncIterator[Moving]:
    """A connector with notes, in the topology that is the parameter."""
    fleet = Fleet(tmp_path / "data", forks, tmp_path / "log")
    database = ("--database-url", database_url)
    options = ("--topology", str(request.param), *(database if request.param is DATABASE else ()))
    code, token = await fleet.command("token", "create", "--owner", "ann", *options)
    assert code == 0, fleet.log.read_text()
    async with fleet.served(), aiohttp.ClientSession() as session:
        while not fleet.urls:
            await asyncio.sleep(0.01)
        connector = Connector(Api(session, fleet.urls[0], token.strip()), "files")
        assert (await connector.register()).status == 201
        await connector.put(
            "notes", *(note(f"{n:03}", f"2026-01-{n % 28 + 1:02}T00:00:00Z", text="old") for n in range(RECORDS))
        )
        yield Moving(fleet, connector, database, request.param)
    assert "Traceback" not in fleet.log.read_text()


@dataclass
class Reader:
    """What somebody who may read was given before the move, and what the rest of it is."""

    connector: Connector
    cursor: str
    session: str
    token: str
    rest: list[Any] | None = None
    session_rest: list[Any] | None = None

    @classmethod
    async def begun(cls, connector: Connector) -> "Reader":
        """Has read a page, a page of a session of changes, and a session to its end."""
        page = await ok(connector.page("notes", limit=7))
        session = await ok(connector.page("notes", changes_since="beginning", limit=7))
        whole = await ok(connector.page("notes", changes_since="beginning", limit=100))
        return cls(connector, page["next_cursor"], session["next_cursor"], whole["next_changes_since"])

    async def goes_on(self, changed: set[str]) -> None:
        """Everything goes on exactly where it was; these keys have changed since the token."""
        rest, session_rest = await walked(self.connector, self.cursor), await walked(self.connector, self.session)
        if self.rest is None:
            self.rest, self.session_rest = rest, session_rest
            assert len(rest) == RECORDS - 8  # one is deleted by now
        assert (rest, session_rest) == (self.rest, self.session_rest)
        since = await ok(self.connector.page("notes", changes_since=self.token, limit=100))
        assert {each["id"] for each in since["data"]} == changed
        assert (await ok(self.connector.page("notes", changes_since=since["next_changes_since"])))["data"] == []


async def ok(asked: Awaitable[Answer]) -> Any:
    """The body of a good answer."""
    answer = await asked
    assert answer.status == 200, answer.body
    return answer.json


async def walked(connector: Connector, cursor: str | None) -> list[Any]:
    """What comes from a cursor on, to the end."""
    found: list[Any] = []
    while cursor is not None:
        page = await ok(connector.page("notes", cursor=cursor))
        found += page["data"]
        cursor = page.get("next_cursor")
    return found


@dataclass
class Download:
    """A download of which little was read yet."""

    answer: aiohttp.ClientResponse
    begun: bytes

    @classmethod
    async def of(cls, connector: Connector, blob: str) -> "Download":
        """Ask for a range that begins at the second byte."""
        headers = {"Authorization": f"Bearer {connector.api.token}", "Range": "bytes=1-"}
        answer = await connector.api.session.get(f"{connector.api.base_url}/v1/blobs/{blob}", headers=headers)
        assert answer.status == 206
        return cls(answer, await answer.content.readexactly(1000))

    async def ends_well(self) -> None:
        """The rest of it comes."""
        assert self.begun + await self.answer.content.read() == BLOB[1:]


@pytest.mark.long
@pytest.mark.parametrize(("moving", "there"), ROUNDS if SOAK else [ROUNDS[SEED % 3]], ids=str, indirect=["moving"])
async def test_what_was_given_out_before_a_move_is_good_during_and_after_it(moving: Moving, there: Topology) -> None:
    owner = moving.connector
    ref = await owner.upload("000", BLOB)
    await owner.put("notes", note("000", "2026-01-01T00:00:00Z", text="old", blob_ref=ref))
    app = await client(owner, {"name": "notes", "fields": ["id", "text", "blob_ref"]})
    readers = [await Reader.begun(each) for each in (owner, app)]
    tag = (await app.api.call("HEAD", f"/v1/blobs/{ref['blob_id']}")).headers["ETag"]
    await owner.put("notes", note("001", "2026-01-02T00:00:00Z", text="new"), deletion("002"))
    changed = {"001", "002"}
    for reader in readers:
        await reader.goes_on(changed)
    for topology in (there, moving.began):
        downloads = [await Download.of(each, ref["blob_id"]) for each in (owner, app)]
        move = asyncio.create_task(moving.to(topology))
        while not move.done():
            for reader in readers:
                await reader.goes_on(changed)
        await move
        for download in downloads:
            await download.ends_well()
        new = f"after {topology}"
        await owner.put("notes", note(new, "2027-01-01T00:00:00Z", text="new"))  # first in the order
        changed.add(new)
        for reader in readers:
            await reader.goes_on(changed)
        await validators_hold(app, ref["blob_id"], tag)
    grants = (await owner.api.get("/v1/owner/grants")).data
    assert (await owner.api.call("POST", f"/v1/owner/grants/{grants[0]['grant_id']}/revoke")).status == 200
    assert (await app.page("notes", cursor=readers[1].cursor)).status in (401, 403)


async def validators_hold(app: Connector, blob: str, tag: str) -> None:
    """A tag from before says what it said."""
    path = f"/v1/blobs/{blob}"
    rest = await app.api.call("GET", path, headers={"Range": "bytes=100-199", "If-Range": tag})
    assert (rest.status, rest.body) == (206, BLOB[100:200])
    assert (await app.api.call("GET", path, headers={"If-None-Match": tag})).status == 304
