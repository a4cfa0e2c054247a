"""Has a child process look for traces in the files of a data directory.

The process that serves never opens a database file but through SQLite: to close it again would drop the locks that
SQLite has on it (rule P5). What the child (`blobstore.tracing`) holds of the samples ends with it.
"""

import asyncio
import os
import sys

import msgspec

from blobstore import tracing
from blobstore.errors import StorageUnavailable
from blobstore.tracing import Found, Search


async def search(what: Search) -> Found:
    """Search in a child process. Raises `StorageUnavailable` when it fails."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", tracing.__name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        answer, complaint = await child.communicate(msgspec.msgpack.encode(what))
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise StorageUnavailable(f"the search for residue failed: {last or child.returncode}")
    return msgspec.msgpack.decode(answer, type=Found)
