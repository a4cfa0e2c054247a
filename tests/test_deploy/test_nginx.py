"""nginx as it is shipped: as a proxy for whatever comes, and as the one who sends files."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from server.delegated import OFFER, OFFERED
from tests.conformance.http.api import Api, Connector, refused
from tests.conformance.http.granting import grant
from tests.conformance.http.library import covered, filled
from tests.conformance.http.own_server import Target
from tests.conformance.http.test_blob_download import Blob, make
from tests.fakes.nginx import Nginx, proxying

LARGE = 24 << 20
"""More than any socket and buffer on the way holds."""


@pytest.fixture(scope="session")
def plain(own: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """An nginx that passes everything on; its first server is down."""
    folder = tmp_path_factory.mktemp("proxy") / "nginx"
    with proxying(folder, ["127.0.0.1:9", URL(own.base_url).authority]) as running:
        yield running


@pytest.fixture
async def passed_on(plain: Nginx, api: Api) -> AsyncIterator[Api]:
    """The owner, by way of an nginx that sends no files."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=plain.trust)) as session:
        yield Api(session, plain.url, api.token)


async def disclosed(api: Api, blob_id: str) -> list[dict[str, Any]]:
    found = (await api.get("/v1/owner/disclosures", blob=blob_id)).data
    return [each["body"] for each in found]


async def test_what_nginx_sends_is_on_the_spine_as_it_was_asked_for(api: Api) -> None:
    library = await filled(api)
    blob_id = await covered(library, "x", b"0123456789")
    reader = Api(api.session, api.base_url, (await grant(library, {"name": "books"})).json["token"])
    for asked in ({"Range": "bytes=2-4"}, {}, {"Range": "bytes=0-0,4-5"}, {"If-Match": "*"}):
        assert (await reader.call("GET", f"/v1/blobs/{blob_id}", headers=asked)).status in (200, 206)
    found = [each for each in await disclosed(api, blob_id) if each["kind"] == "disclosure.blob.end"]
    assert [(each["end"], each["sent"]) for each in found] == [
        ("delegated", [[2, 5]]),
        ("delegated", [[0, 10]]),
        ("whole", [[0, 1], [4, 6]]),
        ("whole", [[0, 10]]),
    ]


async def test_nobody_reaches_files_by_their_names(own: Target, api: Api, anyone: Api, connector: Connector) -> None:
    await make(connector, secrets.token_bytes(100))
    assert own.directory is not None
    path = next((own.directory / "blobs").glob("*/*/*/*")).relative_to(own.directory / "blobs")
    for caller in (api, anyone):
        for folder in ("whole", "ranges", "%77hole"):
            refused(await caller.get(f"/stored/{folder}/{path}"), 404, "not_found")
        refused(await caller.get("/refused/away"), 404, "not_found")


async def test_a_client_cannot_ask_for_the_place_of_a_file(own: Target, passed_on: Api, connector: Connector) -> None:
    blob = await make(connector, secrets.token_bytes(100))
    answer = await passed_on.call("GET", f"/v1/blobs/{blob.id}", headers={OFFER: OFFERED})
    assert (answer.status, answer.body) == (200, blob.data)
    assert "X-Accel-Redirect" not in answer.headers


async def test_without_a_proxy_that_can_send_files_the_server_sends_them(
    own: Target, session: aiohttp.ClientSession, connector: Connector
) -> None:
    blob = await make(connector, secrets.token_bytes(100))
    answer = await Api(session, own.base_url, own.token).get(f"/v1/blobs/{blob.id}")
    assert (answer.status, answer.body) == (200, blob.data)


async def test_what_nginx_does_not_find_comes_from_the_server(
    own: Target, connector: Connector, tmp_path: Path
) -> None:
    blob = await make(connector, secrets.token_bytes(100))
    (tmp_path / "elsewhere").mkdir()
    with proxying(tmp_path / "nginx", [URL(own.base_url).authority], tmp_path / "elsewhere") as other:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=other.trust)) as session:
            answer = await Api(session, other.url, own.token).call(
                "GET", f"/v1/blobs/{blob.id}", headers={"Range": "bytes=5-9"}
            )
    assert (answer.status, answer.body) == (206, blob.data[5:10])


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"short")])
async def test_what_the_server_does_not_find_is_its_own_error(
    own: Target, connector: Connector, damage: Callable[[Path], object]
) -> None:
    blob = await make(connector, secrets.token_bytes(100))
    path = _file(own, blob)
    path.chmod(0o600)
    direct = Api(connector.api.session, own.base_url, own.token)
    damage(path)
    expected, answer = await direct.get(f"/v1/blobs/{blob.id}"), await blob.ask()
    assert (answer.status, answer.json["error"]["code"]) == (expected.status, expected.json["error"]["code"])


