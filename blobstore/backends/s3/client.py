"""The client of boto3, set up for stores of all makes."""

import base64
import functools
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config

from blobstore.backends.s3.gate import Gate
from blobstore.backends.s3.meaning import translated

Client = Any
"""boto3 makes its clients' classes when it runs: no type of theirs is known before."""

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5.0, 30.0, 3
"""A store that takes connections and answers nothing holds a call for a minute: see `gate.PATIENCE_SECONDS`."""

DELETION_SECONDS = 60.0
"""A thousand objects may take some stores so long."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the store is reached; keys come from where boto3 looks for them (environment, profile, instance)."""

    endpoint: str | None = None
    """None: Amazon's own."""
    region: str | None = None
    ca_bundle: str | None = None
    public_endpoint: str | None = None
    """Where clients reach the store, when that is another address than `endpoint`."""

    @property
    def is_amazon(self) -> bool:
        """Whether it is Amazon's own store, which alone is known to do all that its clients may ask for."""
        return self.endpoint is None or (urlsplit(self.endpoint).hostname or "").endswith(".amazonaws.com")


def connect(access: Access, connections: int, gate: Gate | None = None) -> Client:
    """A client that many threads may use. Checksums beyond what a request must have are for Amazon alone.

    Over https they go as a trailer, which Ceph 16 and older gateways answer with 411. Without them each request is
    signed with the SHA-256 of its body, which the store checks. Raises `StorageUnavailable`.
    """
    checksums = "when_supported" if access.is_amazon else "when_required"
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    with translated("connecting"):
        client = boto3.session.Session(botocore_session=session).client(
            "s3",
            endpoint_url=access.endpoint,
            region_name=access.region,
            verify=access.ca_bundle,
            config=Config(
                max_pool_connections=connections,
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                ignore_configured_endpoint_urls=True,  # what answers is where the operator said, and no other
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                request_checksum_calculation=checksums,
                response_checksum_validation=checksums,
                s3={"addressing_style": "auto" if access.is_amazon else "path"},
            ),
        )
    (gate or Gate()).watch(client.meta.events)
    client.meta.events.register("before-call.s3.DeleteObjects", _with_patience)
    if not access.is_amazon:
        client.meta.events.register("before-sign.s3.DeleteObjects", _add_content_md5)
    return client


@functools.cache
def _loader() -> Any:
    """Reads the description of S3 once: it is large, and takes each new session of boto3 some 70 ms."""
    return botocore.loaders.create_loader()


def _with_patience(context: dict[str, Any], **_: object) -> None:
    context["read_timeout"] = DELETION_SECONDS


def _add_content_md5(request: Any, **_: object) -> None:
    """Some stores refuse a deletion of many objects that comes without."""
    digest = hashlib.md5(request.data, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()
