"""tools/man/blobstore.1: the man page, which a wheel brings along."""

from collections.abc import Iterator

from tools.reference.described import Command, Option, commands, store_options

_HEAD = """\
.\\" Made from the program by `python -m tools.reference`; not to be edited.
.TH BLOBSTORE 1
.nh
.ad l
.SH NAME
blobstore \\- a blob-first, content-addressed storage service for personal data
.SH SYNOPSIS
.B blobstore
.I COMMAND
.RI [ OPTIONS ]
.SH DESCRIPTION
Keeps records in SQLite or PostgreSQL and attachments beside them, in files or in S3, named by their BLAKE3 digest.
.PP
An option with a variable may be given by it, and those of commands with \\fB\\-\\-data\\fR by a key in
\\fIDIR/blobstore.toml\\fR, in that order of precedence.
.SH COMMANDS
"""
_EXIT = """\
.SH EXIT STATUS
0: it is done and all is well. 1: it is not, and the message says why. 2: the command was not understood. Where there
are more, the command says so.
"""


def render() -> str:
    """The page, in roff."""
    lines = [_HEAD.rstrip()]
    for command in commands():
        lines += _command(command)
    lines += [".SH OPTIONS OF THE STORE", "Commands that take \\fB\\-\\-data\\fR take all of these."]
    for option in store_options():
        lines += _option(option)
    return "\n".join([*lines, _EXIT])


def _command(command: Command) -> Iterator[str]:
    yield f".SS {_plain(command.usage)}"
    for number, paragraph in enumerate(command.help.replace("\b\n", "").split("\n\n")):
        if number:
            yield ".PP"
        yield _plain(" ".join(paragraph.split()))
    for option in command.options:
        yield from _option(option)
    if command.of_store:
        yield ".PP"
        yield "And the options of the store, below."


def _option(option: Option) -> Iterator[str]:
    takes = f" \\fI{_plain(option.takes)}\\fR" if option.takes else ""
    yield ".TP"
    yield ", ".join(f"\\fB{_plain(name)}\\fR{takes}" for name in option.names)
    marks = [
        *(["needed"] if option.required else []),
        *(["repeatable"] if option.repeatable else []),
        *([f"default: {option.default}"] if option.default else []),
        *([option.variable] if option.variable else []),
    ]
    yield _plain(option.help + (f" [{'; '.join(marks)}]" if marks else ""))


def _plain(text: str) -> str:
    """Text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text
