"""An array of objects for programs, printed as it grows: however long it is, it is never whole in memory."""

import json
from collections.abc import Mapping
from typing import Any

import click


class JsonArray:
    """Prints to stdout. `close` ends the array, also one without objects."""

    def __init__(self) -> None:
        self._any = False

    def add(self, members: Mapping[str, Any]) -> None:
        """Print one more object."""
        click.echo((",\n" if self._any else "[\n") + json.dumps(members, ensure_ascii=False), nl=False)
        self._any = True

    def close(self) -> None:
        """Print the end."""
        click.echo("\n]" if self._any else "[]")
