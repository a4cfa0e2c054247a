"""What deploy/compose.yml starts, as plain processes: the same commands and environments, read from the file.

Each service has an address of its own on the loopback network, so ports are those of the file. Names of services,
volumes, secrets and variables are replaced; images are what is installed here.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.nginx import SHIPPED
from tests.fakes.postgres import programs, unprivileged

FILE = SHIPPED.parent / "compose.yml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
_PROGRAMS = {
    "blobstore": [sys.executable, "-m", "tools"],
    "python": [sys.executable],
    "weed": [str(Path(sys.executable).with_name("weed"))],
}


class Composition:
    """The services of the file; `variables` are what deploy/.env has. Every method blocks."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = variables
        self.file: dict[str, Any] = yaml.safe_load(FILE.read_text())
        self.services: dict[str, dict[str, Any]] = self.file["services"]
        network = f"127.{random.randrange(1, 255)}.{random.randrange(255)}"
        self.addresses = {name: f"{network}.{number}" for number, name in enumerate(self.services, 1)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, service: str) -> dict[str, str]:
        """What the service is told, and what a process needs here."""
        told = {name: self._here(str(text), service) for name, text in self.services[service]["environment"].items()}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(FILE.parents[1]), **told}

    def command(self, service: str, *instead: str) -> list[str]:
        """Its command line, or another one in its container."""
        of = self.services[service]
        entrypoint: list[str] = of.get("entrypoint", ["blobstore"] if "build" in of else [])
        command: Sequence[str] = instead or of["command"]
        program, *more = [*entrypoint, *command]
        return [*_PROGRAMS[program], *(self._here(each, service) for each in more)]

    def run(self, service: str, *instead: str) -> str:
        """Run to its end; what it prints."""
        done = subprocess.run(
            self.command(service, *instead), env=self.environment(service), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{service}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    @cached_property
    def _database(self) -> Path:
        """Of the user that PostgreSQL runs as, who cannot come into the folder."""
        return Path(tempfile.mkdtemp(prefix="pg-"))

    def start(self, service: str) -> None:
        """Start it; it ends with this process."""
        with (self._folder / f"{service}.log").open("ab") as log:
            self._running[service] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.command(service)],
                env=self.environment(service),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start_database(self) -> None:
        """As the image of PostgreSQL does it: a cluster with its user and database, then the command."""
        told, user = self.environment("database"), unprivileged()
        became = ["setpriv", "--pdeathsig", "INT"]
        if user is not None:
            became += [f"--reuid={user}", "--clear-groups"]
            shutil.chown(self._database, user)
        (self._database / "password").write_text(told["POSTGRES_PASSWORD"])
        data, options = self._database / "data", told["POSTGRES_INITDB_ARGS"].split()
        options += [
            "-D",
            str(data),
            "-U",
            told["POSTGRES_USER"],
            f"--pwfile={self._database / 'password'}",
            "--no-sync",
        ]
        subprocess.run([*became, programs() / "initdb", *options], check=True, capture_output=True)
        command: list[str] = self.services["database"]["command"][1:]
        place = ["-D", str(data), "-h", self.addresses["database"], "-k", "", "--fsync=off"]
        self._running["database"] = subprocess.Popen(
            [*became, programs() / "postgres", *place, *command],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        address = ["-h", self.addresses["database"], "-U", told["POSTGRES_USER"]]
        self._wait(lambda: not subprocess.call([programs() / "pg_isready", "-q", *address]))
        password = {"PGPASSWORD": told["POSTGRES_PASSWORD"]}
        subprocess.run([programs() / "createdb", *address, told["POSTGRES_DB"]], check=True, env=password)

    def url(self, service: str, path: str = "") -> str:
        """Where a server of ours answers."""
        return f"http://{self.addresses[service]}:8080{path}"

    def wait_ready(self, service: str) -> None:
        """Until the server says that it is ready."""

        def ready() -> bool:
            try:
                with urllib.request.urlopen(self.url(service, "/readyz"), timeout=5) as answer:
                    return bool(answer.status == 200)
            except (OSError, urllib.error.URLError):
                assert self._running[service].poll() is None, (self._folder / f"{service}.log").read_text()
                return False

        self._wait(ready)

    def stop(self, service: str) -> int:
        """As Docker does it: SIGTERM, then wait; its exit code."""
        self._running[service].send_signal(signal.SIGTERM)
        return self._running.pop(service).wait(60)

    def remove(self) -> None:
        """End all that runs."""
        for each in self._running.values():
            each.kill()
            each.wait()
        shutil.rmtree(self._database)

    def _wait(self, done: Any) -> None:
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _volume(self, name: str) -> Path:
        path = self._folder / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _here(self, text: str, service: str) -> str:
        """The text as it is meant, in this place."""
        text = _VARIABLE.sub(self._variable, text).replace("0.0.0.0", self.addresses[service])
        for name, address in self.addresses.items():
            text = re.sub(rf"((?<=//)|(?<=[@=])){name}(?=:\d|$)", address, text)
        for volume in self.services[service].get("volumes", []):
            name, _, target = volume.partition(":")
            if name in self.file["volumes"]:
                text = re.sub(rf"{target}\b", str(self._volume(name)), text)
        for secret in self.services[service].get("secrets", []):
            text = text.replace(f"/run/secrets/{secret}", str(self._folder / secret))
        return text

    def _variable(self, match: "re.Match[str]") -> str:
        name, kind, default = match.groups()
        if name not in self._variables and kind == "-":
            return str(default)
        return self._variables[name]
