"""`blobstore`: the commands, one module each."""

import importlib

import click

_COMMANDS = {
    "serve": "tools.serve",
    "token": "tools.token",
    "grant": "tools.grant",
    "hydrate": "tools.hydrate",
    "gc": "tools.gc",
    "doctor": "tools.doctor",
    "explain": "tools.explain",
    "erase": "tools.erase",
    "receipt": "tools.receipt",
    "backup": "tools.backup",
    "restore": "tools.restore",
    "export": "tools.export",
    "import": "tools.importing:import_bag",
    "spine": "tools.spine",
    "usage": "tools.usage",
    "quota": "tools.quota",
    "sizing": "tools.sizing",
    "migrate": "tools.migrate:migrate_command",
    "connector": "tools.connector",
    "merge": "tools.merge",
    "oracle": "tools.oracle",
    "topology": "tools.topology:topology",
    "blobs": "tools.blobs:blobs",
    "bench": "tools.bench",
}


class _Lazy(click.Group):
    """Imports a command's module only when it is asked for: `token create` need not load the importers."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name or cmd_name)
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="blobstore-server")
def main() -> None:
    """A blob-first, content-addressed storage service for personal data."""
