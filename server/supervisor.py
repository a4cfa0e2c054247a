"""The supervisor: has the address, starts workers that serve at it, and puts another one wherever one died.

It takes no request and opens no store. Workers accept from one listening socket: who is busy accepts less, a dead one
takes no connection with it that it had not accepted, and who takes another's place leaves none behind.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Sequence

from yarl import URL

from server import logs
from server.config import BACKLOG, Config
from server.metrics.shared import Shared
from server.stopping import ENDING
from server.worker import Worker

log = logs.log

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before another worker takes the place of a dead one; twice as many after each that died young."""

GROWN = 60.0
"""Seconds that a worker must have served to have died for a reason of its own."""

TRIES = 8
"""Workers in a row that did not start in one place, after which no more are tried where nobody serves any more."""

LATER = 5.0
"""Seconds after which a worker should have ended itself, that one is waited for."""


class NoWorkersError(Exception):
    """Workers cannot start, and another try would be no better. `code` is the exit code to pass on."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker ended with {_told(code)} before it was ready; what it said stands above")
        self.code = code if code > 0 else 1


class Supervisor:
    """`count` workers of one command, each in a place of its own, until it is told to stop."""

    def __init__(self, command: Sequence[str], count: int, config: Config) -> None:
        self._command = command
        self._count = count
        self._config = config
        self._sockets: list[int] = []
        self._serving: dict[int, Worker] = {}
        """By place. A place without one has lost its worker, and waits for another."""
        self._alive: set[Worker] = set()
        self._pauses: dict[int, float] = {}
        self._metrics: Shared | None = None
        self._numbers: dict[Worker, int] = {}
        """Under which each counts what it does."""
        self._stop = asyncio.Event()
        self._renewal = asyncio.Event()

    async def run(self, ready: Callable[[str], None]) -> bool:
        """Serve until SIGTERM or SIGINT; `ready` is told the URL once all workers take requests.

        False: a worker did not end in order. A second signal ends all at once. SIGHUP puts new workers in the places of
        all, one by one. Raises `OSError` (the address), `NoWorkersError`.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGHUP, self._renewal.set)
        address = await _bound(self._config)
        self._sockets = [each.fileno() for each in address.sockets]
        port = address.sockets[0].getsockname()[1]
        url = str(URL.build(scheme="http", host=self._config.host, port=port))
        self._metrics = _metrics()
        work = asyncio.create_task(self._work(lambda: ready(url)))
        told = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([work, told], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, told):
                task.cancel()
            await asyncio.wait([work, told])
            address.close()
            in_order = await self._end()
            if self._metrics is not None:
                self._metrics.remove()
        return in_order

    # -- workers in their places -----------------------------------------------------------------------------------

    async def _work(self, ready: Callable[[], None]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                # The first one alone: it makes the directory, and where something is wrong that is told once.
                await self._begin(group, [0])
                await self._begin(group, range(1, self._count))
                ready()
                while await self._renewal.wait():
                    self._renewal.clear()
                    await self._renew(group)
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _begin(self, group: asyncio.TaskGroup, places: Iterable[int]) -> None:
        started = [(place, await self._start()) for place in places]
        for place, worker in started:
            if not await worker.is_ready():
                raise NoWorkersError(await worker.ended())
            self._put(group, place, worker)

    async def _renew(self, group: asyncio.TaskGroup) -> None:
        """A new worker for each place that has one; the old one leaves when the new one serves.

        A place that waits for one gets a new one anyway. Where a new one does not start all others stay.
        """
        log.info("putting new workers in the places of all")
        for place in sorted(self._serving):
            worker = await self._try()
            if isinstance(worker, int):
                log.error("a new worker did not start: the old ones stay")
                return
            old = self._serving.get(place)  # only now: one that died meanwhile may have got another in its place
            self._put(group, place, worker)
            if old is not None:
                old.let_go()
                await old.ended()

    async def _try(self) -> Worker | int:
        """A worker that serves; the exit code of one that came to nothing, whose place waits for another try."""
        try:
            worker = await self._start()
        except OSError as error:  # too many processes, too little memory: those that serve go on
            log.error("no process can be made for a worker: %s", error.strerror)
            return 1
        if await worker.is_ready():
            return worker
        code = await self._gone(worker)
        log.error("worker %d ended with %s before it was ready", worker.pid, _told(code))
        return code

    async def _start(self) -> Worker:
        number = None if self._metrics is None else self._metrics.number()
        environment = {} if self._metrics is None or number is None else self._metrics.environment(number)
        try:
            worker = await Worker.start(self._command, self._sockets, environment)
        except BaseException:
            if self._metrics is not None and number is not None:
                self._metrics.ended(number)
            raise
        self._alive.add(worker)
        if number is not None:
            self._numbers[worker] = number
        return worker

    async def _gone(self, worker: Worker) -> int:
        """Wait for its end; the exit code."""
        code = await worker.ended()
        self._alive.discard(worker)
        number = self._numbers.pop(worker, None)
        if self._metrics is not None and number is not None:
            self._metrics.ended(number)
        return code

    def _put(self, group: asyncio.TaskGroup, place: int, worker: Worker) -> None:
        self._serving[place] = worker
        log.info("worker %d serves", worker.pid)
        group.create_task(self._watch(group, place, worker))

    async def _watch(self, group: asyncio.TaskGroup, place: int, worker: Worker) -> None:
        """Until it ends; where it was to serve, another one comes into its place."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        code = await self._gone(worker)
        if self._serving.get(place) is not worker:
            log.log(_level(code), "worker %d, whose place another one has, ended with %s", worker.pid, _told(code))
            return
        del self._serving[place]
        log.error("worker %d ended with %s; another one takes its place", worker.pid, _told(code))
        if loop.time() - began >= GROWN:
            self._pauses.pop(place, None)
        await self._fill(group, place)

    async def _fill(self, group: asyncio.TaskGroup, place: int) -> None:
        failed = 0
        while True:
            await asyncio.sleep(self._pause(place))
            if place in self._serving:  # all were renewed meanwhile
                return
            worker = await self._try()
            if isinstance(worker, Worker):
                break
            failed += 1
            if failed >= TRIES and not self._serving:
                raise NoWorkersError(worker)
        if place in self._serving:
            worker.let_go()
            await self._gone(worker)
        else:
            self._put(group, place, worker)

    def _pause(self, place: int) -> float:
        pause = self._pauses.get(place, FIRST_PAUSE)
        self._pauses[place] = min(2 * pause, LONGEST_PAUSE)
        return pause

    # -- the end ---------------------------------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if not self._stop.is_set():
            self._stop.set()
            return
        for worker in self._alive:
            worker.kill()
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    async def _end(self) -> bool:
        """End all workers; whether they ended in order."""
        serving = set(self._serving.values()) if self._stop.is_set() else set()
        for worker in self._alive:
            if worker in serving:
                worker.announce()
            else:
                worker.let_go()
        if not self._alive:
            return True
        most = self._config.drain_delay + self._config.drain + ENDING + LATER
        ending = {asyncio.create_task(worker.ended()): worker for worker in self._alive}
        _, late = await asyncio.wait(ending, timeout=most)
        for task in late:
            log.error("worker %d did not end in %g seconds: killed", ending[task].pid, most)
            ending[task].kill()
        codes = await asyncio.gather(*ending)
        for worker, code in zip(ending.values(), codes, strict=True):
            log.log(_level(code), "worker %d ended with %s", worker.pid, _told(code))
        return not any(codes)


async def _bound(config: Config) -> asyncio.Server:
    """The address, listened at; nobody accepts yet. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, config.host, config.port, start_serving=False)
    for each in server.sockets:
        with socket.socket(fileno=os.dup(each.fileno())) as listening:
            listening.listen(BACKLOG)
    return server


def _metrics() -> Shared | None:
    """Where workers count together."""
    try:
        return Shared.make()
    except OSError as error:
        log.warning("no folder can be made for metrics: each worker tells its own alone (%s)", error.strerror)
        return None


def _level(code: int) -> int:
    return logging.ERROR if code else logging.INFO


def _told(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
