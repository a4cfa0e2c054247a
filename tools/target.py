"""Where importers write to: a running server, or a data directory."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import click
from click.core import ParameterSource

from tools.opening import Opening
from tools.sink import Sink


@dataclass(frozen=True, slots=True)
class Target:
    """As the command line names it."""

    server: str | None
    token: str | None
    opening: Opening | None
    owner: str | None

    def open(self, connector_id: str, instance: str | None) -> AbstractAsyncContextManager[Sink]:
        """The sink of one connector's account."""
        # Each needs hundreds of modules that the other does not.
        if self.server is not None:
            from tools.http_sink import open_http_sink

            assert self.token is not None
            return open_http_sink(self.server, self.token, connector_id, instance)
        from tools.local_sink import open_local_sink

        assert self.opening is not None
        assert self.owner is not None
        return open_local_sink(self.opening, self.owner, connector_id, instance)


def named(context: click.Context, opening: Opening | None) -> Target:
    """The target that was named; what stands on the command line outdoes the environment."""
    given = {name: context.params[name] for name in ("server", "token", "data", "owner")}
    if given["server"] and given["data"]:
        spoken = [n for n in ("server", "data") if context.get_parameter_source(n) is ParameterSource.COMMANDLINE]
        if len(spoken) != 1:
            raise click.UsageError("Give --server or --data, not both.")
        given["data" if spoken == ["server"] else "server"] = None
    if given["server"] and not given["token"]:
        raise click.UsageError("--server needs --token (or BLOBSTORE_TOKEN): see `blobstore token create`.")
    if given["data"] and not given["owner"]:
        raise click.UsageError("--data needs --owner.")
    if not given["server"] and not given["data"]:
        raise click.UsageError("Say where to write to: --server URL --token T, or --data DIR --owner NAME.")
    return Target(given["server"], given["token"], opening, given["owner"])
