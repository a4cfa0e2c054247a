"""Calls to the operating system that fail when a test wants them to, in a process that has `faulty.c` loaded."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("faulty.c")
NEVER = 0, 0


def compiled(folder: Path) -> Path | None:
    """The library, made in `folder`; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "faulty.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl", "-lpthread"]
    subprocess.run(list(map(str, command)), check=True)
    return library


class Faults:
    """Those of this very process, which must have the library loaded."""

    def __init__(self, root: Path) -> None:
        self._library = ctypes.CDLL(None)
        self._library.fault_last.restype = ctypes.c_char_p
        self._library.fault_calls.restype = ctypes.c_long
        self._library.fault_hits.restype = ctypes.c_long
        self._library.fault_arm.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_int)
        self._library.fault_root(os.fsencode(root))

    @contextmanager
    def failing(self, first: int, last: int, error: int) -> Iterator[None]:
        """The calls `first` to `last` within the block fail; `NEVER`: they are only counted."""
        self._library.fault_arm(first, last, error)
        try:
            yield
        finally:
            self.calls, self.hits = self._library.fault_calls(), self._library.fault_hits()
            self.what = os.fsdecode(self._library.fault_last())
            self._library.fault_arm(*NEVER, 0)
