"""`--help`: of every command, and of every option."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from tools.cli import main


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands(main))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    told = CliRunner().invoke(main, [*path, "--help"])
    assert (told.exit_code, ALL[path].help is not None) == (0, True)
    options = [each for each in ALL[path].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


def test_the_same_option_is_the_same_in_every_command_that_has_it() -> None:
    for name in ("data", "topology", "database_url", "blobs", "ledger", "min_free", "min_free_inodes"):
        variables = {
            option.envvar
            for path, command in ALL.items()
            if path[0] not in ("restore", "bench")  # whose --data is made, or whose --blobs are counted
            for option in command.params
            if option.name == name
        }
        assert variables == {f"BLOBSTORE_{name.upper()}"}, name
