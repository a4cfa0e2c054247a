"""The option `--database-url`: what it may say, and what of it is written down.

No password is ever written to `blobstore.toml`, which is copied into every backup, nor taken from a command line, which
everybody on the machine can read. libpq's ways remain: PGPASSWORD, `~/.pgpass`, a Unix socket; or the environment.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import click
from click.core import ParameterSource

from records.layout import Topology

ELSEWHERE = "it is no secret there: PGPASSWORD, ~/.pgpass or BLOBSTORE_DATABASE_URL has it"


def read_option(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The option as it was given. Raises `click.BadParameter` for what is no address, or shows a password."""
    if value is None:
        return None
    if urlsplit(value).scheme not in ("postgres", "postgresql"):
        raise click.BadParameter("it begins with postgresql://")
    source = context.get_parameter_source(parameter.name or "")
    if source is ParameterSource.COMMANDLINE and has_password(value):
        raise click.BadParameter(f"a password must not stand here, for {ELSEWHERE}")
    return value


def has_password(url: str) -> bool:
    """Whether a password stands in the address."""
    found = urlsplit(url)
    return found.password is not None or any(name == "password" for name, _ in parse_qsl(found.query))


def without_password(url: str | None) -> str:
    """The address as it may be written down; '' for none."""
    found = urlsplit(url or "")
    user, at, place = found.netloc.rpartition("@")
    query = [(name, value) for name, value in parse_qsl(found.query, keep_blank_values=True) if name != "password"]
    # By hand: urlunsplit leaves out the slashes before the empty host of a Unix socket's address.
    address = f"{found.scheme}://{user.partition(':')[0]}{at}{place}{found.path}" if found.scheme else ""
    return f"{address}?{urlencode(query, safe='/')}" if query else address


def require_told(url: str | None, topology: str | None, known: Mapping[str, Any]) -> None:
    """Raise `click.ClickException` where the topology `postgres` has no address, or a new directory has only that."""
    chosen = known.get("topology", topology)
    if chosen == Topology.POSTGRES and url is None and "database_url" not in known:
        raise click.ClickException("the topology postgres needs --database-url: where its database is")
    if chosen is None and url is not None:
        raise click.ClickException("--database-url is for --topology postgres, which must be told, too")
