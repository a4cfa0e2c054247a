"""What stands beside every figure: the machine, its load, and the versions of everything that was measured."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from blobstore.sqlite import sqlite3
from tools.bench.peers.programs import versions

Facts = dict[str, object]


def machine(directory: Path) -> Facts:
    """Where it was measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "kernel": platform.release(),
        "file_system": _file_system(directory),
        "load_before": round(os.getloadavg()[0], 2),
    }


def software() -> Facts:
    """Ours, what it stands on, and the peers; None where one is not there."""
    return {
        "blobstore": version("blobstore-server"),
        "commit": _commit(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "aiohttp": version("aiohttp"),
        **versions(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(directory: Path) -> str:
    asked = subprocess.run(["df", "--output=fstype", directory], capture_output=True, text=True)
    return asked.stdout.split()[-1]


def _commit() -> str | None:
    """Of a checkout, with a word where code differs from it; None of an installed package."""
    root = Path(__file__).resolve().parents[2]
    asked = [subprocess.run(["git", *each], cwd=root, capture_output=True, text=True) for each in (_WHICH, _CHANGED)]
    commit, changed = (each.stdout.strip() for each in asked)
    return f"{commit}{'-changed' if changed else ''}" or None


_WHICH = ("rev-parse", "--short", "HEAD")
_CHANGED = ("status", "--porcelain", "--", "blobstore", "records", "server", "tools")
