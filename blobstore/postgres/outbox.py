"""An outbox in PostgreSQL: events get their numbers when they are drained, not when they are written.

Transactions do not commit in the order in which they take numbers: one that is drained by a higher number would hide
one with a lower number that commits later. So events are written without one, in any number of transactions at once and
without a lock that all of them share; whoever drains numbers, one at a time, those that are committed. Of one
namespace they are numbered in the order of `id`, which its writers take under their own lock.
"""

from blobstore.postgres.database import Connection

OUTBOX = """
CREATE TABLE {schema}.outbox (
    namespace TEXT COLLATE "C" NOT NULL, id BIGINT GENERATED ALWAYS AS IDENTITY, seq BIGINT, body BYTEA NOT NULL,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX outbox_by_seq ON {schema}.outbox (seq);
CREATE TABLE {schema}.numbering (one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), given BIGINT NOT NULL);
INSERT INTO {schema}.numbering (given) VALUES (0)
"""
"""For the first step of a schema with an outbox. `given`: the last number that was given."""

UNNUMBERED = "SELECT EXISTS (SELECT 1 FROM {schema}.outbox WHERE seq IS NULL)"
"""Whether `number` has anything to do."""

NUMBERING = """
SELECT coalesce((SELECT min(seq) - 1 FROM {schema}.outbox), given), given FROM {schema}.numbering
"""
"""The number of the last event that was drained, and of the last that was given; right after `number`."""


async def number(db: Connection, schema: str) -> None:
    """Number the events that are committed and have no number; the transaction must be READ COMMITTED."""
    await db.execute(f"SELECT given FROM {schema}.numbering FOR UPDATE")  # one at a time; the next sees what we gave
    await db.execute(_NUMBER.format(schema=schema))


_NUMBER = """
WITH fresh AS (SELECT namespace, id, row_number() OVER (ORDER BY id) AS place FROM {schema}.outbox WHERE seq IS NULL),
numbered AS (
    UPDATE {schema}.outbox o SET seq = n.given + fresh.place FROM fresh, {schema}.numbering n
    WHERE o.namespace = fresh.namespace AND o.id = fresh.id RETURNING o.seq
)
UPDATE {schema}.numbering SET given = greatest(given, (SELECT max(seq) FROM numbered))
"""
