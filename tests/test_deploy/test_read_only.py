"""The server as containers and units run it: a user without rights, on a file system that cannot be written to."""

import asyncio
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.conformance.http.api import Api, Connector, fresh_name
from tests.conformance.http.test_blob_download import make
from tests.fakes.compose import FILE

ROOT = FILE.parents[1]
USER = 10001

# The interpreter and the program are put where that user may go; then all but the directory and /tmp is closed.
BOX = """
set -e
mount --make-rprivate /
for each in python program data; do mkdir -p "$BOX/$each"; done
mount --bind "$PYTHON" "$BOX/python"
mount --bind "$PROGRAM" "$BOX/program"
mount --bind "$DATA" "$BOX/data"
chown "$USER" "$BOX/data"
mount -t tmpfs tmpfs /dev/shm 2>/dev/null || true
mount -o remount,bind,ro /dev/shm 2>/dev/null || true
mount -o remount,bind,ro /
mount -t tmpfs -o mode=1777 tmpfs /tmp
exec setpriv --reuid="$USER" --regid="$USER" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \\
    "$BOX/python/bin/python3" "$@"
"""


class Box:
    """Runs our programs as that user, in there."""

    def __init__(self, box: Path, data: Path) -> None:
        self.folder, self.data = box, box / "data"
        self._environment = {
            "PATH": os.environ["PATH"],
            "BOX": str(box),
            "DATA": str(data),
            "PYTHON": sys.base_prefix,
            "PROGRAM": str(ROOT),
            "USER": str(USER),
            "PYTHONHOME": str(box / "python"),
            "LD_LIBRARY_PATH": str(box / "python" / "lib"),  # an interpreter's own library, not the system's
            "PYTHONPATH": f"{box}/program:{box}/program/{Path(_packages()).relative_to(ROOT)}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "BLOBSTORE_DATA": str(box / "data"),
            "HOME": str(box / "data"),
            "OUTSIDE": os.environ["HOME"],
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", BOX, "box", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        done = self.start(*arguments)
        out, errors = done.communicate(timeout=120)
        assert done.returncode == 0, errors
        return out.strip()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    folder = Path(tempfile.mkdtemp(prefix="box-", dir="/opt"))
    folder.chmod(0o755)
    (tmp_path / "data").mkdir(mode=0o700)
    yield Box(folder, tmp_path / "data")
    shutil.rmtree(folder)


async def test_a_user_without_rights_on_a_read_only_root_can_do_everything(box: Box) -> None:
    token = box.run("-m", "tools", "token", "create", "--owner", "me")
    server = box.start("-m", "tools", "serve", "--port", "0")
    assert server.stdout is not None
    line = await asyncio.to_thread(server.stdout.readline)
    assert line.startswith("serving on "), server.communicate()[1]
    async with aiohttp.ClientSession() as session:
        connector = Connector(Api(session, line.split()[-1], token), fresh_name())
        await connector.register()
        blob = await make(connector, secrets.token_bytes(1 << 20))
        assert (await blob.ask()).body == blob.data
        answer = await connector.api.get("/v1/owner/export")
        assert answer.status == 200
        await asyncio.to_thread(box.run, "-c", _healthcheck(line.split()[-1]))
        server.terminate()
        assert await asyncio.to_thread(server.wait, 60) == 0
    assert "clean" in box.run("-m", "tools", "erase", "--owner", "me", "--yes")


def test_the_box_is_closed(box: Box) -> None:
    """Else the test above would prove nothing."""
    told = box.run("-c", _TRIES)
    assert json.loads(told) == {"/tmp": True, os.environ["HOME"]: False} | {
        str(each): each == box.data for each in (box.folder, box.data, box.folder / "program")
    }


_TRIES = """
import json, os, sys
def writes(folder):
    try:
        open(os.path.join(folder, "tried"), "w").close()
        return True
    except OSError:
        return False
box = os.path.dirname(os.environ["BLOBSTORE_DATA"])
folders = ["/tmp", os.environ["OUTSIDE"], box, os.path.join(box, "data"), os.path.join(box, "program")]
print(json.dumps({folder: writes(folder) for folder in folders}))
"""


def _healthcheck(url: str) -> str:
    """That of the Dockerfile, at this server."""
    command = re.findall(r'CMD \["python", "-c", "(.*)"\]', (FILE.parent / "Dockerfile").read_text())[0]
    assert "http://127.0.0.1:8080" in command
    return str(command).replace("http://127.0.0.1:8080", url)


def _packages() -> str:
    return next(path for path in sys.path if path.endswith("site-packages") and path.startswith(str(ROOT)))
