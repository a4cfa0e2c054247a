"""A scratch PostgreSQL cluster: made when a test first wants it, gone with the session, also when that is killed.

Its default collation is that of a language, not of bytes: whatever is not told to compare in binary order shows.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from blobstore.postgres import Connection

USER = "blobstore"

_CONF = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
max_connections = 400
shared_buffers = 32MB
max_wal_size = 256MB
autovacuum = off
fsync = {fsync}
full_page_writes = {fsync}
log_min_messages = warning
"""


def statement(sql: str) -> Callable[[Connection], Awaitable[object]]:
    """Work for `Database.write` that is this statement alone."""
    return lambda db: db.execute(sql)


class Cluster:
    """A PostgreSQL server of our own on a Unix socket. Every method that is no coroutine blocks."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._programs = programs()
        self._as = unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path has 107 bytes at most
        self.data = self.folder / "data"
        self._numbers = itertools.count(1)
        self._server: subprocess.Popen[bytes] | None = None
        if self._as:
            shutil.chown(self.folder, self._as)
        # A linguistic order: binary order must be asked for.
        icu = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
        self._run("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", *icu)
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(_CONF.format(sockets=self.folder, fsync="on" if fsync else "off"))
        self.start()

    def url(self, database: str) -> str:
        """Where a database of this cluster is."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server; back when it answers. It ends with the thread that this is called in, if not before."""
        log = (self.folder / "log").open("ab")
        # Whatever becomes of us: also when we are killed.
        self._server = subprocess.Popen(
            ["setpriv", *self._credentials(), "--pdeathsig", "INT", self._programs / "postgres", "-D", self.data],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
        )
        log.close()
        deadline = time.monotonic() + 60
        while subprocess.run(
            [self._programs / "pg_isready", "-q", "-h", self.folder, "-U", USER, "-d", "postgres"], check=False
        ).returncode:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends all sessions, SIGQUIT is a crash. Harmless when it is stopped."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(60)
            self._server = None

    def pause(self) -> None:
        """Have every process of the server stand still, as if the network were cut; until `go_on`."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        self._signal_all(signal.SIGCONT)

    def remove(self) -> None:
        """Stop, and remove all files."""
        if self._server is not None:
            self.go_on()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def database(self, template: str | None = None) -> str:
        """Make a database, empty or a copy of another that nobody uses at the moment; its name."""
        name = f"test{next(self._numbers)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template1'} STRATEGY file_copy")
        return name

    async def drop(self, name: str) -> None:
        """Remove a database, whoever uses it. Where the server is stopped it stays."""
        if self._server is not None:
            await self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def end_sessions(self) -> None:
        """End every session of everybody, whatever it does."""
        await self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid != pg_backend_pid()"
        )

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = ["setpriv", *self._credentials(), self._programs / program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")

    def _credentials(self) -> list[str]:
        if self._as is None:
            return []
        return [f"--reuid={self._as}", "--regid", _group(self._as), "--clear-groups"]

    def _signal_all(self, signum: signal.Signals) -> None:
        assert self._server is not None
        first = self._server.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in [first, *map(int, children)]:
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                continue


def programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if (initdb := shutil.which("initdb")) is not None:
        return Path(initdb).resolve().parent
    raise RuntimeError("the tests need PostgreSQL: apt-get install postgresql")


def unprivileged() -> str | None:
    """Whom the server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    return "postgres" if _exists("postgres") else "nobody"


def _exists(user: str) -> bool:
    return subprocess.run(["id", "-u", user], capture_output=True, check=False).returncode == 0


def _group(user: str) -> str:
    return subprocess.run(["id", "-g", user], capture_output=True, text=True, check=True).stdout.strip()
