"""The client of boto3, set up for stores of all makes, and what its errors mean."""

import base64
import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from blobstore.errors import OutOfSpace, StorageUnavailable

Client = Any
"""boto3 makes its clients' classes when it runs: no type of theirs is known before."""

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 60, 4

ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
PRESENT = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
_FULL = frozenset({"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "EntityTooLarge", "507"})
_REFUSED = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden"})
_NO_BUCKET = frozenset({"NoSuchBucket"})


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


def connect(access: Access, connections: int) -> Client:
    """A client that many threads may use. Checksums beyond what a request must have are for Amazon alone.

    Over https they go as a trailer, which Ceph 16 and older gateways answer with 411.
    """
    checksums = "when_supported" if access.is_amazon else "when_required"
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        verify=access.ca_bundle,
        config=Config(
            max_pool_connections=connections,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
            s3={"addressing_style": "auto" if access.is_amazon else "path"},
        ),
    )
    if not access.is_amazon:
        client.meta.events.register("before-sign.s3.DeleteObjects", _add_content_md5)
    return client


def _add_content_md5(request: Any, **_: object) -> None:
    """Some stores refuse a deletion of many objects that comes without."""
    digest = hashlib.md5(request.data, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def code_of(error: ClientError) -> str:
    """What the store calls its error; the HTTP status where it says nothing."""
    found = error.response.get("Error", {}).get("Code")
    return str(found or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))


@contextmanager
def translated(doing: str, passing: Collection[str] = ()) -> Iterator[None]:
    """Turn boto3's errors into this package's; those whose codes are in `passing` stay as they are."""
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in passing:
            raise
        raise _meaning(code, error, doing) from error
    except (BotoCoreError, HTTPClientError) as error:
        raise StorageUnavailable(f"S3 does not answer ({doing}): {error}") from error


def _meaning(code: str, error: ClientError, doing: str) -> Exception:
    if code in _FULL:
        return OutOfSpace(f"S3 has no room ({doing}): {code}")
    if code in _NO_BUCKET:
        return StorageUnavailable(f"S3 has no such bucket ({doing}); make it, or name another")
    if code in _REFUSED:
        return StorageUnavailable(f"S3 refuses ({doing}): {code}; check the keys, and what they may do in this bucket")
    return StorageUnavailable(f"S3 failed ({doing}): {code} {error.response.get('Error', {}).get('Message', '')}")
