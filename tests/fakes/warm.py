"""Processes that start at once: each is forked from one that has loaded everything already.

To load the program takes most of a second; a test that kills hundreds of processes, or asks one after each of hundreds
of power cuts, would wait for little else. What is forked is a process like any other: its memory, files and locks are
its own, and `kill -9` ends it as it ends any.

Where a module is asked for, `-c` stands for a program whose text is the first argument.

Run with `--listen SOCKET` this is the process that forks. With `--ask SOCKET MODULE [ARGUMENT...]` it is a command that
has the module run there, with its own environment, and ends as the module does; it loads nothing by itself.
"""

import array
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import asyncio

ROOT = Path(__file__).resolve().parents[2]
LOADED = (
    *("tools.backup", "tools.connector", "tools.hydrate", "tools.import_reference", "tools.merge", "tools.restore"),
    *(
        "tools.blobs",
        "tools.doctor",
        "tools.erase",
        "tools.gc",
        "tools.grant",
        "tools.serve",
        "tools.spine",
        "tools.token",
        "tools.topology",
    ),
    *("aiohttp", "jsonschema_rs", "blobstore.backends.s3", "tests.crash.look", "tests.fakes.stores"),
    *("asyncpg", "blobstore.catalogues.postgres", "records.centrals.postgres", "records.engines.postgres", "tools.cli"),
)


class Forked:
    """A process that was forked for us."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.pid = int(self._line())
        self.running = True
        self._code = 0
        self._ending: asyncio.Future[bytes] | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it has ended; negative is the signal that ended it. Raises `TimeoutError`."""
        if self.running:
            self._connection.settimeout(timeout)
            self._code = int(self._line())
            self._connection.close()
            self.running = False
        return self._code

    def kill(self) -> None:
        """End it with no notice; harmless where it has ended."""
        import signal

        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def ended(self) -> int:
        """As `wait`, for one of many tasks."""
        import asyncio

        if self._ending is None:
            self._connection.setblocking(False)
            self._ending = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(self._connection, 16))
        # It is told once: who is cancelled in that moment must find it here when they ask again.
        line = await asyncio.shield(self._ending)
        self._connection.close()
        self.running = False
        return int(line)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            piece = self._connection.recv(1)
            if not piece:
                raise ConnectionError("the process that forks is gone")
            line += piece
        return line


class Started(Forked):
    """One whose output is read here; its errors go where ours go."""

    def __init__(self, connection: socket.socket, out: int) -> None:
        super().__init__(connection)
        self.out = os.fdopen(out)

    def end(self) -> str:
        """The rest of what it printed, once it has ended well."""
        with self.out:
            printed = self.out.read()
        code = self.wait()
        assert code == 0, f"it ended with {code}"
        return printed

    def killed(self) -> str:
        """Kill it; the rest of what it printed."""
        self.kill()
        with self.out:
            printed = self.out.read()
        self.wait()
        return printed


def fork(listening: Path, module: str, arguments: Sequence[str], out: int, err: int) -> Forked:
    """Have `python -m module arguments...` run in a fork, with these descriptors as its standard output and error."""
    return Forked(_asked(listening, module, arguments, out, err))


def launch(listening: Path, module: str, *arguments: object) -> Started:
    """Have it run in a fork, as `fork` does."""
    reading, writing = os.pipe()
    try:
        return Started(_asked(listening, module, [str(each) for each in arguments], writing, 2), reading)
    finally:
        os.close(writing)


def _asked(listening: Path, module: str, arguments: Sequence[str], out: int, err: int) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(listening))
    request = json.dumps({"module": module, "arguments": list(arguments), "environment": dict(os.environ)}).encode()
    passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [out, err]))]
    connection.sendmsg([len(request).to_bytes(4)], passed)
    connection.sendall(request)
    return connection


@contextmanager
def forking(folder: Path, library: Path | None = None) -> Iterator[Path]:
    """A process that forks, for the length of the block; gives the socket at which it listens.

    The library stands before libc in it, and in all that it forks.
    """
    import subprocess

    listening = folder / "forking"
    environ = {**os.environ, **({} if library is None else {"LD_PRELOAD": str(library)})}
    command = [sys.executable, __file__, "--listen", str(listening)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)
    assert process.stdout is not None
    assert process.stdout.readline(), "it did not start"
    try:
        yield listening
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def asking(listening: Path, module: str, *arguments: str) -> str:
    """A command line for a shell that has the module run in a fork."""
    return shlex.join([sys.executable, "-I", "-S", __file__, "--ask", str(listening), module, *arguments])


# -- the process that forks --------------------------------------------------------------------------------------------


class Forker:
    """Takes one request per connection: answers the process id, and the exit code when it comes."""

    def __init__(self, listening: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(listening))
        self._listener.listen(64)
        self._running: dict[int, socket.socket] = {}

    def run(self) -> None:
        """Until the process is told to end; then everything that it forked is killed."""
        import selectors
        import signal

        woken, waking = socket.socketpair()
        for end in (woken, waking):
            end.setblocking(False)
        signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        print("listening", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    woken.recv(4096)
                    self._reap()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        head, descriptors, _, _ = socket.recv_fds(connection, 4, 2)
        request = json.loads(_exactly(connection, int.from_bytes(head)))
        pid = os.fork()
        if pid == 0:
            _become(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._running[pid] = connection
        connection.sendall(b"%d\n" % pid)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self._running.pop(pid)
            with connection, suppress(OSError):  # whoever asked may not wait for it
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))

    def _end(self) -> None:
        import signal

        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)  # nothing is left to be tidied up, and much is loaded


def _prepare() -> None:
    """Read what most processes read, once for all of them; and have none of them look through it for garbage."""
    import gc

    from blobstore.backends.s3.client import Access, connect
    from records.manifest_schema import require_local_schema

    connect(Access("http://127.0.0.1:1", "us-east-1"), 1).close()  # nothing is asked
    require_local_schema({"type": "object"}, "")
    gc.collect()
    gc.freeze()


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += connection.recv(size - len(data))
    return data


class _Request(TypedDict):
    """A process to become: `module` may be -c, with the program before the arguments."""

    environment: dict[str, str]
    module: str
    arguments: list[str]


def _become(request: _Request, descriptors: Sequence[int]) -> None:
    """Turn this fork into the process that was asked for; never returns."""
    import runpy
    import signal
    import traceback

    signal.set_wakeup_fd(-1)
    for each in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), *descriptors)):
        os.dup2(descriptor, number)
    os.closerange(3, 256)
    code: object = 0
    try:
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = [request["module"], *request["arguments"]]
        if request["module"] == "-c":
            exec(sys.argv.pop(1), {"__name__": "__main__"})
        else:
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else code is not None)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--listen", where]:
            import importlib

            sys.path.insert(0, str(ROOT))
            for each in LOADED:
                importlib.import_module(each)
            _prepare()
            Forker(Path(where)).run()
        case ["--ask", where, asked, *given]:
            sys.exit(fork(Path(where), asked, given, 1, 2).wait())