async def test_a_link_in_the_place_of_a_folder_is_not_followed(
    own: Target, connector: Connector, tmp_path: Path
) -> None:
    blob = await make(connector, secrets.token_bytes(100))
    shutil.move(_file(own, blob).parent, tmp_path / "moved")
    _file(own, blob, there=False).parent.symlink_to(tmp_path / "moved")
    assert (await blob.ask()).status == 404
    _file(own, blob, there=False).parent.unlink()
    shutil.move(tmp_path / "moved", _file(own, blob, there=False).parent)
    assert (await blob.ask()).body == blob.data


@pytest.mark.parametrize("path", ["/metrics", "/metrics?x=1", "/x/../metrics", "/%6detrics"])
async def test_nobody_behind_the_proxy_reads_metrics(passed_on: Api, path: str) -> None:
    url = URL(passed_on.base_url + path, encoded=True)
    async with passed_on.session.get(url, headers={"Host": "localhost"}) as answer:
        assert answer.status == 404
        assert "blobstore_" not in await answer.text()


async def test_an_upload_is_passed_on_as_it_comes(plain: Nginx, passed_on: Api, connector: Connector) -> None:
    pieces = [secrets.token_bytes(1 << 20) for _ in range(8)]
    all_sent = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal all_sent
        for piece in pieces:
            yield piece
        while (await passed_on.get("/v1/owner/usage")).json["reserved_bytes"] < len(pieces) << 20:
            await asyncio.sleep(0.02)  # what nginx kept for itself would never be reserved
        assert not list((plain.folder / "nginx-body").iterdir())
        all_sent = True

    sent = Connector(passed_on, connector.id)
    stored = await sent.upload("r", body())
    assert (stored["size_bytes"], all_sent) == (len(pieces) << 20, True)


async def test_a_large_upload_without_a_token_is_refused_before_it_is_read(plain: Nginx, passed_on: Api) -> None:
    anyone = Api(passed_on.session, plain.url, "nobody")
    query = {"connector_id": "c", "stream": "s", "record_key": "k"}
    refused(await anyone.call("POST", "/v1/blobs", query, body=bytes(LARGE)), 401, "authentication_error")


async def test_a_download_that_is_no_longer_allowed_is_cut_off(passed_on: Api) -> None:
    library = await filled(passed_on)
    blob_id = await covered(library, "x", secrets.token_bytes(3 * LARGE))
    made = (await grant(library, {"name": "books"})).json
    headers = {"Authorization": f"Bearer {made['token']}"}
    async with passed_on.session.get(f"{passed_on.base_url}/v1/blobs/{blob_id}", headers=headers) as answer:
        assert answer.status == 200
        await answer.content.readexactly(1 << 20)
        await passed_on.call("POST", f"/v1/owner/grants/{made['grant_id']}/revoke")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_where_no_server_answers_nginx_says_so_in_the_servers_words(tmp_path: Path) -> None:
    with proxying(tmp_path / "nginx", ["127.0.0.1:9"]) as alone:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=alone.trust)) as session:
            answer = await Api(session, alone.url, "any").get("/v1/streams")
    refused(answer, 503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["PDPP-Version"] == "2026-04-06"


async def test_nginx_says_on_http_2_what_it_says_on_http_1(nginx: Nginx, connector: Connector) -> None:
    blob = await make(connector, secrets.token_bytes(1000))
    curl = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--http2", "--cacert", nginx.ca_bundle, "--range", "10-19",
        "--write-out", "%{http_version}",
        "--header", f"Authorization: Bearer {connector.api.token}", f"{nginx.url}/v1/blobs/{blob.id}",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await curl.communicate()
    assert output == blob.data[10:20] + b"2"


def _file(own: Target, blob: Blob, *, there: bool = True) -> Path:
    assert own.directory is not None
    digest = blob.id.removeprefix("blob_b3_")
    folder = own.directory / "blobs"
    if there:
        return next(folder.glob(f"*/{digest[:2]}/{digest[2:4]}/{digest}.*"))
    return next(folder.glob(f"*/{digest[:2]}")) / digest[2:4] / digest


async def test_resumable_uploads_of_a_token_go_to_one_machine(tmp_path: Path) -> None:
    async def machine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        name = str(writer.get_extra_info("sockname")[1]).encode()
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\nMachine: " + name + b"\r\n\r\n")
        writer.close()

    machines = [await asyncio.start_server(machine, "127.0.0.1", 0) for _ in range(3)]
    servers = [f"127.0.0.1:{each.sockets[0].getsockname()[1]}" for each in machines]
    with proxying(tmp_path / "nginx", servers) as running:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=running.trust)) as session:
            places: list[str] = []
            for number in range(20):
                headers, seen = {"Authorization": f"Bearer token{number}"}, set()
                for path in ("/v1/uploads?stream=a", "/v1/uploads/1", "/v1/uploads/2"):
                    async with session.post(running.url + path, headers=headers) as answer:
                        seen.add(answer.headers["Machine"])
                assert len(seen) == 1
                places += seen
    assert len(set(places)) == len(machines)
    for each in machines:
        each.close()
