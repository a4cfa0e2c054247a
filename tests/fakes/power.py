"""A disk whose power can be cut: a mounted file system that forgets, as asked, what was never fsynced."""

import json
import runpy
import subprocess
from pathlib import Path

MEMORY = Path("/dev/shm")


class Disk:
    """Wraps the `powercut` tool of the shared directory; needs root and /dev/fuse."""

    def __init__(self, tool: Path, folder: Path) -> None:
        self._tool = tool
        self._work = folder / "work"
        self.path = folder / "disk"
        self.path.mkdir()
        # The tool's own client: to start the tool for each mark takes a hundred times as long.
        client = runpy.run_path(str(tool))["Ctl"]
        self._run("mount", self._work, self.path)
        self._client = client(str(self._work))

    def mark(self, text: str) -> None:
        """Note that something was acknowledged: every power cut after this moment must keep it."""
        self._client.mark(text)

    def fault(self, **rule: object) -> None:
        """Let calls fail, such as op="fsync", path="regular expression", errno="EIO"."""
        self._run("fault", self._work, json.dumps(rule))

    def limit(self, size: int) -> None:
        """The disk is full at so many bytes."""
        self._run("quota", self._work, str(size))

    def after_every_cut(self, check: str, models: str, most: int, seeds: int = 3) -> str:
        """Run the command on what is left after a cut at each sync, at `most` of them; what it said of those that fail.

        `models` say what a cut leaves; where one of them is `random`, that many are made at each sync.
        The command finds CRASH_DIR, and in the file CRASH_MARKS what was marked before the cut, one a line.
        """
        self.unmount()
        options = ["--models", models, "--max", str(most), "--jobs", "2", "--seeds", str(seeds), "--check", check]
        if MEMORY.is_dir():  # what a check writes need not survive anything
            options += ["--tmp", str(MEMORY)]
        done = subprocess.run([self._tool, "explore", self._work, *options], capture_output=True, text=True)
        print(*done.stdout.splitlines()[-1:])
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def unmount(self) -> None:
        """Harmless when called twice."""
        if self.path.is_mount():
            subprocess.run([self._tool, "umount", self._work, self.path], capture_output=True)
        if self.path.is_mount():  # a test that failed has files open there
            subprocess.run(["umount", "--lazy", self.path], check=True)

    def _run(self, *arguments: object) -> None:
        subprocess.run([self._tool, *map(str, arguments)], check=True, capture_output=True)
