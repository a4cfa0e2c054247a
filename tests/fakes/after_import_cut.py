"""What must hold of a directory that a bag is imported into, after a power cut; run on each crash state.

CRASH_MARKS has `imported` once that was acknowledged: then all of it is there. Else the import that is run again makes
it so. Either way what is exported is the bag, to the byte.
"""

import json
import os
import sys
from pathlib import Path

from click.testing import CliRunner

from blobstore import findings
from tools.cli import main


def holds(data: Path, bag: Path) -> None:
    if "imported" not in Path(os.environ["CRASH_MARKS"]).read_text().splitlines():
        _run("import", data, "--owner", "bob", str(bag))
    assert _run("export", data, "--owner", "bob", "-") == bag.read_bytes(), "it is not what was in the bag"
    _run("gc", data, "--grace", "0")
    assert _run("export", data, "--owner", "bob", "-") == bag.read_bytes(), "some of it was taken for garbage"
    errors = [each for each in json.loads(_run("doctor", data, "--deep", "--json")) if each["severity"] != "note"]
    assert errors == [], errors


def _run(command: str, data: Path, *arguments: str) -> bytes:
    result = CliRunner().invoke(main, [command, "--data", str(data), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


if __name__ == "__main__":
    findings.PAUSE = 0.0
    holds(Path(os.environ["CRASH_DIR"]) / "data", Path(sys.argv[1]))
