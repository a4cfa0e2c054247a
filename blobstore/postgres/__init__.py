"""A PostgreSQL database, used by many tasks, processes and hosts at once. The one place that asyncpg is imported from.

What is done is done once: a commit whose answer was lost is asked about, never guessed (`blobstore.postgres.database`).
Import this package only where PostgreSQL is used: the other topologies run without its driver.
"""

from asyncpg import Record

from blobstore.postgres.database import Connection, Database, Isolation, changed
from blobstore.postgres.migrations import Step, migrate

__all__ = ["Connection", "Database", "Isolation", "Record", "Step", "changed", "migrate"]
