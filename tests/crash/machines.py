"""Many servers of one store, some with several workers, and the stores that they need: any of it may go away."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from tests.crash.fleet import Fleet
from tests.crash.workers import KINDS, Client, CutOffError
from tests.fakes.postgres import Cluster
from tests.fakes.s3 import S3Server

AFTERWARDS = 60.0
"""Seconds after a store has come back in which somebody may still be told to come back later."""


class Stores:
    """The S3 store and the database, which are taken away for a while."""

    def __init__(self, s3: S3Server, cluster: Cluster) -> None:
        self._s3 = s3
        self._cluster = cluster
        self._away = 0
        self._back = -AFTERWARDS

    @property
    def are_well(self) -> bool:
        """Whether nothing is or was away so lately that servers may still notice."""
        return not self._away and asyncio.get_running_loop().time() - self._back > AFTERWARDS

    async def without_s3(self, seconds: float) -> None:
        """The store of blobs is gone, as by a power cut, and comes back."""
        self._away += 1
        await asyncio.to_thread(self._s3.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._s3.start)
        self._came_back()

    async def with_database_restarted(self, seconds: float) -> None:
        """All sessions end, and nobody is there for a moment."""
        self._away += 1
        await asyncio.to_thread(self._cluster.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._cluster.start)
        self._came_back()

    def _came_back(self) -> None:
        self._away -= 1
        self._back = asyncio.get_running_loop().time()


class Machine(Fleet):
    """The processes of one data directory. One that starts while a store is away may fail, and is started again."""

    def __init__(self, data: Path, forking: Path, log: Path, stores: Stores, options: Sequence[str]) -> None:
        super().__init__(data, forking, log, options=options)
        self._stores = stores
        self._ready: set[int] = set()

    async def serve_for_ever(self, *options: str) -> None:
        """A server, and another one in its place each time that it is killed; ended in order when cancelled."""
        while True:
            process, out = await self._start("serve", "--port", "0", "--drain", "1", *options)
            url = ""
            try:
                url = (await out.readline()).decode().split("serving on ")[-1].strip()
                if url:
                    self.urls.append(url)
                    self._ready.add(process.pid)
                code = await process.ended()
                assert code == -signal.SIGKILL or not self._stores.are_well, self._told(["serve"], code)
            finally:
                if url:
                    self.urls.remove(url)
                if process.running:
                    with suppress(ProcessLookupError):  # it was killed in this moment
                        os.kill(process.pid, signal.SIGTERM)
                    await asyncio.shield(process.ended())
                del self._running[process.pid]
                self._ready.discard(process.pid)
            await asyncio.sleep(0.2)

    async def collect_for_ever(self) -> None:
        """Collections by command, one after another."""
        while True:
            code, _ = await self.command("gc", "--grace", "0")
            assert code in (0, -signal.SIGKILL) or not self._stores.are_well, self._told(["gc"], code)
            await asyncio.sleep(1.0)

    def kill_one(self, rng: random.Random) -> None:
        """`kill -9` a server, a supervisor, one of its workers or a command."""
        victims = {pid: name for pid, name in self._running.items() if name != "token"}
        for pid in list(victims):
            # A supervisor whose first workers do not start ends, as it should.
            workers = _children(pid) if pid in self._ready else []
            victims |= dict.fromkeys(workers, "worker")
            if workers:
                victims[pid] = "supervisor"
        if victims:
            pid = rng.choice(sorted(victims))
            self.killed[victims[pid]] += 1
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def until_alone(self) -> None:
        """Workers of a supervisor that was killed finish what they began, and end."""
        async with asyncio.timeout(120):
            while _users(self.data):
                await asyncio.sleep(0.1)


class Traveller(Client):
    """Asks any server; what is cut off, or told to come back, is asked again, elsewhere."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        machines: "Sequence[Machine]",
        stores: Stores,
        token: str,
        rng: random.Random,
    ) -> None:
        super().__init__(session, machines[0], token, rng)
        self._machines = machines
        self._stores = stores
        self.told: Counter[str] = Counter()
        """Requests by how they ended."""
        self.bytes: Counter[str] = Counter()
        """Sent and received."""

    async def ask(
        self,
        method: str,
        path: str,
        *expected: int,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """As the base says. A body that came to its end without an error is whole, whatever was killed meanwhile."""
        while not (urls := [url for each in self._machines for url in each.urls]):
            await asyncio.sleep(0.01)
        kind = next((kind for start, kind in KINDS.items() if path.startswith(start)), "application/json")
        sent = {**self._headers, "Content-Type": kind, **(headers or {})}
        try:
            async with self._session.request(method, self._rng.choice(urls) + path, data=data, headers=sent) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            self.told[f"cut off ({type(error).__name__})"] += 1
            await asyncio.sleep(0.05)
            raise CutOffError from error
        self.bytes.update(sent=len(data or b""), received=len(body))
        if answer.status == 503:
            self.told["503 while all was well" if self._stores.are_well else "503 while a store was away"] += 1
            assert int(answer.headers["Retry-After"]) > 0, "it does not say when to come back"
            await asyncio.sleep(0.3)
            raise CutOffError
        self.told["answered"] += 1
        assert answer.status in expected, f"{method} {path}: {answer.status} {body.decode()[:500]}"
        return answer.status, body


def _children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except FileNotFoundError:
        return []


def _users(data: Path) -> list[int]:
    """Processes whose command line names the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if str(data).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
