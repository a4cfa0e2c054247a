"""`blobstore hydrate`: brings data that people already have into a store."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from tools.opening import Opening, store_options_if_any
from tools.sink import SinkError
from tools.sizes import SIZE
from tools.slack.hosts import Hosts
from tools.slack.hydrate import Options
from tools.slack.hydrate import hydrate as hydrate_slack
from tools.slack.manifest import CONNECTOR_ID
from tools.slack.progress import Progress, shown
from tools.slack.report import Report
from tools.slack.source import SourceError
from tools.target import Target, named


@click.group()
def hydrate() -> None:
    """Bring data that you already have into a store."""


@hydrate.command("slack")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--server", metavar="URL", envvar="BLOBSTORE_SERVER", help="A running server's address.")
@click.option("--token", metavar="T", envvar="BLOBSTORE_TOKEN", help="An owner token of that server.")
@store_options_if_any
@click.option("--owner", metavar="NAME", envvar="BLOBSTORE_OWNER", help="Whose data it becomes, with --data.")
@click.option(
    "--connector",
    metavar="ID",
    envvar="BLOBSTORE_CONNECTOR",
    default=CONNECTOR_ID,
    show_default=True,
    help="Connector.",
)
@click.option("--instance", metavar="ID", envvar="BLOBSTORE_INSTANCE", help="One account of the connector.")
@click.option(
    "--slack-token",
    metavar="T",
    envvar="BLOBSTORE_SLACK_TOKEN",
    help="Downloads what the source lacks. Goes to Slack's hosts only. Better given in the environment.",
)
@click.option(
    "--slack-host",
    metavar="HOST[:PORT]",
    multiple=True,
    envvar="BLOBSTORE_SLACK_HOST",
    help="Treat this host as one of Slack's, also over http and at a private address; may be given again.",
)
@click.option("--no-download", is_flag=True, envvar="BLOBSTORE_NO_DOWNLOAD", help="Take what the source holds only.")
@click.option("--max-file-size", type=SIZE, envvar="BLOBSTORE_MAX_FILE_SIZE", help="Download no larger file.")
@click.option("--keep-deleted", is_flag=True, envvar="BLOBSTORE_KEEP_DELETED", help="Store files deleted in Slack too.")
@click.option("--full", is_flag=True, help="Send everything again, whatever earlier runs have sent.")
@click.option("--uploads", type=click.IntRange(1, 64), default=16, show_default=True, help="Uploads at once.")
@click.option("--downloads", type=click.IntRange(1, 16), default=2, show_default=True, help="Downloads at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as an array of objects.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.pass_context
def slack(context: click.Context, /, opening: Opening | None, **given: Any) -> None:
    """Bring a Slack export or slackdump archive into a store, with its attachments.

    SOURCE is a directory or a zip file and is only read. It goes to a running --server, or, written without one, into
    the data directory --data, which is made if need be. Running again sends only what is new; after an interruption
    it goes on. Exit code 0: every file is stored or cannot be had; 1: running again may store more; 130: interrupted.
    """
    target = named(context, opening)
    options = Options(
        connector_id=given["connector"],
        slack_token=given["slack_token"] or None,
        slack_hosts=Hosts.allowing(given["slack_host"]),
        download=not given["no_download"],
        max_size=given["max_file_size"],
        keep_deleted=given["keep_deleted"],
        full=given["full"],
        uploads=given["uploads"],
        downloads=given["downloads"],
    )
    try:
        report = asyncio.run(_run(given["source"], target, given["instance"], options, quiet=given["quiet"]))
    except (SourceError, SinkError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on where it was.", err=True)
        context.exit(130)
    _print(report, as_json=given["as_json"])
    context.exit(report.exit_code)


async def _run(source: Path, target: Target, instance: str | None, options: Options, *, quiet: bool) -> Report:
    progress = Progress()
    async with target.open(options.connector_id, instance) as sink, shown(progress, Console(stderr=True), quiet=quiet):
        return await hydrate_slack(source, sink, options, progress)


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report.as_json()), indent=2).decode() + "\n")
    else:
        report.print(Console())
