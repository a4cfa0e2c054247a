"""The configuration file of a data directory, `blobstore.toml`: reading it, and writing down what is decided."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from blobstore.backends.where import Where
from blobstore.durable import write_durably
from blobstore.locked import file_lock
from records.erasure.ledger import NAME
from records.layout import CONFIGURATION, Topology
from tools import database
from tools.where import KEYS, Reached


def configured(path: Path) -> dict[str, Any]:
    """What stands in a configuration file; nothing where there is none. Raises `click.ClickException`."""
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} is not TOML: {error}") from error
    for name in ("topology", "blobs", "ledger", "database_url", "secret_file", *KEYS):
        if not isinstance(found.get(name, ""), str):
            raise click.ClickException(f"{path}: {name} must be a text, in quotes")
    if database.has_password(found.get("database_url", "")):
        raise click.ClickException(f"{path}: database_url must have no password, for {database.ELSEWHERE}")
    return found


def require_known_keys(data: Path, command: click.Command) -> None:
    """Refuse a configuration in which something is no option of the command: a limit that is misspelt limits nothing.

    Raises `click.ClickException`.
    """
    path = data / CONFIGURATION
    names = [option.name for option in command.params if option.name is not None and option.name != "data"]
    for key in configured(path).keys() - names:
        close = difflib.get_close_matches(key.replace("-", "_"), names, 1)
        meant = f"; do you mean `{close[0]}`?" if close else ""
        raise click.ClickException(f"{path}: `{key}` is no option of `blobstore {command.name}`{meant}")


def add(path: Path, name: str, value: str) -> None:
    """Write down what is not there yet."""
    text = path.read_text() if path.exists() else ""
    write_durably(path, (text + f"{name} = {json.dumps(value)}\n").encode())  # a JSON string is a TOML string


def fix_ledger(data: Path, path: Path, known: str | None, wanted: Path) -> None:
    """All programs must write to one ledger: the first that is told where it is writes that down."""
    if known is not None and Path(known) != wanted.absolute():
        raise click.ClickException(f"the erasure ledger is {known}; to move it, move the file and edit {path}")
    if known is None and (data / NAME).exists():
        raise click.ClickException(f"move {data / NAME} to {wanted} and add `ledger = {str(wanted)!r}` to {path}")
    if known is None:
        add(path, "ledger", str(wanted.absolute()))


def readdress(data: Path, database_url: str | None) -> None:
    """Write down where the database of a directory is now; None: it has none, though it was to move into one."""
    if "database_url" in configured(data / CONFIGURATION):
        _replace(data / CONFIGURATION, {"database_url": database_url and database.without_password(database_url)})


def own_secret(data: Path) -> None:
    """Write down that the directory has its secret itself."""
    if "secret_file" in configured(data / CONFIGURATION):
        _replace(data / CONFIGURATION, {"secret_file": None})


def fix_topology(data: Path, topology: Topology, database_url: str | None = None) -> None:
    """Write down that all records have come to another topology, and where the database is, if there is one."""
    address = database_url and database.without_password(database_url)
    with file_lock(data / "blobstore.lock"):
        _replace(data / CONFIGURATION, {"topology": str(topology), "database_url": address})


def fix_blobs(data: Path, where: Where) -> None:
    """Write down that new bytes go to another place, and how it is reached."""
    reached = Reached.of(where).written()
    with file_lock(data / "blobstore.lock"):
        _replace(data / CONFIGURATION, {"blobs": where.location, **{name: reached.get(name) for name in KEYS}})


def _replace(path: Path, values: Mapping[str, str | None]) -> None:
    """Give these keys other values in one step (none: take it out); all else stays as it stands, comments too."""
    key = re.compile(rf"\s*['\"]?({'|'.join(values)})['\"]?\s*=")
    lines = [line for line in path.read_text().splitlines() if not key.match(line)]
    lines += [f"{name} = {json.dumps(value)}" for name, value in values.items() if value]
    write_durably(path, "".join(line + "\n" for line in lines).encode())
