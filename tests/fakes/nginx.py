"""A real nginx with the configuration of deploy/nginx: only addresses and folders are those of the test."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
_SETTINGS = ("-g", "user root; daemon off;")
_SENDFILE = "# include /etc/nginx/blobstore/sendfile.conf;"


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx: its address, who signed for it, and the folder with its configuration and its log."""

    url: str
    trust: ssl.SSLContext
    ca_bundle: Path
    folder: Path

    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextmanager
def proxying(folder: Path, servers: Sequence[str], blobs: Path | None = None) -> Iterator[Nginx]:
    """In front of these servers (`host:port`) for the length of the block; `blobs`: files that it sends by itself."""
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(folder / "tls.key"))
    (folder / "tls.crt").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    (folder / "servers").mkdir()
    (folder / "servers" / "servers.conf").write_text("".join(f"server {each};\n" for each in servers))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    changes = {
        "/tmp/": f"{folder}/",  # first: the folder itself may be there
        "/etc/nginx/blobstore/": f"{folder}/",
        "/etc/nginx/blobstore-tls/": f"{folder}/",
        "/etc/nginx/blobstore-servers/": f"{folder}/servers/",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "worker_processes auto;": "worker_processes 2;",
    }
    if blobs is not None:
        changes |= {_SENDFILE.replace("/etc/nginx/blobstore/", f"{folder}/"): f"include {folder}/sendfile.conf;"}
        changes |= {"/var/lib/blobstore/blobs": str(blobs)}
    _render(folder, changes)
    with _running(folder, port):
        trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        yield Nginx(f"https://127.0.0.1:{port}", trust, folder / "ca.pem", folder)


def _render(folder: Path, changes: Mapping[str, str]) -> None:
    unused = set(changes)
    for path in SHIPPED.glob("*.conf"):
        text = path.read_text()
        for old, new in changes.items():
            if old in text:
                unused.discard(old)
                text = text.replace(old, new)
        (folder / path.name).write_text(text)
    assert not unused, f"deploy/nginx has no more {unused}"


@contextmanager
def _running(folder: Path, port: int) -> Iterator[None]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert program, "nginx is not installed: .ci/run does it"
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", program, "-c", folder / "nginx.conf", "-e", "stderr", *_SETTINGS],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"nginx did not start:\n{(folder / 'log').read_text()}") from None
                time.sleep(0.02)
        yield
    finally:
        daemon.terminate()
        daemon.wait(20)
