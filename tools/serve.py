"""`blobstore serve`: the server."""

import asyncio
import errno
import sys
from functools import partial

import click

from blobstore.errors import BlobError
from records.errors import RecordError
from records.times import duration
from server import logs
from server.config import Config
from server.inherited import Inherited
from server.run import serve as run_server
from server.supervisor import NoWorkersError, Supervisor
from server.telemetry import NoTelemetryError
from server.worker import this_program
from tools.authorization import Authorization, authorization_options, secret_option
from tools.configuration import require_known_keys
from tools.directory import tell_if_new
from tools.opening import Opening, configure, store_options
from tools.sizes import Finite


@click.command()
@store_options
@authorization_options
@click.option(
    "--host", default="127.0.0.1", show_default=True, envvar="BLOBSTORE_HOST", help="The address to listen at."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    envvar="BLOBSTORE_PORT",
    help="0 takes a free port.",
)
@click.option(
    "--max-uploads",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    envvar="BLOBSTORE_MAX_UPLOADS",
    help="Bodies of blobs that are received at once.",
)
@click.option(
    "--upload-expiry",
    default="1d",
    show_default=True,
    envvar="BLOBSTORE_UPLOAD_EXPIRY",
    help="How long a resumable upload waits for its next part: 12h, 7d …",
)
@click.option(
    "--max-ingests",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    envvar="BLOBSTORE_MAX_INGESTS",
    help="Bodies of records that are received at once.",
)
@click.option(
    "--drain",
    type=Finite(0),
    default=30.0,
    show_default=True,
    envvar="BLOBSTORE_DRAIN",
    help="Seconds to finish requests.",
)
@click.option(
    "--sendfile",
    type=click.Choice(["nginx"]),
    envvar="BLOBSTORE_SENDFILE",
    help="The proxy in front reads blobs that are files by itself (deploy/nginx).",
)
@click.option(
    "--redirect-downloads",
    is_flag=False,
    flag_value="60",
    type=click.IntRange(60, 3600),
    metavar="[SECONDS]",
    envvar="BLOBSTORE_REDIRECT_DOWNLOADS",
    help="Send clients to S3 for large downloads, with an address that is good for 60 seconds, or so many.",
)
@click.option(
    "--drain-delay",
    type=Finite(0),
    default=0.0,
    show_default=True,
    envvar="BLOBSTORE_DRAIN_DELAY",
    help="Seconds before that in which it serves on but is not ready, for load balancers to notice.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    envvar="BLOBSTORE_WORKERS",
    help="Processes that serve; limits are of each.",
)
@secret_option("--metrics-token", "Who reads /metrics must have it; without, only programs on this machine may.")
@click.option(
    "--log-requests", is_flag=True, envvar="BLOBSTORE_LOG_REQUESTS", help="Write a line of the log for each request."
)
@click.option(
    "--otlp-endpoint",
    metavar="URL",
    envvar="BLOBSTORE_OTLP_ENDPOINT",
    help="Send traces to this OpenTelemetry collector (http://HOST:4318); needs the extra `otel`.",
)
@click.option("--public-url", envvar="BLOBSTORE_PUBLIC_URL", help="The address that clients use, behind a proxy.")
@click.option(
    "--history",
    default="90d",
    show_default=True,
    envvar="BLOBSTORE_HISTORY",
    help="How long change tokens are good: 12h, 90d …",
)
@click.option(
    "--validate-records",
    is_flag=True,
    envvar="BLOBSTORE_VALIDATE_RECORDS",
    help="Reject records that the schema of their stream does not allow.",
)
def serve(
    opening: Opening,
    host: str,
    port: int,
    max_uploads: int,
    upload_expiry: str,
    max_ingests: int,
    drain: float,
    sendfile: str | None,
    redirect_downloads: int | None,
    drain_delay: float,
    workers: int,
    metrics_token: str | None,
    log_requests: bool,
    otlp_endpoint: str | None,
    public_url: str | None,
    history: str,
    validate_records: bool,
    authorization: Authorization,
) -> None:
    """Serve DIR until SIGTERM or Ctrl-C; made on first start. Prints its URL when it is ready."""
    require_known_keys(opening.data, click.get_current_context().command)
    remembered, expiry = _seconds(history, "--history"), _seconds(upload_expiry, "--upload-expiry")
    config = Config(
        host=host,
        port=port,
        drain=drain,
        drain_delay=drain_delay,
        floor=opening.floor,
        topology=opening.topology_there,
        database_url=opening.database_url,
        where=opening.where_there,
        secret_file=opening.secret_file,
        max_uploads=max_uploads,
        max_ingests=max_ingests,
        upload_expiry=expiry,
        sendfile=sendfile is not None,
        redirect_seconds=redirect_downloads,
        public_url=public_url,
        metrics_token=metrics_token,
        log_requests=log_requests,
        otlp_endpoint=otlp_endpoint,
        history=remembered,
        ledger=opening.ledger,
        validate_records=validate_records,
        introspect=authorization.introspect,
        authorization_servers=authorization.authorization_servers,
        introspect_clients=authorization.introspect_clients,
    )
    try:
        inherited = Inherited.take()
        if inherited is None:
            tell_if_new(opening.data)
        if inherited is None and workers > 1:
            _supervise(workers, config)
            return
        configure(opening, opened=False)
        asyncio.run(run_server(opening.data, config, partial(_ready, opening, inherited), inherited))
    except (BlobError, RecordError, NoTelemetryError, OSError, UnicodeError) as error:  # nobody's bug
        raise click.ClickException(_why(error, config)) from error


def _why(error: Exception, config: Config) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return (
            f"{config.host}:{config.port} is already in use: choose another by --port, or 0 for any port that is free"
        )
    return str(error)


def _seconds(text: str, option: str) -> float:
    try:
        return duration(text).total_seconds()
    except ValueError as error:
        raise click.BadParameter("a number and one of s, m, h, d, w", param_hint=option) from error


def _supervise(workers: int, config: Config) -> None:
    """Workers are this very command, and read its options anew."""
    logs.configure()
    supervisor = Supervisor(this_program(sys.argv[1:]), workers, config)
    try:
        in_order = asyncio.run(supervisor.run(lambda url: click.echo(f"serving on {url}")))
    except NoWorkersError as error:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(error.code) from None
    if not in_order:
        raise click.exceptions.Exit(1)


def _ready(opening: Opening, inherited: Inherited | None, url: str) -> None:
    configure(opening)
    if inherited is None:
        click.echo(f"serving on {url}")
    else:
        inherited.say_ready()
