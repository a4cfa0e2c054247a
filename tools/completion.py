"""`blobstore completion SHELL`: what makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    \b
    bash: blobstore completion bash > ~/.local/share/bash-completion/completions/blobstore
    zsh:  blobstore completion zsh > "${fpath[1]}/_blobstore"
    fish: blobstore completion fish > ~/.config/fish/completions/blobstore.fish
    """
    program = click.get_current_context().find_root().command
    made = get_completion_class(shell)
    assert made is not None  # click has each of the choices
    click.echo(made(program, {}, "blobstore", "_BLOBSTORE_COMPLETE").source())
