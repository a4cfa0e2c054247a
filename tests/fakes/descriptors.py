"""What this process has open: which files and sockets, not how many, for others close theirs when they like."""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path


def descriptors() -> Counter[str]:
    """What every open descriptor leads to (a path, "socket:[…]"); one such minus an earlier one is what came since."""
    found = Counter[str]()
    for each in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them, and what others close meanwhile
            found[os.readlink(f"/proc/self/fd/{each}")] += 1
    return found


def open_under(folder: Path) -> list[str]:
    """Files of a folder that are open; " (deleted)" ends those that have no name any more."""
    return sorted(each for each in descriptors().elements() if each.startswith(f"{folder}/"))
