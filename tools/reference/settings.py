"""docs/reference/settings.md: what may be set by a variable or in `blobstore.toml`."""

from collections.abc import Iterator, Sequence

from tools.reference.described import Option, commands, store_options
from tools.reference.tables import table

_HEAD = """\
# Settings

Made from the program by `python -m tools.reference`; not to be edited. `--option`, the environment's
`BLOBSTORE_OPTION` and the key `option` in `DIR/blobstore.toml` mean the same, in that order of precedence. What each is
for: [operations](../operations.md).

In `blobstore.toml` flags are `true` or `false`, numbers are numbers, all else is text in quotes; what may be repeated
is a list. Topology and blobs are written there by the first command and are no settings from then on: they
[move](../operations.md#move-records-to-another-topology).
"""

_OTHERS = """\
## What libraries read

| variable | is |
| --- | --- |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | keys of the store of S3 |
| `AWS_PROFILE` | or where boto3 finds them |
| `PGPASSWORD`, `PGPASSFILE` | the password of the database, or the file that has it |
| `NO_COLOR` | no colours in what commands print |
"""


def render() -> str:
    """The page."""
    shared = store_options()
    lines = [_HEAD, "## Every command with `--data`", "", *_table(shared)]
    told = {option.name for option in shared}
    for command in commands():
        own = [each for each in command.options if each.variable and each.name not in told]
        if own and command.words[0] != "bench":
            lines += [f"## {command.name}", "", *_table(own)]
    lines += [_OTHERS]
    return "\n".join(lines).rstrip() + "\n"


def _table(options: Sequence[Option]) -> Iterator[str]:
    yield from table(("key", "variable", "takes", "default", "is"), [_row(each) for each in options])


def _row(option: Option) -> tuple[str, str, str, str, str]:
    takes = f"`{option.takes}`" if option.takes else "flag"
    key = "" if option.name == "data" else f"`{option.name}`"  # the file is in the directory
    return key, f"`{option.variable}`", takes, option.default, option.help
