"""Over HTTP an erasure that left traces is never answered as complete, and nobody is told where they are."""

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.data_directory import CONNECTOR, MANIFEST, WHEN
from tests.test_server.conftest import Running

RNG = random.Random(4)
TEXTS = {str(n): " ".join(RNG.randbytes(4).hex() for _ in range(30)) for n in range(4)}


class Client:
    """Requests of the owner."""

    def __init__(self, session: aiohttp.ClientSession, running: Running) -> None:
        self._session = session
        self._running = running

    async def send(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, str], Any]:
        headers = {"Authorization": f"Bearer {self._running.token}", **options.pop("headers", {})}
        async with self._session.request(method, self._running.url + path, headers=headers, **options) as answer:
            body = await answer.read()
            return answer.status, dict(answer.headers), json.loads(body) if body else None


@pytest.fixture
async def client(running: Running) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        client = Client(session, running)
        assert (await client.send("POST", "/v1/connectors", json=MANIFEST))[0] == 201
        records = [{"key": key, "emitted_at": WHEN, "data": {"id": key, "text": text}} for key, text in TEXTS.items()]
        lines = [json.dumps(record) for record in records]
        path = f"/v1/ingest/documents?connector_id={CONNECTOR}"
        headers = {"Content-Type": "application/x-ndjson"}
        status, _, report = await client.send("POST", path, data="\n".join(lines), headers=headers)
        assert (status, report["records_accepted"]) == (200, 4)
        yield client


RECORD = f"/v1/streams/documents/records/2?connector_id={CONNECTOR}"


async def test_a_clean_erasure_says_what_was_looked_for(client: Client) -> None:
    assert (await client.send("DELETE", RECORD))[0] == 204
    _, _, listed = await client.send("GET", "/v1/owner/erasures")
    [erasure] = listed["data"]
    residue = erasure["residue"]
    assert (residue["result"], residue["found"], residue["samples"]) == ("clean", {}, 1)
    assert set(residue) == {"result", "samples", "shared", "named", "found", "unread"}  # nothing of where records live
    assert erasure["receipt"]["residue"] == {**residue, "method": erasure["receipt"]["residue"]["method"]}


@pytest.mark.parametrize("path", [RECORD, f"/v1/owner/connectors/{CONNECTOR}"])
async def test_one_that_left_traces_is_not_answered_as_complete(client: Client, tmp_path: Path, path: str) -> None:
    (tmp_path / "data" / "copy-of-2").write_text(TEXTS["2"] + TEXTS["3"])
    status, headers, told = await client.send("DELETE", path)
    assert (status, told["status"], told["residue"]["result"]) == (202, "done", "residue")
    assert set(told["residue"]["found"]) == {"other"}
    _, _, asked = await client.send("GET", headers["Location"])
    assert asked == told
    assert "copy-of-2" not in json.dumps(told)
