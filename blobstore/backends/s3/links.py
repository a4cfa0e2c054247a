"""Addresses of objects that are good for a while for whoever has them (presigned URLs): no key is in them."""

from functools import cached_property

import boto3
from botocore.config import Config

from blobstore.backends.s3.client import Access, Client
from blobstore.backends.s3.meaning import translated


class Signer:
    """Signs addresses in one bucket; asks no server, but for its keys where these come over the network."""

    def __init__(self, access: Access, bucket: str) -> None:
        self._access = access
        self._bucket = bucket

    def link(self, key: str, seconds: int, media_type: str, disposition: str) -> str:
        """See `Reader.link`. Raises `StorageUnavailable` where there are no keys to sign with."""
        asked = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentType": media_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": "private, no-store",
        }
        with translated("signing an address"):
            url: str = self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds)
        return url

    @cached_property
    def _client(self) -> Client:
        """One of its own: the host that clients use is signed, and the signature is always of version 4."""
        endpoint = self._access.public_endpoint or self._access.endpoint
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=self._access.region,
            config=Config(
                ignore_configured_endpoint_urls=True,  # as for the client that put the object there
                signature_version="s3v4",
                # Of Amazon's the region's own: at the address for all regions some buckets cannot be had.
                s3={"addressing_style": "path" if endpoint else "virtual"},
            ),
        )
