"""The supervisor, with workers that do little: all are ready, none is lost, none is left behind."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from yarl import URL

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from server import logs, supervisor
from server.config import Config

supervisor.FIRST_PAUSE = 0.05
supervisor.LONGEST_PAUSE = 0.1
supervisor.TRIES = 3
logs.configure()
start = supervisor.Worker.start

async def starting(command, sockets, environment):
    if Path(sys.argv[2], "full").exists():
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return await start(command, sockets, environment)

supervisor.Worker.start = starting
command = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
supervisor = supervisor.Supervisor(command, 2, Config(port=0, drain=20, drain_delay=float(sys.argv[3])))
try:
    in_order = asyncio.run(supervisor.run(lambda url: print(url, flush=True)))
except Exception as error:
    sys.exit(getattr(error, "code", 70))
sys.exit(0 if in_order else 1)
"""

WORKER = """
import asyncio, os, sys, time
from pathlib import Path
from server.inherited import Inherited
from server.stopping import Stopping

async def answer(reader, writer):
    line = await reader.readline()
    if line == b"slow\\n":
        (folder / "slow").touch()
        while (folder / "slow").exists():
            await asyncio.sleep(0.01)
    writer.write(b"%d %d" % (os.getpid(), stopping.announced))
    writer.close()
    await writer.wait_closed()

async def main():
    inherited.follow(stopping, 20.0)
    servers = [await asyncio.start_server(answer, sock=each, backlog=1) for each in inherited.listening()]
    inherited.say_ready()
    await stopping.wait(DELAY)
    for server in servers:
        server.close()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.01)

inherited, stopping, folder = Inherited.take(), Stopping(), Path(sys.argv[1])
with (folder / "started").open("a") as started:
    started.write(f"{os.getpid()}\\n")
if (folder / "broken").exists():
    sys.exit(3)
while (folder / "held").exists():
    time.sleep(0.01)
asyncio.run(main())
"""


class Supervised:
    """A supervisor in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, log: Path) -> None:
        self.process = process
        self.folder = folder
        self.log = log
        self.url = ""

    async def ready(self) -> None:
        assert self.process.stdout is not None
        self.url = (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode().strip()

    async def ask(self, line: bytes = b"\n") -> tuple[int, bool]:
        """The worker that answered, and whether it said that it is about to end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(self.url).port)
        writer.write(line)
        pid, announced = map(int, (await asyncio.wait_for(reader.read(), 60)).split())
        writer.close()
        return pid, bool(announced)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 60)

    def started(self) -> list[int]:
        return list(map(int, (self.folder / "started").read_text().split()))

    def living(self) -> set[int]:
        return {pid for pid in self.started() if _lives(pid)}

    async def until_living(self, wanted: Callable[[set[int]], bool]) -> set[int]:
        async with asyncio.timeout(60):
            while not wanted(self.living()):
                await asyncio.sleep(0.01)
        return self.living()

    def messages(self) -> list[str]:
        return [json.loads(line)["message"] for line in self.log.read_text().splitlines()]

    async def until_told(self, part: str, times: int = 1) -> None:
        async with asyncio.timeout(60):
            while sum(part in each for each in self.messages()) < times:
                await asyncio.sleep(0.01)


Supervise = Callable[..., AbstractAsyncContextManager[Supervised]]


@pytest.fixture
def supervise(tmp_path: Path) -> Supervise:
    """Starts one; `delay` is the time in which it says that it will end."""

    @asynccontextmanager
    async def run(delay: float = 0.0) -> AsyncIterator[Supervised]:
        log = tmp_path / "log"
        arguments = (SUPERVISOR, WORKER.replace("DELAY", str(delay)), str(tmp_path), str(delay))
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", *arguments, stdout=asyncio.subprocess.PIPE, stderr=errors
            )
        supervised = Supervised(process, tmp_path, log)
        try:
            yield supervised
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await supervised.until_living(lambda living: not living)
            await process.communicate()  # its output's end as well, or the event loop closes before the pipe does
            await asyncio.sleep(0)

    return run


