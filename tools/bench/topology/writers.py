"""Writers in processes of their own, begun at one moment."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.bench.topology.lines import LINE
from tools.bench.topology.writer import OWNER

__all__ = ["OWNER", "write"]


def write(kind: str, places: Sequence[tuple[Path, int]], first: int, count: int) -> float:
    """MB per second of NDJSON that writers of a kind write together, `count` lines each into (place, connector).

    From the moment they are told to the end of the last one; what they need to start is not counted.
    """
    commands = [_command(kind, place, connector, first, count) for place, connector in places]
    running = [subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for each in commands]
    try:
        for each in running:
            _heard(each)
        for each in running:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        seconds = max(float(_heard(each)) for each in running)
    finally:
        for each in running:
            if each.stdin is not None:
                each.stdin.close()
            each.wait(600)
    return len(places) * count * LINE / 1e6 / seconds


def _command(kind: str, place: Path, connector: int, first: int, count: int) -> list[str]:
    arguments = (kind, place, f"bench{connector}", first, count)
    program = "import sys; from tools.bench.topology.writer import main; main(*sys.argv[1:])"
    return [sys.executable, "-c", program, *map(str, arguments)]


def _heard(writer: "subprocess.Popen[str]") -> str:
    assert writer.stdout is not None
    line = writer.stdout.readline()
    if not line:
        raise RuntimeError("a writer failed; it said why above")
    return line.strip()
