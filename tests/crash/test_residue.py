"""After a connector was erased no file of the data directory holds any of its content, and nothing else has changed."""

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from blobstore.sqlite import sqlite3
from tools.slack import sample

TEXTS, WINDOWS, WINDOW = 100, 100, 64


def blobstore(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "tools", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def files(data: Path) -> Iterator[Path]:
    return (path for path in sorted(data.rglob("*")) if path.is_file())


def found(data: Path, needles: list[bytes]) -> list[tuple[str, bytes]]:
    return [
        (str(path.relative_to(data)), needle)
        for path in files(data)
        for content in [path.read_bytes()]
        for needle in needles
        if needle in content
    ]


def samples(workspace: Path, rng: random.Random) -> tuple[list[bytes], list[bytes]]:
    """Texts of messages and windows of attachments, as they stand in the workspace."""
    with sqlite3.connect(f"file:{workspace / 'slackdump.sqlite'}?mode=ro", uri=True) as db:
        messages = [json.loads(row[0]).get("text", "") for row in db.execute("SELECT DATA FROM MESSAGE")]
    # Only what is long enough to be recognized, in the form in which JSON and SQLite would hold it.
    texts = sorted({text for text in messages if len(text) >= 24 and text.isascii() and text.isprintable()})
    chosen = [json.dumps(text)[1:-1].encode() for text in rng.sample(texts, min(TEXTS, len(texts)))]
    attachments = [path for path in sorted((workspace / "__uploads").rglob("*")) if path.is_file()]
    large = [content for path in attachments if len(content := path.read_bytes()) > 10 * WINDOW]
    windows = []
    for _ in range(WINDOWS):
        content = rng.choice(large)
        start = rng.randrange(len(content) - WINDOW)
        windows.append(content[start : start + WINDOW])
    return chosen, [window for window in windows if len(set(window)) > 8]


class Serving:
    """A server process over the data directory."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, "-m", "tools", "serve", "--data", str(data), "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[-1]

    def stop(self) -> None:
        os.kill(self._process.pid, signal.SIGTERM)
        self._process.wait(60)


@pytest.fixture
def two_servers(tmp_path: Path) -> Iterator[tuple[Path, Serving, Serving]]:
    data = tmp_path / "data"
    first = Serving(data)
    second = Serving(data)
    yield data, first, second
    first.stop()
    second.stop()


@contextmanager
def holding_a_snapshot(database: Path) -> Iterator[None]:
    """A reader that sees the rows as they are now, for as long as the block takes."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    try:
        yield
    finally:
        connection.close()


def owned(data: Path, owner: str) -> str:
    """The internal id of an owner, as the central database names it."""
    with sqlite3.connect(f"file:{data / 'central.db'}?mode=ro", uri=True) as db:
        return str(db.execute("SELECT owner FROM subjects WHERE subject = ?", (owner,)).fetchone()[0])


def contents(data: Path, url: str, token: str, owner_id: str) -> dict[str, str]:
    """Everything of an owner: each stored file by its digest, and every record as served."""
    everything = {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(data / "blobs" / owner_id)
    }
    for stream in ("channels", "users", "files", "messages"):
        cursor = ""
        while cursor is not None:
            query = urlencode({"limit": 100, **({"cursor": cursor} if cursor else {})})
            request = urllib.request.Request(
                f"{url}/v1/streams/{stream}/records?{query}", headers={"Authorization": f"Bearer {token}"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                page = json.load(answer)
            everything |= {f"{stream}/{each['id']}": json.dumps(each) for each in page["data"]}
            cursor = page.get("next_cursor")
    return everything


async def test_erasing_a_connector_leaves_no_content_in_any_file(
    tmp_path: Path, two_servers: tuple[Path, Serving, Serving], rng: random.Random
) -> None:
    data, server, _ = two_servers
    workspace = tmp_path / "workspace"
    sample.write(workspace)
    token = blobstore("token", "create", "--data", data, "--owner", "a").strip()
    blobstore("hydrate", "slack", workspace, "--server", server.url, "--token", token, "--quiet")
    texts, windows = samples(workspace, rng)
    assert found(data, texts), "what is not there before proves nothing after"
    assert found(data, windows)
    upload_without_record(server.url, token, windows[0])
    database = data / "records" / f"{owned(data, 'a')}.db"

    with holding_a_snapshot(database):
        erase: list[str | Path] = ["erase", "--data", data, "--owner", "a", "--connector", "slack", "--json"]
        erasing = asyncio.create_task(asyncio.to_thread(blobstore, *erase))
        await asyncio.sleep(3)
        assert not erasing.done(), "an erasure must wait for a reader that still sees the erased rows"
    report = json.loads(await erasing)[0]

    assert report["state"] == "done"
    assert found(data, texts + windows) == []
    rows = [row for row in json.loads(blobstore("usage", "--data", data, "--json")) if row["owner"] == "a"]
    assert [row for row in rows if row["records"] or row["blobs"]] == []


async def test_erasing_one_owners_connector_leaves_another_owners_alone(
    tmp_path: Path, two_servers: tuple[Path, Serving, Serving]
) -> None:
    data, first, second = two_servers
    sample.write(tmp_path / "workspace")
    tokens = {owner: blobstore("token", "create", "--data", data, "--owner", owner).strip() for owner in ("a", "b")}
    for server, owner in ((first, "a"), (second, "b")):
        source = tmp_path / "workspace"
        blobstore("hydrate", "slack", source, "--server", server.url, "--token", tokens[owner], "--quiet")
    before = contents(data, second.url, tokens["b"], owned(data, "b"))

    blobstore("erase", "--data", data, "--owner", "a", "--connector", "slack")

    assert before
    assert contents(data, second.url, tokens["b"], owned(data, "b")) == before
    assert not list(files(data / "blobs" / owned(data, "a")))


def upload_without_record(url: str, token: str, content: bytes) -> None:
    """A claim whose record never comes."""
    query = urlencode({"connector_id": "slack", "stream": "files", "record_key": "never", "mime_type": "text/plain"})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{url}/v1/blobs?{query}", data=content, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
