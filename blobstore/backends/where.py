"""Where a store's bytes live, as the operator says it, and the backend that this opens."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from blobstore.backend import Backend
from blobstore.backends.filesystem import FilesystemBackend
from blobstore.catalogue import Catalogue

FILE, S3 = "file", "s3://"
FOLDER = "blobs"
"""Of a data directory: where bytes are that live in files."""

_ENDPOINT = re.compile(r"https?://[^/@?#]+(/[^@?#]*)?\Z")
_KMS = re.compile(r"aws:kms(?::(?P<key>.+))?\Z")


@dataclass(frozen=True, slots=True)
class Where:
    """`file` (the folder `blobs` of the data directory) or `s3://BUCKET/PREFIX`, and how a store of S3 is reached.

    No secret is part of it: keys come from where boto3 looks for them. `encryption` is what S3 is asked to encrypt each
    new object with: `none` (whatever the bucket does by itself), `AES256`, `aws:kms` or `aws:kms:KEY`.
    `public_endpoint` is where clients reach the store that are sent there, where that is not `endpoint`.
    """

    location: str = FILE
    endpoint: str | None = None
    region: str | None = None
    ca_bundle: str | None = None
    encryption: str | None = None
    public_endpoint: str | None = None

    @classmethod
    def parse(
        cls,
        location: str,
        endpoint: str | None = None,
        region: str | None = None,
        ca_bundle: str | None = None,
        encryption: str | None = None,
        public_endpoint: str | None = None,
    ) -> Self:
        """What is told, in the one way to write it. Raises `ValueError`, which says what is wrong."""
        if location.startswith(S3):
            from blobstore.backends.s3.place import Place

            location = Place.parse(location).url
        elif location != FILE:
            raise ValueError(f"write `{FILE}` or s3://BUCKET/PREFIX")
        if any(each is not None and not _ENDPOINT.match(each) for each in (endpoint, public_endpoint)):
            raise ValueError("an endpoint of S3 is http://HOST:PORT or https://HOST, without a user")
        where = cls(location, endpoint, region, ca_bundle, encryption, public_endpoint)
        _ = where.headers
        return where

    @classmethod
    def of(cls, location: str, options: Mapping[str, str]) -> Self:
        """What a catalogue knows of a place. Options of another version are left out."""
        names = {field.name for field in fields(cls)} - {"location"}
        return cls(location, **{name: value for name, value in options.items() if name in names})

    @property
    def options(self) -> dict[str, str]:
        """How it is reached, where anything is told: nothing of it is secret."""
        told = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "location"}
        return {name: value for name, value in told.items() if value is not None}

    @property
    def is_files(self) -> bool:
        """Whether the bytes are in the data directory."""
        return self.location == FILE

    def open(self, directory: Path) -> Backend:
        """The backend; `directory` is the data directory. Blocks. Raises `StorageUnavailable`."""
        if self.is_files:
            return FilesystemBackend(directory / FOLDER)
        # Here, for bytes in files are served without boto3, which takes long to import.
        from blobstore.backends.s3 import Access, Place, S3Backend

        access = Access(self.endpoint, self.region, self.ca_bundle, self.public_endpoint)
        return S3Backend.connect(Place.parse(self.location), access, self.headers)

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each new object of S3. Raises `ValueError`."""
        wanted = self.encryption or "none"
        if wanted in ("none", "AES256"):
            return {} if wanted == "none" else {"ServerSideEncryption": wanted}
        match = _KMS.match(wanted)
        if match is None:
            raise ValueError("encryption in S3 is none, AES256, aws:kms or aws:kms:KEY")
        key = {} if match["key"] is None else {"SSEKMSKeyId": match["key"]}
        return {"ServerSideEncryption": "aws:kms", **key}


IN_FILES = Where()
"""What a store does that was told nothing."""


async def intake(catalogue: Catalogue) -> Where:
    """Where the catalogue says that new bytes go; `IN_FILES` while it knows no place."""
    for place in await catalogue.places():
        if place.intake:
            return Where.of(place.location, place.options)
    return IN_FILES
