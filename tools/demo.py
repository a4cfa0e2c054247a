"""`make demo`: the whole way of an attachment, from a Slack workspace into the store and back, in one command."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import click
from rich.console import Console

from blobstore.client import connect
from blobstore.digest import Hasher
from tools.running import Server, blobstore, serving
from tools.slack import sample


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
        asyncio.run(_prove(server, console))
        if not and_exit:
            _go_on(server, data, console)


def _run(*arguments: str) -> None:
    if code := subprocess.run(blobstore(*arguments), check=False).returncode:
        raise click.ClickException(f"`blobstore {arguments[0]}` ended with exit code {code}")


async def _prove(server: Server, console: Console) -> None:
    """Download the largest attachment and compare both digests with what its record says."""
    async with connect(server.url, server.token) as client:
        refs = [ref async for each in client.records("files") if (ref := each.data.get("blob_ref"))]
        ref = max(refs, key=lambda each: int(each["size_bytes"]))
        found = Hasher()
        async with client.open(ref["blob_id"]) as blob:
            async for piece in blob:
                found.update(piece)
    content = found.finish()
    proven = (ref["sha256"], ref["blob_id"]) == (content.sha256.hex(), str(content.digest))
    console.print(f"GET {ref['fetch_url']}\n{ref['size_bytes']:,} bytes, {ref['mime_type']}", soft_wrap=True)
    console.print(f"BLAKE3  {content.digest.hex}\nSHA-256 {content.sha256.hex()}", soft_wrap=True)
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
