"""Two machines serve one store, each from a directory of its own: what one does, the other knows."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from records.layout import Topology
from tests.crash.fleet import Fleet
from tests.crash.look import clients
from tests.fakes.data_directory import CONNECTOR, MANIFEST, WHEN
from tests.fakes.s3 import S3Server
from tests.fakes.topologies import Storage

RECORDS = 150
BLOB = secrets.token_bytes(300_000)
LONG = "x" * 100_000


class Asked:
    """One machine's server, as the owner asks it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}

    async def __call__(self, method: str, path: str, status: int, data: bytes | None = None, kind: str = "") -> Any:
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        async with self._session.request(method, self.url + path, data=data, headers=headers) as answer:
            body = await answer.read()
            assert answer.status == status, (answer.status, body[:500])
            return json.loads(body) if answer.content_type == "application/json" else body


@pytest.fixture
def fleets(tmp_path: Path, storage: Storage, s3: S3Server, forks: Path) -> list[Fleet]:
    """The machines; the second is told where the database is and what the secret is, and no more."""
    where, secret = s3.where(), tmp_path / "secret"
    secret.write_bytes(secrets.token_bytes(32))
    joining = (*storage.options, "--secret-file", str(secret))
    place = ("--blobs", where.location, "--s3-endpoint", str(where.endpoint), "--s3-region", str(where.region))
    return [
        Fleet(tmp_path / "first", forks, tmp_path / "log", options=(*joining, *place)),
        Fleet(tmp_path / "second", forks, tmp_path / "log", options=joining),
    ]


@pytest.fixture
async def machines(fleets: list[Fleet]) -> AsyncIterator[tuple[Asked, Asked]]:
    _, token = await fleets[0].command("token", "create", "--owner", "ann")
    async with AsyncExitStack() as running:
        for fleet in fleets:
            await running.enter_async_context(fleet.served())
            while not fleet.urls:
                await asyncio.sleep(0.02)
        session = await running.enter_async_context(clients())
        first, second = (Asked(session, fleet.urls[0], token.strip()) for fleet in fleets)
        yield first, second


@pytest.mark.parametrize("storage", [Topology.POSTGRES], indirect=True)
async def test_two_machines_are_one_store(machines: tuple[Asked, Asked], fleets: list[Fleet]) -> None:
    first, second = machines
    await second("POST", "/v1/connectors", 201, json.dumps(MANIFEST).encode(), "application/json")
    named = f"connector_id={CONNECTOR}"
    path = f"/v1/blobs?{named}&stream=documents&record_key=0"
    blob = (await first("POST", path, 200, BLOB, "application/octet-stream"))["blob_id"]
    refs = [{"blob_ref": {"blob_id": blob, "mime_type": "text/plain"}}]
    lines = [
        {
            "key": str(key),
            "emitted_at": WHEN,
            "data": {"id": str(key), "text": LONG, "attachments": [] if key else refs},
        }
        for key in range(RECORDS)
    ]
    text = "\n".join(map(json.dumps, lines)).encode()
    answer = await second("POST", f"/v1/ingest/documents?{named}", 200, text, "application/x-ndjson")
    assert answer["records_accepted"] == RECORDS
    for machine in machines:
        assert await machine("GET", f"/v1/blobs/{blob}", 200) == BLOB

    records, keys = f"/v1/streams/documents/records?{named}&limit=40", list[str]()
    cursor = changes = ""
    for machine in (first, second, first, second):
        page = await machine("GET", f"{records}{cursor}", 200)
        keys += [each["id"] for each in page["data"]]
        cursor = f"&cursor={page.get('next_cursor')}"
    assert len(set(keys)) == RECORDS
    page = await first("GET", f"{records}&changes_since=beginning", 200)
    while "next_changes_since" not in page:
        page = await second("GET", f"{records}&cursor={page['next_cursor']}", 200)
    changes = page["next_changes_since"]

    async with clients() as session, session.get(f"{second.url}/v1/owner/export", headers=second.headers) as export:
        assert export.status == 200
        await export.content.readexactly(1)
        await first("DELETE", f"/v1/streams/documents/records/0?{named}", 204)
        with pytest.raises(aiohttp.ClientPayloadError):
            await export.read()
    for machine in machines:
        await machine("GET", f"/v1/blobs/{blob}", 404)
        page = await machine("GET", f"{records}&changes_since={changes}", 200)
        assert [(each["id"], each["deleted"]) for each in page["data"]] == [("0", True)]
    await first("DELETE", f"/v1/streams/documents/records?{named}", 204)
    assert (await second("GET", records, 200))["data"] == []
    for fleet in fleets:
        code, printed = await fleet.command("doctor", "--deep", "--json")
        assert (code, json.loads(printed)) == (0, []), printed
    assert "Traceback" not in fleets[0].log.read_text(), fleets[0].log.read_text()[-3000:]
