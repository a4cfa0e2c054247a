"""Where tests keep their files: in memory where there is room, else on the disk.

Most of a run on a disk is waiting for it. That a file survives is proven by those tests that cut the power of a disk
of their own, and by `make soak`, which uses the disk.
"""

import os
import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")
ROOM = 4 << 30
"""Bytes that must be free there: a run needs less than one in four of them."""


def settle() -> None:
    """Have everything that is temporary from now on, here and in what is started, made there.

    Does nothing where TMPDIR says where to, or with full sizes.
    """
    if "TMPDIR" in os.environ or os.environ.get("BLOBSTORE_SOAK"):
        return
    if os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free >= ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)
