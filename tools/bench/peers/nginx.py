"""nginx as a peer: files of a folder by sendfile, and PUT into it (WebDAV). Its access log is off, as ours is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tools.bench.peers.programs import free_port, listens, program, running


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """The address of `folder/files`, which is made."""
    found = program("nginx")
    (folder / "files").mkdir(parents=True, exist_ok=True)
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(_CONFIGURATION.format(folder=folder, port=port))
    user = "user root;" if os.geteuid() == 0 else ""
    with running(
        [found, "-c", conf, "-e", "stderr", "-g", f"{user} daemon off;"], partial(listens, port), folder / "log"
    ):
        yield f"http://127.0.0.1:{port}"


_CONFIGURATION = """
worker_processes auto;
pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        dav_methods PUT;
    }}
}}
"""
