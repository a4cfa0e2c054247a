"""What the HTTP suite says of downloads holds where nginx sends the files (`--sendfile nginx`)."""

import pytest

from tests.conformance.http.api import Api, refused
from tests.conformance.http.test_blob_download import *  # noqa: F403


@pytest.mark.parametrize("blob_id", ["..%2f..%2f..%2fetc%2fpasswd", "%00"])
async def test_what_nginx_does_not_take_for_a_path_is_malformed(api: Api, blob_id: str) -> None:
    refused(await api.get(f"/v1/blobs/{blob_id}"), 400, "invalid_request")


NO_IDS = ["x", "blob_b3_" + "0" * 64, "blob_sha256_zz", "%ff", "a" * 8000, "%F0%9F%A6%8A"]


@pytest.mark.parametrize("blob_id", NO_IDS)  # type: ignore[no-redef]  # in the place of the suite's own
async def test_what_is_no_id_looks_like_one_that_is_not_there(api: Api, blob_id: str) -> None:
    refused(await api.get(f"/v1/blobs/{blob_id}"), 404, "blob_not_found")
