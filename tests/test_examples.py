"""The example in examples/ does what it says, run as its reader runs it."""

import asyncio
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from blobstore.client import connect
from tests.conformance.http.own_server import serving

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "folder.py"


def test_the_example_brings_a_folder_and_then_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    contents = {"a.txt": b"one", "deep/ü .png": b"\x89PNG two", "gone": b""}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with serving(tmp_path / "data") as server:
        words = [str(EXAMPLE), str(folder), "--server", server.base_url, "--token", server.token]

        def run() -> str:
            monkeypatch.setattr(sys, "argv", words)
            runpy.run_path(str(EXAMPLE), run_name="__main__")
            return capsys.readouterr().out

        async def held() -> dict[str, bytes]:
            found = {}
            async with connect(server.base_url, server.token) as client:
                async for record in client.records("files"):
                    async with client.open(record.data["blob_ref"]["blob_id"]) as blob:
                        found[record.id] = b"".join([piece async for piece in blob])
            return found

        done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
        assert done.stdout == "3 brought, 0 gone, 3 in all\n"
        assert asyncio.run(held()) == contents
        (folder / "gone").unlink()
        (folder / "a.txt").write_bytes(b"one and more")
        os.utime(folder / "a.txt", ns=(1, 2_000_000_000))
        assert run() == "1 brought, 1 gone, 2 in all\n"
        assert asyncio.run(held()) == {"a.txt": b"one and more", "deep/ü .png": b"\x89PNG two"}
        assert run() == "0 brought, 0 gone, 2 in all\n"
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(SystemExit, match="2"):  # a wrong directory is not one from which all has gone
            run()
        assert f"{folder} is no folder" in capsys.readouterr().err
        assert set(asyncio.run(held())) == {"a.txt", "deep/ü .png"}
        words[1:] = [str(tmp_path / "elsewhere"), "--server", server.base_url, "--token", "wrong"]
        with pytest.raises(SystemExit, match="error: 401 authentication_error: the token is not known"):
            run()
