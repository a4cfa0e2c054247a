"""Locks between processes."""

import subprocess
import sys
from pathlib import Path

from blobstore.locked import file_lock, try_file_lock

HOLDER = """
import sys
from pathlib import Path
from blobstore.locked import file_lock
with file_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_a_lock_is_held_between_processes_and_ends_with_them(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    with try_file_lock(path) as locked:
        assert locked is False
    assert path.exists()
    holder.kill()
    holder.communicate()
    with try_file_lock(path) as locked:
        assert locked is True
        with try_file_lock(path) as again:
            assert again is False
    assert not path.exists()
    with file_lock(path):
        assert path.exists()
