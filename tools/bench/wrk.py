"""wrk as the client of small downloads: requests a second over many connections, each for the next of many paths."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.bench.peers.programs import program

_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")


class Wrk:
    """Asks for paths, one after another, over and over."""

    def __init__(self, script: Path, url: str, paths: Sequence[str], headers: Mapping[str, str]) -> None:
        self._command = [program("wrk"), "-t", "1", "-s", str(script)]
        self._url = url
        quoted = ", ".join(f'"{path}"' for path in paths)
        fields = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items())
        script.write_text(_SCRIPT.format(paths=quoted, headers=fields))

    def seconds(self, connections: int, duration: int) -> float:
        """Mean seconds from one answer to the next, over all connections."""
        command = [*self._command, "-c", str(connections), "-d", f"{duration}s", self._url]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in told or "Socket errors" in told:
            raise RuntimeError(told)
        rate = _RATE.search(told)
        assert rate, told
        return 1 / float(rate[1])


_SCRIPT = """
local paths = {{ {paths} }}
{headers}
local requests, next = {{}}, 0
function init()
  for number, path in ipairs(paths) do requests[number] = wrk.format("GET", path) end
end
function request()
  next = next % #requests + 1
  return requests[next]
end
"""
