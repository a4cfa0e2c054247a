"""curl as a client of ours: uploads of files and downloads to nowhere."""

import os
import subprocess
from pathlib import Path

import msgspec

from tools.bench.ours import upload_path
from tools.running import Server


def _curl(server: Server, *arguments: str) -> list[str]:
    return ["curl", "--silent", "--show-error", "--fail", "-H", f"Authorization: Bearer {server.token}", *arguments]


def sent(server: Server, path: Path, key: str) -> str:
    """Upload a file by curl; the id of its blob."""
    command = _curl(server, "-X", "POST", "-T", str(path), server.url + upload_path(key))
    answer = msgspec.json.decode(subprocess.run(command, check=True, capture_output=True).stdout)
    return str(answer["blob_id"])


def taken(server: Server, blob_id: str) -> None:
    """Download a blob by curl, to nowhere."""
    subprocess.run(_curl(server, "-o", os.devnull, f"{server.url}/v1/blobs/{blob_id}"), check=True)
