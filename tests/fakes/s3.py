"""A real S3 store: SeaweedFS on loopback, made when a test first wants it, gone with the session.

BLOBSTORE_S3_ENDPOINT names another store to test against (Ceph, Swift …); its keys come from where boto3 looks for
them, BLOBSTORE_S3_CA_BUNDLE has the authorities of its certificate.
"""

import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import trustme
from botocore.config import Config

from blobstore.backends.s3 import Access, Place
from blobstore.backends.where import Where

REGION = "us-east-1"
_PORTS = ("s3", "s3-tls", "s3-grpc", "master", "master-grpc", "volume", "volume-grpc", "filer", "filer-grpc")
_START_SECONDS = 300


class S3Server:
    """A store of our own, or the one that the environment names. Every method blocks."""

    def __init__(self) -> None:
        self._daemon: subprocess.Popen[bytes] | None = None
        self._buckets = itertools.count(1)
        self._shared: dict[bool, str] = {}
        self._told = os.environ.get("BLOBSTORE_S3_ENDPOINT")
        self.folder = Path(tempfile.mkdtemp(prefix="s3-"))
        if self._told:
            self.url = self.tls_url = self._told
            self.ca_bundle: str | None = os.environ.get("BLOBSTORE_S3_CA_BUNDLE")
            return
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self.url = f"http://127.0.0.1:{self._ports['s3']}"
        self.tls_url = f"https://127.0.0.1:{self._ports['s3-tls']}"
        self.ca_bundle = str(self._make_certificate())
        self._make_keys()
        self.start()

    def access(self, *, tls: bool = False) -> Access:
        """How a backend reaches it."""
        return Access(self.tls_url if tls else self.url, REGION, self.ca_bundle if tls or self._told else None)

    def client(self) -> Any:
        """A client of boto3 that owes nothing to the product. Not every store takes checksums that follow a body."""
        verify, config = self.ca_bundle if self._told else None, Config(request_checksum_calculation="when_required")
        return boto3.client("s3", endpoint_url=self.url, region_name=REGION, verify=verify, config=config)

    def bucket(self, *, versioned: bool = False) -> str:
        """A new bucket."""
        name = f"b{os.getpid()}-{next(self._buckets)}-{secrets.token_hex(4)}"
        client = self.client()
        client.create_bucket(Bucket=name)
        client.close()
        if versioned:
            self.keep_versions(name)
        return name

    def keep_versions(self, bucket: str, status: str = "Enabled") -> None:
        """Let the bucket keep what is deleted, as an old version; or, where it did, keep no more (`Suspended`)."""
        client = self.client()
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        client.close()

    def versions(self, bucket: str) -> list[str]:
        """The keys of all versions and marks of deletions in a bucket."""
        client = self.client()
        answer = client.list_object_versions(Bucket=bucket)
        client.close()
        return [row["Key"] for row in [*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())]]

    def place(self, *, versioned: bool = False, bucket: str | None = None) -> Place:
        """Room for the blobs of one store: a prefix of its own, in a bucket that others have a share of unless told."""
        if bucket is None and versioned not in self._shared:
            self._shared[versioned] = self.bucket(versioned=versioned)
        return Place.parse(f"s3://{bucket or self._shared[versioned]}/{secrets.token_hex(6)}")

    def where(self, *, versioned: bool = False, tls: bool = False) -> Where:
        """The same, as an operator says it."""
        access = self.access(tls=tls)
        return Where(self.place(versioned=versioned).url, access.endpoint, access.region, access.ca_bundle)

    def drop(self, where: Where, name: str) -> None:
        """Delete an object below the place's prefix behind the store's back."""
        place = Place.parse(where.location)
        client = self.client()
        client.delete_object(Bucket=place.bucket, Key=place.prefix + name)
        client.close()

    def start(self) -> None:
        """Start the server on the data that it has; back when it takes objects. It ends with this process."""
        ports = self._ports
        options = {
            "dir": self.folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.telemetry": "false",
            "master.electionTimeout": "1s",
            "master.port": ports["master"],
            "master.port.grpc": ports["master-grpc"],
            "master.volumeSizeLimitMB": 1024,
            "master.vacuumIntervalSeconds": 30,
            "master.garbageThreshold": 0.1,
            "volume.port": ports["volume"],
            "volume.port.grpc": ports["volume-grpc"],
            "volume.max": 1000,
            "volume.preStopSeconds": 0,
            "filer.port": ports["filer"],
            "filer.port.grpc": ports["filer-grpc"],
            "filer.localSocket": self.folder / "filer.sock",
            "s3.port": ports["s3"],
            "s3.port.grpc": ports["s3-grpc"],
            "s3.port.https": ports["s3-tls"],
            "s3.localSocket": self.folder / "s3.sock",
            "s3.cert.file": self.folder / "tls.crt",
            "s3.key.file": self.folder / "tls.key",
            "s3.config": self.folder / "keys.json",
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.allowDeleteBucketNotEmpty": "false",
            "s3.autoCreateBucket": "false",
        }
        program = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        assert program, "SeaweedFS is not installed: it comes with the extra `dev`"
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "-logtostderr=true", "server", "-filer", "-s3"]
                + [f"-{name}={value}" for name, value in options.items()],
                env={**os.environ, "GOMEMLIMIT": "1GiB", "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait(f"http://127.0.0.1:{ports['master']}/dir/assign", b'"fid"')
        self._wait(f"{self.url}/healthz", b"")

    def kill(self) -> None:
        """End it as a power cut of its machine would, its data kept; `start` brings it back. Harmless when repeated."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
            self._daemon = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It hangs for the length of the block: takes connections, and answers nothing."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._daemon.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it; nothing of it is left."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_certificate(self) -> Path:
        """The authority's own certificate; the server's is where it starts."""
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        bundle = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(bundle)
        certificate.private_key_pem.write_to_path(self.folder / "tls.key")
        with (self.folder / "tls.crt").open("wb") as chain:
            for pem in certificate.cert_chain_pems:
                chain.write(pem.bytes())
        return bundle

    def _make_keys(self) -> None:
        """Keys for this process and its children, where the environment has none."""
        key = os.environ.setdefault("AWS_ACCESS_KEY_ID", secrets.token_hex(10))
        secret = os.environ.setdefault("AWS_SECRET_ACCESS_KEY", secrets.token_hex(20))
        identity = {
            "name": "test",
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.folder / "data").mkdir()
        (self.folder / "keys.json").write_text(json.dumps({"identities": [identity]}))

    def _wait(self, url: str, text: bytes) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    if text in answer.read():
                        return
            except (OSError, urllib.error.URLError):
                pass
            if self._daemon is None or self._daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS did not start:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as taken:
        sockets = [taken.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
