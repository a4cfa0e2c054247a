"""What must hold of a directory that a bag is imported into, after a power cut; run on each crash state.

CRASH_MARKS has `imported` once that was acknowledged: then all of it is there. Else the import that is run again makes
it so. Either way what is exported is the bag, to the byte. But for one thing: where the cut came between a record of an
append-only stream and the end of its claim, the claim stays until it expires, since a record that is sent again there
may be another one.
"""

import json
import os
import sys
from pathlib import Path

from click.testing import CliRunner

from records.bag import layout
from tests.fakes.at_rest import look_once
from tests.fakes.bags import files_of
from tools.cli import main


def holds(data: Path, bag: Path) -> None:
    if "imported" not in Path(os.environ["CRASH_MARKS"]).read_text().splitlines():
        _run("import", data, "--owner", "bob", str(bag))
    _compare(_run("export", data, "--owner", "bob", "-"), bag.read_bytes())
    _run("gc", data, "--grace", "0")
    _compare(_run("export", data, "--owner", "bob", "-"), bag.read_bytes())
    errors = [each for each in json.loads(_run("doctor", data, "--deep", "--json")) if each["severity"] != "note"]
    assert errors == [], errors


def _compare(exported: bytes, imported: bytes) -> None:
    there, wanted = files_of(exported), files_of(imported)
    more = set(there[layout.WAITING].splitlines()) - set(wanted[layout.WAITING].splitlines())
    if not more:
        assert exported == imported, "it is not what was in the bag"
    assert all(b'"stream":"log"' in line for line in more), more
    follows = (layout.WAITING, layout.DATABASE)  # the second shows the first; manifests are lists of digests
    compared = {path for path in wanted if path.startswith(layout.DATA)}.difference(follows)
    assert {path: there.get(path) for path in compared} == {path: wanted[path] for path in compared}
    assert set(wanted[layout.WAITING].splitlines()) <= set(there[layout.WAITING].splitlines())


def _run(command: str, data: Path, *arguments: str) -> bytes:
    result = CliRunner().invoke(main, [command, "--data", str(data), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


if __name__ == "__main__":
    look_once()
    holds(Path(os.environ["CRASH_DIR"]) / "data", Path(sys.argv[1]))
