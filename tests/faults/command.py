"""A command of the program, one of whose calls to the operating system fails; for processes with the library loaded.

    python -m tests.faults.command REPORT NTH ERRNO DATA ARGUMENT…

NTH is the number of the call that fails, 0 is none. In the file REPORT stands then how many calls there were, how many
failed, and which.
"""

import sys
from pathlib import Path

from tests.fakes.faults import Faults
from tools.cli import main


def run(report: Path, nth: int, error: int, data: str, arguments: list[str]) -> None:
    faults = Faults(Path(data))
    try:
        with faults.failing(nth, nth, error):
            main([*arguments, "--data", data], prog_name="blobstore")
    finally:
        report.write_text(f"{faults.calls} {faults.hits} {faults.what}")


if __name__ == "__main__":
    told, number, errno, place, *given = sys.argv[1:]
    run(Path(told), int(number), int(errno), place, given)
