"""The program where nobody else is at work: `doctor` need not wait to see whether what it finds was only under way."""

import blobstore.findings
import records.checks.central
from tools.cli import main


def look_once() -> None:
    """In this process `doctor` does not look a second time, after a while, at what it suspects."""
    blobstore.findings.PAUSE = records.checks.central.DRAIN_WAIT = 0.0


if __name__ == "__main__":
    look_once()
    main(prog_name="blobstore")
