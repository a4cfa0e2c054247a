"""Connections to a PostgreSQL database: how they are opened, had for a while, and what every session is set to."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self

import asyncpg
from asyncpg import Record
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from blobstore.errors import StorageUnavailable
from blobstore.postgres.admission import Step, admit
from blobstore.postgres.clock import require_agreeing
from blobstore.postgres.errors import is_lost, translate

if TYPE_CHECKING:
    Connection = PoolConnectionProxy[Record]
else:
    Connection = PoolConnectionProxy  # takes no parameters when it runs

CONNECT_TIMEOUT = 5.0
"""Seconds for one try to connect."""

RECONNECT = 5.0
"""Seconds that a transaction waits for a database that is away, from the first loss on, before it gives up."""

POOL_WAIT = 30.0
"""Seconds that a transaction waits for a connection of the pool while others use them all."""

STATEMENT_TIMEOUT = 30.0
"""Seconds for one statement, its waiting for locks included, where the caller says nothing else."""

IDLE_TIMEOUT = 60.0
"""Seconds after which PostgreSQL ends a transaction that sends nothing: so locks of a host that vanished get free."""

CLOSE_TIMEOUT = 5.0
"""Seconds that a pool is waited for when it is closed."""

RELEASE_TIMEOUT = 5.0
"""Seconds for what the driver may still have to do before it can give a connection to another."""

_SETTINGS = {
    "application_name": "blobstore",
    "statement_timeout": f"{STATEMENT_TIMEOUT:.0f}s",
    "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT:.0f}s",
    "search_path": "pg_catalog",  # every name is written with its schema
    "timezone": "UTC",
    "standard_conforming_strings": "on",  # whatever the role's default: a backslash is one
    "jit": "off",  # statements here are short
    "plan_cache_mode": "force_custom_plan",  # a plan made while a table was empty would be kept while it grows
}

_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')
"""

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What the driver raises."""


class Pool:
    """A bounded number of connections, opened when they are needed."""

    def __init__(self, pool: "asyncpg.Pool[Record]") -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, size: int, uses: Mapping[str, Sequence[Step]]) -> Self:
        """At most `size` connections; none is opened yet. Each is admitted to what it `uses`."""

        async def init(connection: "asyncpg.Connection[Record]") -> None:
            # Whatever the database's default: what we acknowledge is durable. Stronger settings (remote_apply) stay.
            await connection.execute(_DURABLE)
            if uses:
                await admit(connection, uses)
                await require_agreeing(connection)

        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            timeout=CONNECT_TIMEOUT,
            target_session_attrs=SessionAttribute.primary,
            server_settings=_SETTINGS,
            init=init,
            reset=_leave,
        )
        return cls(pool)

    def connections(self) -> tuple[int, int]:
        """How many are open: busy, and idle."""
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle

    @asynccontextmanager
    async def connection(self, since: float | None = None) -> AsyncIterator[Connection]:
        """A connection for the length of the block; one that was lost in it is thrown away.

        `since`: when the database was found away (None: it was not). Raises `StorageUnavailable`.
        """
        connection = await self._acquire(since)
        try:
            yield connection
        except asyncpg.InternalClientError as error:  # how the driver takes it when an idle connection is ended
            throw_away(connection)
            raise ConnectionResetError("the connection was lost") from error
        except asyncpg.InterfaceError as error:
            if is_gone(connection):  # since the statement before
                raise ConnectionResetError("the connection was lost") from error
            raise
        except BaseException as error:
            if is_lost(error):  # also after a time-out: who knows what it is still doing
                throw_away(connection)
            raise
        finally:
            await self._release(connection)

    async def close(self) -> None:
        """Wait for what is under way, at most `CLOSE_TIMEOUT` seconds, then close all. Harmless when called twice."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._pool.close()  # which terminates what is left when it is cancelled

    async def _acquire(self, since: float | None) -> Connection:
        while True:
            try:
                return await self._pool.acquire(timeout=POOL_WAIT)
            except ValueError as error:
                raise StorageUnavailable(f"the database's URL: {error}") from error
            except FAILURES as error:
                if not is_lost(error):
                    raise translate(error) from error
                since = await pause(since, error)

    async def _release(self, connection: Connection) -> None:
        try:
            await self._pool.release(connection, timeout=RELEASE_TIMEOUT)
        except FAILURES:
            return  # it was lost on the way back, and is closed; nothing was under way on it


def is_gone(connection: Connection) -> bool:
    """Whether the connection was closed, by whomever."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it away
        return True


def throw_away(connection: Connection) -> None:
    """Close it at once, without asking."""
    if not is_gone(connection):
        connection.terminate()


async def pause(since: float | None, error: Exception) -> float:
    """Wait a moment for a database that is away; since when it is.

    Raises `StorageUnavailable` after `RECONNECT` seconds, and at once after a time-out: it had its time.
    """
    now = time.monotonic()
    if isinstance(error, TimeoutError) or (since is not None and now - since >= RECONNECT):
        raise StorageUnavailable(f"PostgreSQL does not answer: {str(error) or type(error).__name__}") from error
    if since is None:
        return now  # at once: more often than not just this one connection was lost
    await asyncio.sleep(random.uniform(0.05, 0.25))  # noqa: S311 -- so that not all come back at one moment
    return since


async def _leave(connection: "asyncpg.Connection[Record]") -> None:
    """No session keeps anything between two transactions: nothing to reset, one round trip less for each."""
