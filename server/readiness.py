"""Whether the server can do its work: its databases answer, its blobs are there, its disk has room, it is to go on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from blobstore.errors import NewerVersion
from records.store import RecordStore
from server import logs
from server.stopping import Stopping

ANSWER_WITHIN = 5.0
"""Seconds that a part of the store gets to show that it answers."""

REMEMBERED = 5.0
"""Seconds for which the place of the blobs is not asked again once it answered: S3 counts requests."""

OK = "ok"
NO_ANSWER = "no answer"

COLLECTION = "collection"
"""Told only where it was stopped: a server whose garbage waits for somebody to look at it serves all the same."""

DRAINING = {"server": "draining"}
"""Told only then."""


class Readiness:
    """Looks at one store. However many ask, a part that hangs is asked once at a time."""

    def __init__(self, store: RecordStore, stopping: Stopping) -> None:
        self._store = store
        self._stopping = stopping
        self._records = _Question("records", self._ask_central)
        self._catalogue = _Question("catalogue", self._ask_catalogue)
        self._blobs = _Question("blobs", self._ask_backend, REMEMBERED)
        self._space = _Question("space", store.blobs.disk.lacking)

    async def check(self, request_id: str) -> dict[str, str]:
        """What is wrong with records, blobs and space, each in a few words; `OK` where nothing is.

        Of blobs the place of the bytes is meant, unless the words begin with `catalogue`.
        """
        questions = (self._records, self._catalogue, self._blobs, self._space)
        records, catalogue, blobs, space = await asyncio.gather(*(each.answer(request_id) for each in questions))
        checks = {"records": records, "blobs": blobs if catalogue == OK else f"catalogue: {catalogue}", "space": space}
        if self._store.collections.stopped is not None:  # why is not for anybody who asks
            checks[COLLECTION] = "stopped: the log says why"
        return checks | (DRAINING if self._stopping.announced else {})

    async def _ask_central(self) -> None:
        await self._store.central.token(b"")  # which nobody has: cheap at any number of owners

    async def _ask_catalogue(self) -> None:
        await self._store.blobs.catalogue.store_id()

    async def _ask_backend(self) -> None:
        # Not in the threads that uploads and downloads keep busy. Whose bytes they are is collection's question.
        await asyncio.to_thread(self._store.blobs.backend.bound)

    async def close(self) -> None:
        """Ask no more."""
        for each in (self._records, self._catalogue, self._blobs, self._space):
            await each.close()


def is_ready(checks: Mapping[str, str]) -> bool:
    """Whether it can do its work."""
    return all(found == OK for part, found in checks.items() if part != COLLECTION)


class _Question:
    """What one part is asked: None is a good answer, and remembered for some seconds; words say what is wrong."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[str | None]], good_for: float = 0.0) -> None:
        self._name = name
        self._ask = ask
        self._asking: asyncio.Task[str] | None = None
        self._begun = 0.0
        self._good_for = good_for
        self._good_until = 0.0

    async def answer(self, request_id: str) -> str:
        """`OK`, or what is wrong. Who asks after others waits no longer than the first of them."""
        now = asyncio.get_running_loop().time()
        if now < self._good_until:
            return OK
        asking = self._asking
        if asking is None:
            self._begun = now
            asking = self._asking = asyncio.create_task(self._asked(request_id))
        await asyncio.wait([asking], timeout=max(0.0, self._begun + ANSWER_WITHIN - now))
        return asking.result() if asking.done() else NO_ANSWER

    async def close(self) -> None:
        """Let go of a question that hangs."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking

    async def _asked(self, request_id: str) -> str:
        try:
            found = await self._ask()
        except Exception as error:
            logs.failure(error, request_id, f"not ready: {self._name}")
            return _words(error)
        finally:
            self._asking = None
        if found is not None:
            return found
        self._good_until = asyncio.get_running_loop().time() + self._good_for
        return OK


def _words(error: Exception) -> str:
    return "a newer version of this program has taken it over" if isinstance(error, NewerVersion) else NO_ANSWER
