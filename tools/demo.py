"""`make demo`: the whole way of an attachment, from a Slack workspace into the store and back, in one command."""

import hashlib
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import click
import msgspec
from blake3 import blake3
from rich.console import Console

from tools.running import Server, blobstore, serving
from tools.slack import sample

PIECE = 1 << 20


@click.command()
@click.option("--exit", "and_exit", is_flag=True, help="End after the proof instead of leaving the server running.")
@click.option("--directory", default=Path(".demo"), type=click.Path(path_type=Path, file_okay=False))
def demo(and_exit: bool, directory: Path) -> None:
    """Make a workspace, serve, hydrate, show what is held, download one attachment and prove it."""
    console = Console()
    shutil.rmtree(directory, ignore_errors=True)
    workspace, data = directory / "workspace", directory / "data"
    directory.mkdir(parents=True)
    console.rule("A small Slack workspace, with attachments")
    truth = sample.write(workspace)
    console.print(f"{len(truth)} file ids in {workspace}")
    with serving(data, owner="demo") as server:
        console.rule(f"Hydrating it over HTTP into {server.url}")
        _run("hydrate", "slack", str(workspace), "--server", server.url, "--token", server.token)
        console.rule("What is held")
        _run("usage", "--data", str(data))
        console.rule("One attachment, downloaded and proven")
        _prove(server, console)
        if not and_exit:
            _go_on(server, data, console)


def _run(*arguments: str) -> None:
    if code := subprocess.run(blobstore(*arguments), check=False).returncode:
        raise click.ClickException(f"`blobstore {arguments[0]}` ended with exit code {code}")


def _prove(server: Server, console: Console) -> None:
    """Download the largest attachment and compare both digests with what its record says."""
    records = msgspec.json.decode(server.get("/v1/streams/files/records?limit=100"))["data"]
    refs = [record["data"]["blob_ref"] for record in records if record["data"].get("blob_ref")]
    ref = max(refs, key=lambda each: each["size_bytes"])
    request = urllib.request.Request(server.url + ref["fetch_url"], headers=server.headers)
    sha256, b3 = hashlib.sha256(), blake3()
    with urllib.request.urlopen(request, timeout=60) as answer:
        while piece := answer.read(PIECE):
            sha256.update(piece)
            b3.update(piece)
    proven = (ref["sha256"], ref["blob_id"]) == (sha256.hexdigest(), "blob_b3_" + b3.hexdigest())
    console.print(f"GET {ref['fetch_url']}\n{ref['size_bytes']:,} bytes, {ref['mime_type']}", soft_wrap=True)
    console.print(f"BLAKE3  {b3.hexdigest()}\nSHA-256 {sha256.hexdigest()}", soft_wrap=True)
    if not proven:
        raise click.ClickException("the bytes are not what the record says")
    console.print("[green]proven: the bytes are what the record says[/]")


def _go_on(server: Server, data: Path, console: Console) -> None:
    console.rule("Go on")
    console.print(
        f"console  {server.url}/console\n"
        f"token    {server.token}\n\n"
        "Sign in with the token: play the film among the attachments, erase the source, keep the receipt.\n"
        "Or by hand:\n\n"
        f"curl -H 'Authorization: Bearer {server.token}' '{server.url}/v1/streams/files/records?limit=2'\n"
        f".venv/bin/blobstore doctor --data {data} --deep\n"
        f".venv/bin/blobstore erase --data {data} --owner demo --connector slack\n\n"
        "The server runs until Ctrl-C.",
        soft_wrap=True,
        highlight=False,
    )
    try:
        server.wait()
    except KeyboardInterrupt:
        console.print("stopping")


if __name__ == "__main__":
    sys.exit(demo())
