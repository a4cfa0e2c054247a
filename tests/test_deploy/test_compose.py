"""deploy/compose.yml: what it starts works together, and holds to what docs/deployment.md says of it."""

import asyncio
import hashlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.conformance.http.api import Api, Connector, fresh_name, note
from tests.fakes.compose import FILE, Composition
from tests.fakes.nginx import proxying


@pytest.fixture
def composition(tmp_path: Path) -> Iterator[Composition]:
    """The database, the store, the bucket and both servers."""
    (tmp_path / "secret").write_bytes(secrets.token_bytes(32))
    names = ("BLOBSTORE_DB_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    composition = Composition(tmp_path, {name: secrets.token_hex(10) for name in names})
    try:
        composition.start("store")
        composition.start_database()
        composition.run("bucket")
        for server in ("server-1", "server-2"):  # at once, on an empty database
            composition.start(server)
        for server in ("server-1", "server-2"):
            composition.wait_ready(server)
        yield composition
    finally:
        composition.remove()


async def test_two_servers_on_postgresql_and_s3_behind_nginx(composition: Composition, tmp_path: Path) -> None:
    token = composition.run("server-2", "token", "create", "--owner", "me")
    servers = [URL(composition.url(name)).authority for name in ("server-1", "server-2")]
    with proxying(tmp_path / "nginx", servers) as nginx:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=nginx.trust)) as session:
            api = Api(session, nginx.url, token)
            connector = Connector(api, fresh_name())
            assert (await connector.register()).status == 201
            data = secrets.token_bytes(9 << 20)
            blob = await connector.upload("r", data)
            await connector.put("notes", note("r", blob_ref={"blob_id": blob["blob_id"]}))
            path = f"/v1/blobs/{blob['blob_id']}"
            for each in (nginx.url, composition.url("server-1"), composition.url("server-2")):
                answer = await Api(session, each, token).get(path)
                assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()
            assert await asyncio.to_thread(composition.stop, "server-1") == 0
            answers = [await api.get(path) for _ in range(4)]  # nginx goes to the one that is left
            assert [each.status for each in answers] == [200] * 4
    assert not list((tmp_path / "volumes" / "server-2").rglob(blob["blob_id"].removeprefix("blob_b3_") + "*"))
    composition.run("server-2", "doctor", "--deep")


def test_nginx_runs_as_the_tests_run_it() -> None:
    proxy = Composition(FILE.parent, {}).services["proxy"]
    assert proxy["command"] == ["nginx", "-c", "/etc/nginx/blobstore/nginx.conf", "-g", "daemon off;"]
    servers = Composition(FILE.parent, {}).file["configs"]["servers"]["content"].split("\n")
    assert servers == ["server server-1:8080;", "server server-2:8080;", ""]


def test_servers_and_nginx_write_to_their_volumes_alone_and_have_no_rights() -> None:
    services = Composition(FILE.parent, {}).services
    for name in ("server-1", "server-2", "proxy"):
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
    published = {name for name, service in services.items() if service.get("ports")}
    assert published == {"proxy"}
    assert {name for name, service in services.items() if "outside" in service["networks"]} == {"proxy"}


def test_secrets_are_made_once_and_are_for_nobody_else(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets"
    script.write_bytes((FILE.parent / "make-secrets").read_bytes())
    subprocess.run(["sh", script], check=True)
    made = {path.name: path.read_bytes() for path in [tmp_path / ".env", *(tmp_path / "secrets").iterdir()]}
    assert set(made) == {".env", "secret", "tls.crt", "tls.key"}
    assert len(made["secret"]) == 32
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    names = {line.partition("=")[0] for line in made[".env"].decode().splitlines()}
    assert names == {"BLOBSTORE_DB_PASSWORD", "BLOBSTORE_METRICS_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    subprocess.run(["sh", script], check=True)
    assert {path.name: path.read_bytes() for path in [tmp_path / ".env", *(tmp_path / "secrets").iterdir()]} == made
