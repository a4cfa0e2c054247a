"""Thousands of requests made from our OpenAPI document, good, bad and in a row: every answer is one that it allows.

schemathesis runs as a program of its own, against our own server; schemathesis.toml and hooks.py say how it asks.
"""

import asyncio
import random
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import pytest

from tests.conformance.http import api, library
from tests.conformance.http.api import Api, Connector, note
from tests.conformance.http.own_server import Target, serving
from tests.conftest import SEED, SOAK

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROOT = CONFIG.parents[2]
_CASES = re.compile(r"^ *(\d[\d,]*) generated", re.MULTILINE)


CALLERS = ["owner", "client"]
SIZES = {"coverage,fuzzing": (1000, 10_000), "stateful": (20, 500)}
"""Requests of the sample and of a full run."""

EVERY_ONE = [(caller, phases) for caller in CALLERS for phases in SIZES]
ONE_EACH = list(zip(CALLERS if SEED % 2 else reversed(CALLERS), SIZES, strict=True))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("caller", "phases"), EVERY_ONE if SOAK else ONE_EACH)
def test_no_request_gets_an_answer_that_the_document_does_not_allow(
    caller: str, phases: str, tmp_path: Path, sized: Callable[[int, int], int]
) -> None:
    print(f"BLOBSTORE_SEED={SEED}")
    with serving(tmp_path) as target:
        client = asyncio.run(filled(target))
        token = target.token if caller == "owner" else client
        asked_of = [] if phases == "stateful" or SOAK else asyncio.run(half_of_all(target))
        requests, seed = 0, SEED
        while requests < sized(*SIZES[phases]):  # how many a run makes depends on its seed
            ran = asked(target.base_url, token, phases, sized(5, 360), seed, asked_of)
            print(ran.stdout)
            assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-5_000:]
            found = _CASES.search(ran.stdout)
            assert found is not None, "the summary has no number of test cases"
            requests, seed = requests + int(found[1].replace(",", "")), seed + 1


async def half_of_all(target: Target) -> list[str]:
    """Half of the operations, as the seed says."""
    async with aiohttp.ClientSession() as session, session.get(f"{target.base_url}/openapi.json") as answer:
        paths = (await answer.json())["paths"].values()
    ids = sorted({each["operationId"] for path in paths for each in path.values() if "operationId" in each})
    return random.Random(SEED).sample(ids, len(ids) // 2)


def asked(
    base_url: str, token: str, phases: str, examples: int, seed: int, operations: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with so many examples an operation and phase; of all operations unless some are named."""
    program = ("-c", "from schemathesis.cli import schemathesis; schemathesis()", "--config-file", str(CONFIG), "run")
    how = f"--phases={phases} --checks=all --max-examples={examples} --seed={seed} --no-color --warnings=off".split()
    how += [f"--include-operation-id={each}" for each in operations]
    command = (sys.executable, *program, f"{base_url}/openapi.json", "-H", f"Authorization: Bearer {token}", *how)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


async def filled(target: Target) -> str:
    """The names that the configuration knows; gives a client's token for some of them."""
    async with aiohttp.ClientSession() as session:
        owner = Api(session, target.base_url, target.token)
        books = await library.filled(owner, "library")
        place = {"connector_id": books.id, "stream": "books", "record_key": "ada", "mime_type": "image/png"}
        stored = (await owner.call("POST", "/v1/blobs", place, body=b"a cover")).json
        await books.put("books", library.book("fay", cover={"blob_ref": {"blob_id": stored["blob_id"]}}))
        twins = Connector(owner, "twins")
        assert (
            await owner.call("POST", "/v1/connectors", body={"connector_id": "twins", **api.MANIFEST})
        ).status == 201
        for instance in ("home", "work"):
            await twins.put("notes", note("ada", text=instance), connector_instance_id=instance)
            pair = {"key": ["l", "r"], "emitted_at": library.T, "data": {"left": "l", "right": "r"}}
            await twins.put("pairs", pair, connector_instance_id=instance)
        doomed = Connector(owner, "doomed")
        both = {"streams": [*api.MANIFEST["streams"], *library.MANIFEST["streams"]]}
        await owner.call("POST", "/v1/connectors", body={"connector_id": doomed.id, **both})
        await doomed.put("notes", note("ada"), connector_instance_id="far")
        grant = {
            "client_id": "an-app",
            "connector_id": "library",
            "streams": [{"name": "books", "fields": ["title", "cover"]}, {"name": "shelves"}],
        }
        made = await owner.call("POST", "/v1/owner/grants", body=grant)
        assert made.status == 201, made.body
        token: str = made.json["token"]
        return token
