"""Commands as values: what a page says of them, whatever it looks like."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from tools.cli import main
from tools.opening import store_options_if_any


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `takes` is what stands behind it ("" for a flag), `default` "" where there is none to tell."""

    name: str
    names: Sequence[str]
    takes: str
    required: bool
    repeatable: bool
    default: str
    variable: str
    help: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `words` call it, after `blobstore`; `of_store` says that it takes `--data` and the like."""

    words: Sequence[str]
    help: str
    usage: str
    options: Sequence[Option]
    of_store: bool

    @property
    def name(self) -> str:
        """As it is called."""
        return " ".join(("blobstore", *self.words))


def commands() -> list[Command]:
    """All commands, in the order of `blobstore --help`."""
    with click.Context(main, info_name="blobstore") as context:
        return [_described(each, words, command) for each, words, command in _walk(main, context, ())]


def store_options() -> list[Option]:
    """What every command with `--data` takes."""
    plain = store_options_if_any(lambda: None)
    return _options(click.Context(click.command()(plain)))


def _walk(
    group: click.Group, context: click.Context, words: tuple[str, ...]
) -> Iterator[tuple[click.Context, tuple[str, ...], click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inside = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _walk(command, inside, (*words, name))
            if not command.invoke_without_command:
                continue
        yield inside, (*words, name), command


def _described(context: click.Context, words: Sequence[str], command: click.Command) -> Command:
    own, shared = _options(context), store_options()
    of_store = {each.name for each in shared} <= {each.name for each in own}
    if of_store:  # even where one differs in a word, it is told once
        own = [each for each in own if each.name not in {other.name for other in shared}]
    usage = " ".join(("blobstore", *words, *command.collect_usage_pieces(context)))
    return Command(words, inspect.cleandoc(command.help or ""), usage, own, of_store)


def _options(context: click.Context) -> list[Option]:
    options = [each for each in context.command.params if isinstance(each, click.Option) and not each.hidden]
    return [_option(context, each) for each in options]


def _option(context: click.Context, of: click.Option) -> Option:
    assert of.name is not None
    variable = of.envvar or ""
    return Option(
        name=of.name,
        names=(*of.opts, *of.secondary_opts),
        takes="" if of.is_flag else of.make_metavar(context),
        required=of.required,
        repeatable=of.multiple,
        default=of.get_help_extra(context).get("default", ""),
        variable=variable if isinstance(variable, str) else variable[0],
        help=of.help or "",
    )
