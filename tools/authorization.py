"""Who says what tokens stand for: the options of `serve` about an authorization server, and about other servers."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from records.consent.introspection import Expected
from server.config import Introspect

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Authorization:
    """As `server.config.Config` has them."""

    introspect: Introspect | None
    authorization_servers: tuple[str, ...]
    introspect_clients: dict[str, str] = field(repr=False)


def authorization_options(command: F) -> F:
    """Give a command the options; it receives them as `authorization`. To stand after `store_options`."""

    @functools.wraps(command)
    def gathered(
        *args: Any,
        introspection_url: str | None,
        introspection_client_id: str | None,
        introspection_client_secret: str | None,
        introspection_audience: str | None,
        authorization_server: Sequence[str],
        introspect_clients: Sequence[str],
        **options: Any,
    ) -> object:
        introspect = None
        if introspection_url is not None:
            if not introspection_client_id or not introspection_client_secret:
                raise click.UsageError(
                    "--introspection-url needs introspection_client_id and introspection_client_secret"
                )
            introspect = Introspect(
                introspection_url,
                introspection_client_id,
                introspection_client_secret,
                Expected(tuple(authorization_server), introspection_audience),
            )
        clients = dict(_credentials(each) for each in introspect_clients)
        return command(*args, authorization=Authorization(introspect, tuple(authorization_server), clients), **options)

    for option in (
        secret_option("--introspect-clients", "ID:SECRET of resource servers that may ask /introspect.", multiple=True),
        click.option(
            "--authorization-server",
            envvar="BLOBSTORE_AUTHORIZATION_SERVER",
            multiple=True,
            help="Issuer that clients are sent to, and that answers must be from (repeatable).",
        ),
        click.option(
            "--introspection-audience",
            envvar="BLOBSTORE_INTROSPECTION_AUDIENCE",
            help="For whom answers must be (default: anybody).",
        ),
        secret_option("--introspection-client-secret", "Its secret."),
        click.option(
            "--introspection-client-id",
            envvar="BLOBSTORE_INTROSPECTION_CLIENT_ID",
            help="As whom this server asks.",
        ),
        click.option(
            "--introspection-url",
            envvar="BLOBSTORE_INTROSPECTION_URL",
            help="Ask this authorization server, and it alone, about tokens (RFC 7662).",
        ),
    ):
        gathered = option(gathered)
    return gathered  # type: ignore[return-value]  # click's decorators keep the callable, not its signature


def secret_option(name: str, help: str, *, multiple: bool = False) -> Callable[[F], F]:
    """An option that is refused on the command line: whoever is on the machine can read that."""

    def check(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        assert parameter.name is not None
        if context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            raise click.BadParameter(f"secrets go into {variable} or blobstore.toml: a command line is public")
        return value

    variable = "BLOBSTORE" + name.removeprefix("-").replace("-", "_").upper()
    return click.option(
        name,
        envvar=variable,
        multiple=multiple,
        callback=check,
        help=f"{help} Only from {variable} or blobstore.toml.",
    )


def _credentials(text: str) -> tuple[str, str]:
    client_id, colon, secret = text.partition(":")
    if not (client_id and colon and secret):
        raise click.BadParameter("ID:SECRET", param_hint="introspect_clients")
    return client_id, secret
