"""Which programs may use a schema: sessions of a program that does not know a step never meet its tables.

Each session of a process holds, for as long as it lives, a shared lock that says how many steps that must be known its
program knows. Whoever takes another such step excludes the holders of smaller numbers, or finds them there and does not
take it. A session that begins later has waited for that, and then looks whether its program knows all that it must.
So no statement of an older program ever runs on tables that it does not understand, whenever its connections were lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncpg import Record

from blobstore.errors import NewerVersion
from blobstore.postgres.advisory import advisory_key

MOVED = "moved"
"""The only step of a schema that stands in the place of one that has moved away (`blobstore.postgres.side`)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A migration: its name, unique in its schema, and SQL with any number of statements.

    `additive`: programs of the version before do not notice, and go on. Not so: they must know it, or stay away.
    """

    name: str
    sql: str
    additive: bool = False


class Session(Protocol):
    """What is asked of a connection."""

    async def fetch(self, sql: str, *values: object) -> list[Record]:
        """All rows."""
        ...


async def admit(db: Session, uses: Mapping[str, Sequence[Step]]) -> None:
    """For each session, before anything else: it is one of a program that knows these steps of these schemas.

    Waits for whoever takes a step. Raises `NewerVersion` where there is one that the program must know and does not.
    """
    await db.fetch(_USE, [_key(schema, _needed(steps)) for schema, steps in uses.items()])
    for schema in [row[0] for row in await db.fetch(_THERE, list(uses))]:
        known = [step.name for step in uses[schema]]
        rows = await db.fetch(f"SELECT name, additive FROM {schema}.migrations ORDER BY number")
        require_known(schema, known, {row[0]: row[1] for row in rows})


def require_known(schema: str, known: Sequence[str], taken: Mapping[str, bool]) -> None:
    """Raise `NewerVersion` where a step was taken, and must be known, that is not among these."""
    unknown = [name for name, additive in taken.items() if not additive and name not in known and name != MOVED]
    if unknown:
        raise NewerVersion(
            f"the database's schema {schema} was made by a newer version ({unknown[-1]}); upgrade this program"
        )


async def alone(db: Session, schema: str, steps: Sequence[Step]) -> bool:
    """Whether no program uses the schema that does not know all steps that these say must be known; nor will any.

    In a transaction, until its end. Programs that know them go on.
    """
    keys = [_key(schema, count) for count in range(_needed(steps))]
    rows = await db.fetch(_EXCLUDE, keys)
    return all(row[0] for row in rows)


def _needed(steps: Sequence[Step]) -> int:
    return sum(not step.additive for step in steps)


def _key(schema: str, needed: int) -> int:
    return advisory_key(f"uses {schema}/{needed}")


_USE = "SELECT pg_advisory_lock_shared(key) FROM unnest($1::bigint[]) AS key"
_EXCLUDE = "SELECT pg_try_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"

_THERE = """
SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relname = 'migrations'
"""
