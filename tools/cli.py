"""`blobstore`: the commands, one module each."""

import click

from tools.lazy import lazy

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
    "import-reference": "tools.import_reference:import_reference",
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
    "bench": "tools.bench.command",
    "completion": "tools.completion",
}


@click.command(cls=lazy(_COMMANDS), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="blobstore-server")
def main() -> None:
    """A blob-first, content-addressed storage service for personal data."""
