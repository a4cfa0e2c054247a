"""The options that say where bytes live: `--blobs`, and how a store of S3 is reached."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from blobstore.backends.where import FILE, Where

F = TypeVar("F", bound=Callable[..., object])

KEYS = ("s3_endpoint", "s3_region", "s3_ca_bundle", "s3_encryption", "s3_public_endpoint")
"""Names of the options for S3, in `blobstore.toml` too."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How a store of S3 is reached, and what it encrypts with; None where nothing is told."""

    endpoint: str | None = None
    region: str | None = None
    ca_bundle: str | None = None
    encryption: str | None = None
    public_endpoint: str | None = None

    @classmethod
    def taken(cls, options: dict[str, Any]) -> "Reached":
        """Of a command's options, which have them no longer."""
        return cls(*(options.pop(name) for name in KEYS))

    @classmethod
    def known(cls, configured: Mapping[str, Any]) -> "Reached":
        """What a configuration says."""
        return cls(*(configured.get(name) for name in KEYS))

    @classmethod
    def of(cls, where: Where) -> "Reached":
        """How that place is reached; nothing of one in files."""
        if where.is_files:
            return cls()
        return cls(where.endpoint, where.region, where.ca_bundle, where.encryption, where.public_endpoint)

    def or_else(self, other: "Reached") -> "Reached":
        """This, and what the other says where this says nothing."""
        return Reached(
            self.endpoint or other.endpoint,
            self.region or other.region,
            self.ca_bundle or other.ca_bundle,
            self.encryption or other.encryption,
            self.public_endpoint or other.public_endpoint,
        )

    def written(self) -> dict[str, str]:
        """What is told, by the names that it has in a configuration."""
        values = (self.endpoint, self.region, self.ca_bundle, self.encryption, self.public_endpoint)
        return {name: value for name, value in zip(KEYS, values, strict=True) if value is not None}

    def at(self, location: str) -> Where:
        """The whole. Raises `click.ClickException`."""
        try:
            return Where.parse(
                location, self.endpoint, self.region, self.ca_bundle, self.encryption, self.public_endpoint
            )
        except ValueError as error:
            raise click.ClickException(f"{location}: {error}") from error


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
