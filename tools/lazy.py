"""Groups of commands whose modules are imported only when one of them is asked for."""

import importlib
from collections.abc import Mapping

import click


def lazy(commands: Mapping[str, str]) -> type[click.Group]:
    """A group of these: by name, the module, and after a colon what it is called there if that is another name."""

    class Lazy(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(commands)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in commands:
                return None
            module, _, name = commands[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), name or cmd_name)
            return command

    return Lazy
