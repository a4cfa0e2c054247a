"""The options that say where bytes live: `--blobs`, and how a store of S3 is reached."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

import click

from blobstore.backends.where import FILE, Where

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Reached:
    """How a store of S3 is reached, and what it encrypts with: `Where` without the location. None: nothing is told."""

    endpoint: str | None = None
    region: str | None = None
    ca_bundle: str | None = None
    encryption: str | None = None
    public_endpoint: str | None = None

    @classmethod
    def taken(cls, options: dict[str, Any]) -> Self:
        """Of a command's options, which have them no longer."""
        return cls(*(options.pop(name) for name in KEYS))

    @classmethod
    def known(cls, configured: Mapping[str, Any]) -> Self:
        """What a configuration says."""
        return cls(*(configured.get(name) for name in KEYS))

    @classmethod
    def of(cls, where: Where) -> Self:
        """How that place is reached; nothing of one in files."""
        return cls() if where.is_files else cls(**where.options)

    def or_else(self, other: "Reached") -> "Reached":
        """This, and what the other says where this says nothing."""
        return Reached(**{**other._told(), **self._told()})

    def written(self) -> dict[str, str]:
        """What is told, by the names that it has in a configuration."""
        return {PREFIX + name: value for name, value in self._told().items()}

    def at(self, location: str) -> Where:
        """The whole. Raises `click.ClickException`."""
        try:
            return Where.parse(location, **self._told())
        except ValueError as error:
            raise click.ClickException(f"{location}: {error}") from error

    def _told(self) -> dict[str, str]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value}


PREFIX = "s3_"
KEYS = tuple(PREFIX + field.name for field in fields(Reached))
"""Names of the options for S3, in `blobstore.toml` too."""

NOT_TOLD = Reached()


def reach_options(command: F) -> F:
    """Give a command the options that `Reached.taken` takes."""
    for option in (
        click.option(
            "--s3-public-endpoint",
            envvar="BLOBSTORE_S3_PUBLIC_ENDPOINT",
            help="The URL of the store of S3 for clients (--redirect-downloads), where it is another one.",
        ),
        click.option(
            "--s3-encryption",
            envvar="BLOBSTORE_S3_ENCRYPTION",
            help="What S3 encrypts new objects with: none, AES256, aws:kms or aws:kms:KEY.",
        ),
        click.option(
            "--s3-ca-bundle",
            envvar="BLOBSTORE_S3_CA_BUNDLE",
            callback=_absolute,
            type=click.Path(dir_okay=False),
            help="Authorities that the certificate of the store of S3 is checked by.",
        ),
        click.option("--s3-region", envvar="BLOBSTORE_S3_REGION", help="The region of the bucket."),
        click.option(
            "--s3-endpoint", envvar="BLOBSTORE_S3_ENDPOINT", help="The URL of the store of S3; Amazon's unless told."
        ),
    ):
        command = option(command)
    return command


def read_location(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The option as it is written down. Raises `click.BadParameter`."""
    try:
        return None if value is None else Where.parse(value).location
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from error


def location_of(configured: Mapping[str, Any]) -> str:
    """Where a configuration says that bytes live. Raises `click.ClickException`."""
    return NOT_TOLD.at(configured.get("blobs", FILE)).location


def _absolute(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return None if value is None else str(Path(value).absolute())
