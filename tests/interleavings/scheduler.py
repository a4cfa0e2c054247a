"""An event loop that does nothing by itself: each call of a file or a database is a step, and the test says which next.

The product runs unchanged on it. What it would do in threads (`run_in_executor`) or queue for the thread that writes
to a database waits here as a `Step` until it is taken; then it runs at once, in this thread, and every task that can
go on goes on to its own next step. So the same choices always give the same run, whatever the machine is doing.
"""

import asyncio
import functools
import heapq
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile, _Job
from records.engines.sharded.file import ShardFile

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TICK = 0.001
"""Seconds that a step takes."""

WHO: ContextVar[object] = ContextVar("WHO", default=None)
"""On whose behalf a task runs: tasks that it starts inherit it, and so do their steps."""


@dataclass(eq=False, slots=True)
class Step:
    """Something that waits to be done: a call that blocks, or a transaction in the queue of a file's writer."""

    who: object
    name: str
    run: Callable[[], None]
    future: "asyncio.Future[Any] | None" = None
    file: "SteppedFile | None" = None
    job: "_Job[Any] | None" = None


class ScheduledLoop(asyncio.AbstractEventLoop):
    """Runs tasks up to their next steps, and no step before it is taken."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.steps: list[Step] = []
        self.errors: list[str] = []
        self.over = False
        self._ready: deque[asyncio.Handle] = deque()
        self._asleep: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._tasks: list[asyncio.Task[Any]] = []

    # -- for tests -------------------------------------------------------------------------------------------------

    def begin(self, who: object, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start a task and run it up to its first step."""
        context = Context()
        context.run(WHO.set, who)
        task: asyncio.Task[T] = self.create_task(work, context=context)
        self.settle()
        return task

    def end(self) -> None:
        """Let whatever is still there clean up after itself, without a step."""
        self.over = True
        self._ready.extend(self._asleep)
        for _ in range(20):  # some ask for several more steps on their way out
            for task in self._tasks:
                task.cancel()
            self.settle()
        assert all(task.done() for task in self._tasks)

    def settle(self) -> None:
        """Let every task go on until all of them wait for a step, a timer or another task."""
        asyncio._set_running_loop(self)
        try:
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            asyncio._set_running_loop(None)

    def take(self, step: Step) -> None:
        """Do this step, and let go on whoever waited for it.

        A writer takes what waits in its queue with it, up to this step: one commit for all of them.
        """
        self.do(step)
        self.settle()

    def do(self, step: Step) -> None:
        """As `take`, but nobody goes on yet."""
        self.now += TICK
        token = WHO.set(step.who)  # whatever it calls back is its process's, and dies with it
        try:
            self._do(step)
        finally:
            WHO.reset(token)

    def _do(self, step: Step) -> None:
        if step.file is None or step.job is None:
            self.steps.remove(step)
            step.run()
            return
        queue = [each for each in self.steps if each.file is step.file]
        group = queue[: queue.index(step) + 1]
        alone = next((at for at, each in enumerate(group) if each.job is not None and each.job.alone), None)
        if alone is not None:  # a transaction that shares no commit goes by itself, those before it first
            group = group[: max(alone, 1)]
        for each in group:
            self.steps.remove(each)
        step.file.commit([each.job for each in group if each.job is not None])

    def pass_time(self, seconds: float) -> None:
        """Let that many seconds go by."""
        self.now += seconds
        while self._timers and self._timers[0][0] <= self.now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)
        self.settle()

    def forget(self, gone: Callable[[object], bool]) -> None:
        """Whoever this says is gone never does another step, nor hears of time."""
        self.steps = [step for step in self.steps if not gone(step.who)]
        self._asleep += [each for each in self._ready if gone(_who(each))]
        self._ready = deque(each for each in self._ready if not gone(_who(each)))
        self._timers = [each for each in self._timers if not gone(_who(each[2]))]
        heapq.heapify(self._timers)

    def enqueue(self, file: "SteppedFile", job: "_Job[Any]") -> None:
        """A transaction waits for its file's writer."""
        if self.over:
            job.result.cancel()
            return
        name = f"{file.path.stem} write {_name(job.run)}"
        self.steps.append(Step(WHO.get(), name, lambda: None, None, file, job))

    # -- for asyncio -----------------------------------------------------------------------------------------------

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self.create_future()
        if self.over:
            future.cancel()
            return future

        def run() -> None:
            if future.cancelled():
                return  # nobody waits for it any more, and no thread had begun with it
            try:
                result = func(*args)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.steps.append(Step(WHO.get(), _name(func, *args), run, future))
        return future

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> Any:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        # Kept: those of a process that died must stay as they are, and thrown away they would clean up.
        self._tasks.append(task)
        return task

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left where it is and passed over."""

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")


class SteppedFile(SqliteFile):
    """A database file whose writer is a step of the loop instead of a thread; transactions and commits are its own."""

    def __init__(self, *opened: Any, behind: bool) -> None:
        super().__init__(*opened, behind=behind)
        self._thread.join()
        self._jobs = _Queue(self)  # type: ignore[assignment]
        self.abandoned = False
        note = getattr(WHO.get(), "opened", None)
        if note is not None:
            note(self)

    def _write_loop(self, connection: sqlite3.Connection) -> None:
        self._writer = connection

    def commit(self, jobs: "list[_Job[Any]]") -> None:
        """What the writer's thread does with what it found in its queue."""
        if len(jobs) == 1 and jobs[0].alone:
            self._run_alone(self._writer, jobs[0])
        else:
            self._run_group(self._writer, jobs)

    def _close(self) -> None:
        super()._close()
        self._writer.close()

    def abandon(self) -> None:
        """The process died: the system closes its files."""
        if not self.abandoned:
            self.abandoned = True
            self._close()


class SteppedShardFile(SteppedFile, ShardFile):
    """The same of a shard."""


class _Queue:
    """Stands for the queue of the writer's thread."""

    def __init__(self, file: SteppedFile) -> None:
        self._file = file

    def put(self, job: "_Job[Any] | None") -> None:
        if job is not None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, ScheduledLoop)
            loop.enqueue(self._file, job)

    def qsize(self) -> int:
        """Nothing waits here: who steps knows what does."""
        return 0


def _who(handle: asyncio.Handle) -> object:
    return handle._context.get(WHO)  # type: ignore[attr-defined]


def _name(call: Any, *args: Any) -> str:
    """What a step is called: the function that it will run, without what only passes it on."""
    if isinstance(call, functools.partial):
        return _name(call.func, *call.args, *args)
    owner = getattr(call, "__self__", None)
    if isinstance(owner, Context):
        return _name(*args)
    if getattr(call, "__name__", "") == "_alone":
        return _name(*args)
    if isinstance(owner, SqliteFile) and args:
        return f"{owner.path.stem} read {_name(*args)}"
    inner = inspect.getclosurevars(call).nonlocals if inspect.isfunction(call) else {}
    if getattr(call, "__name__", "") == "guarded":
        return _name(inner["run"])
    if "call" in inner:
        return _name(inner["call"], *inner.get("args", ()))
    return (
        str(getattr(call, "__qualname__", call)).replace(".<locals>", "").replace(".run", "").replace(".<lambda>", "")
    )
