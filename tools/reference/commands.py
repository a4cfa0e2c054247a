"""docs/reference/commands.md: every command with its options."""

from collections.abc import Iterator, Sequence

from tools.reference.described import Command, Option, commands, store_options
from tools.reference.tables import table

_HEAD = """\
# Commands

Made from the program by `python -m tools.reference`; not to be edited. What they are for:
[operations](../operations.md); the same on a terminal: `blobstore COMMAND --help`, `man blobstore`.

Each option with a variable may be given by it, and those of commands with `--data` by a key in `DIR/blobstore.toml`:
[settings](settings.md). `blobstore completion SHELL` completes them.

## Options of the store

Commands that take `--data` take all of these; `blobstore.toml` has them after the first command, so `--data` is enough.
"""


def render() -> str:
    """The page."""
    every = commands()
    lines = [_HEAD, *_table(store_options())]
    for command in every:
        lines += [f"## {command.name}", "", *_told(command)]
    return "\n".join(lines).rstrip() + "\n"


def _told(command: Command) -> Iterator[str]:
    yield f"`{command.usage}`"
    yield ""
    yield command.help.replace("\b\n", "")
    yield ""
    yield from _table(command.options)
    if command.of_store:
        yield "And the [options of the store](#options-of-the-store)."
        yield ""


def _table(options: Sequence[Option]) -> Iterator[str]:
    yield from table(("option", "is", "default", "variable"), [_row(each) for each in options])


def _row(option: Option) -> tuple[str, str, str, str]:
    names = " or ".join(f"`{each}{' ' + option.takes if option.takes else ''}`" for each in option.names)
    marks = [word for word, there in (("needed", option.required), ("repeatable", option.repeatable)) if there]
    mark = f" ({', '.join(marks)})" if marks else ""
    return f"{names}{mark}", option.help, option.default, option.variable and f"`{option.variable}`"