async def test_it_is_ready_when_all_workers_are_and_ends_in_order(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        workers = supervised.living()
        assert len(workers) == 2
        assert (await supervised.ask())[0] in workers
        supervised.process.terminate()
        assert await supervised.ended() == 0
        assert not supervised.living()


async def test_another_worker_comes_where_one_died_and_the_log_says_so(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        dead, other = supervised.started()
        os.kill(dead, signal.SIGKILL)
        await supervised.until_living(lambda living: dead not in living)
        assert (await supervised.ask())[0] != dead  # nobody is refused meanwhile
        await supervised.until_told("serves", times=3)
        assert f"worker {dead} ended with SIGKILL; another one takes its place" in supervised.messages()
        assert other in supervised.living()


async def test_where_no_process_can_be_made_the_others_serve_on_until_one_can(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        (supervised.folder / "full").touch()
        dead, other = supervised.started()
        os.kill(dead, signal.SIGKILL)
        await supervised.until_told("no process can be made for a worker: Resource temporarily unavailable", times=4)
        assert (await supervised.ask())[0] == other
        (supervised.folder / "full").unlink()
        await supervised.until_living(lambda living: len(living) == 2)


async def test_workers_that_cannot_start_end_it_with_their_own_exit_code(supervise: Supervise, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    async with supervise() as supervised:
        await supervised.ready()
        assert (supervised.url, await supervised.ended()) == ("", 3)
        assert len(supervised.started()) == 1


async def test_it_gives_up_where_nobody_serves_and_nobody_starts_any_more(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        (supervised.folder / "broken").touch()
        for pid in supervised.started():
            os.kill(pid, signal.SIGKILL)
        assert await supervised.ended() == 3
        assert 2 + 3 <= len(supervised.started()) <= 2 + 2 * 3


async def test_sighup_puts_others_in_the_places_of_all_and_nobody_is_refused(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        old = supervised.living()
        supervised.process.send_signal(signal.SIGHUP)
        seen: set[int] = set()
        while len(seen - old) < 2 or supervised.living() & old:
            seen.add((await supervised.ask())[0])
        await supervised.until_living(lambda living: len(living) == 2)


async def test_a_worker_whose_place_another_has_finishes_what_it_began(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        old = supervised.living()
        slow = asyncio.create_task(supervised.ask(b"slow\n"))
        await _there(supervised.folder / "slow")
        supervised.process.send_signal(signal.SIGHUP)
        await supervised.until_told("serves", times=3)
        (supervised.folder / "slow").unlink()
        assert await slow in {(pid, False) for pid in old}
        await supervised.until_living(lambda living: len(living) == 2 and not living & old)


async def test_workers_stay_where_new_ones_do_not_start(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        old = supervised.living()
        (supervised.folder / "broken").touch()
        supervised.process.send_signal(signal.SIGHUP)
        await supervised.until_told("the old ones stay")
        assert await supervised.until_living(lambda living: len(living) == 2) == old


async def test_one_that_dies_while_all_are_replaced_leaves_no_worker_too_many(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        (supervised.folder / "held").touch()
        supervised.process.send_signal(signal.SIGHUP)
        await supervised.until_living(lambda living: len(living) == 3)  # one is to come into the first place
        os.kill(supervised.started()[1], signal.SIGKILL)
        await supervised.until_living(lambda _: len(supervised.started()) == 4)  # another into that of the dead one
        (supervised.folder / "held").unlink()
        await supervised.until_living(lambda _: len(supervised.started()) == 5)  # and the second place's turn comes
        await supervised.until_living(lambda living: len(living) == 2)
        supervised.process.send_signal(signal.SIGTERM)
        assert await supervised.ended() == 0


async def test_the_end_is_announced_before_anybody_is_refused(supervise: Supervise) -> None:
    async with supervise(delay=600.0) as supervised:
        await supervised.ready()
        supervised.process.terminate()
        said: set[int] = set()
        async with asyncio.timeout(60):
            while said != supervised.living():
                pid, announced = await supervised.ask()
                said |= {pid} if announced else set()
        supervised.process.kill()  # has them leave now


async def test_a_second_signal_does_not_wait(supervise: Supervise) -> None:
    async with supervise(delay=600.0) as supervised:
        await supervised.ready()
        supervised.process.terminate()
        async with asyncio.timeout(60):
            while not (await supervised.ask())[1]:
                pass
        supervised.process.send_signal(signal.SIGINT)
        assert await supervised.ended() == -signal.SIGINT
        await supervised.until_living(lambda living: not living)


async def test_workers_do_not_outlive_their_supervisor(supervise: Supervise) -> None:
    async with supervise() as supervised:
        await supervised.ready()
        supervised.process.kill()
        await supervised.until_living(lambda living: not living)


async def test_a_worker_that_must_be_killed_is_told_of_in_the_exit_code(supervise: Supervise) -> None:
    async with supervise(delay=600.0) as supervised:
        await supervised.ready()
        supervised.process.terminate()
        while not (await supervised.ask())[1]:
            pass
        for pid in supervised.living():
            os.kill(pid, signal.SIGKILL)
        assert await supervised.ended() == 1


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def _there(path: Path) -> None:
    async with asyncio.timeout(60):
        while not path.exists():
            await asyncio.sleep(0.01)
