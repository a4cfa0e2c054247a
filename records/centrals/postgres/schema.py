"""Tables of the central store in PostgreSQL, and what its parts share."""

from dataclasses import dataclass

from blobstore.postgres import Connection, Database, Record, Step
from blobstore.postgres.binding import BOUND
from blobstore.postgres.unsampled import unsampled
from records.errors import Conflict, Unknown

SCHEMA = "central"

CONTENT = tuple(
    f"{SCHEMA}.{table}"
    for table in ("owners", "tokens", "grants", "homes", "connectors", "instances", "states", "targets", "samples")
)
"""Tables whose rows may hold what an erasure must leave no trace of. All are small, for they are written anew."""

# Names from outside (subjects, labels, ids of clients, connectors, instances and streams; and whatever is only looked
# up by such a name) are BYTEA: their UTF-8 may hold NUL, which TEXT refuses, and its order is that of code points. What
# is made here is TEXT COLLATE "C", which has the same order. A name has up to 2 KiB, a row of an index up to 2.7: so no
# index has two names.
#
# `chains` has one row an owner, and is the owner's lock: whoever changes what is the owner's locks that row first, so
# writers of one owner follow each other and every statement sees what those before have committed. It also has the
# end of the spine, so that an event is chained without looking for the last; and so a spine that has lost its end is
# seen. `owners.subject` is the name until the owner is erased; `digest` stands for it from then on. `number` keeps the
# order of insertion where times are equal. `states.grant_id` is empty for the global namespace: nulls would not be
# unique. `noted` finds events of the spine by what they are about. A target, which may name a record's key, is in
# `targets` until it is redacted, and in `erasures` from then on: that table never holds a key. What is chained has no
# foreign keys, for the lock on `chains` has shown already that the owner is there. `locks` are those between machines
# (`records.locking`); they tell nothing of content.
#
# On a distributed PostgreSQL (Citus) `chains` and the tables below it are distributed by `owner`, with which their
# keys begin, all in one colocation group. Those above it are reference tables: they are small, change seldom, and are
# looked up by what names no owner (a token's digest, the id of a grant or an erasure, a subject).
_INITIAL = f"""
{BOUND.format(schema=SCHEMA)};
CREATE TABLE central.owners (
    id TEXT COLLATE "C" PRIMARY KEY, created_at TEXT COLLATE "C" NOT NULL, subject BYTEA UNIQUE,
    erased_at TEXT COLLATE "C", digest BYTEA, CHECK ((subject IS NULL) = (digest IS NOT NULL))
);
CREATE TABLE central.tokens (
    digest BYTEA PRIMARY KEY, number BIGINT GENERATED ALWAYS AS IDENTITY, kind TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL REFERENCES central.owners, created_at TEXT COLLATE "C" NOT NULL,
    expires_at TEXT COLLATE "C", revoked_at TEXT COLLATE "C", label BYTEA, grant_id BYTEA
);
CREATE INDEX tokens_by_owner ON central.tokens (owner);
CREATE TABLE central.grants (
    id BYTEA PRIMARY KEY, number BIGINT GENERATED ALWAYS AS IDENTITY,
    owner TEXT COLLATE "C" NOT NULL REFERENCES central.owners, client BYTEA NOT NULL, connector BYTEA NOT NULL,
    document BYTEA NOT NULL, created_at TEXT COLLATE "C" NOT NULL, expires_at TEXT COLLATE "C",
    revoked_at TEXT COLLATE "C"
);
CREATE INDEX grants_by_owner ON central.grants (owner, created_at, number);
CREATE TABLE central.erasures (
    id BYTEA PRIMARY KEY, number BIGINT GENERATED ALWAYS AS IDENTITY,
    owner TEXT COLLATE "C" NOT NULL REFERENCES central.owners, target BYTEA, state TEXT COLLATE "C" NOT NULL,
    requested_at TEXT COLLATE "C" NOT NULL, completed_at TEXT COLLATE "C", result BYTEA, connector BYTEA,
    instance BYTEA, owner_digest BYTEA, resumed BIGINT NOT NULL DEFAULT 0, receipt BYTEA,
    paused BOOLEAN NOT NULL DEFAULT false
);
CREATE INDEX erasures_by_owner ON central.erasures (owner, number);
CREATE INDEX erasures_unfinished ON central.erasures (requested_at, number) WHERE state != 'done';
CREATE TABLE central.targets (erasure BYTEA PRIMARY KEY, target BYTEA NOT NULL);
CREATE TABLE central.locks (
    name TEXT COLLATE "C" PRIMARY KEY, host TEXT COLLATE "C" NOT NULL, holder TEXT COLLATE "C" NOT NULL,
    detail BYTEA NOT NULL, expires_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE central.samples (erasure BYTEA PRIMARY KEY, key BYTEA NOT NULL, sealed BYTEA NOT NULL);

CREATE TABLE central.chains (
    owner TEXT COLLATE "C" PRIMARY KEY REFERENCES central.owners, events BIGINT NOT NULL, hash BYTEA NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE central.spine (
    owner TEXT COLLATE "C", seq BIGINT, at TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL, previous BYTEA NOT NULL, hash BYTEA NOT NULL,
    PRIMARY KEY (owner, seq)
);
CREATE TABLE central.noted (
    owner TEXT COLLATE "C", seq BIGINT, grant_id BYTEA, connector BYTEA, blob BYTEA,
    PRIMARY KEY (owner, seq)
);
CREATE INDEX noted_by_grant ON central.noted (owner, grant_id, seq) WHERE grant_id IS NOT NULL;
CREATE INDEX noted_by_connector ON central.noted (owner, connector, seq) WHERE connector IS NOT NULL;
CREATE INDEX noted_by_blob ON central.noted (owner, blob, seq) WHERE blob IS NOT NULL;
CREATE TABLE central.checkpoints (
    owner TEXT COLLATE "C", seq BIGINT, made_at TEXT COLLATE "C" NOT NULL, document BYTEA NOT NULL,
    PRIMARY KEY (owner, seq)
);
CREATE TABLE central.delivered (
    owner TEXT COLLATE "C", source TEXT COLLATE "C", seq BIGINT NOT NULL,
    PRIMARY KEY (owner, source)
);
CREATE TABLE central.topologies (
    owner TEXT COLLATE "C" PRIMARY KEY REFERENCES central.chains, topology TEXT COLLATE "C", revision BIGINT NOT NULL
);
CREATE TABLE central.homes (
    owner TEXT COLLATE "C" REFERENCES central.chains, connector BYTEA, shard TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL DEFAULT 1, rests BOOLEAN NOT NULL DEFAULT false,
    notes BOOLEAN NOT NULL DEFAULT false, stale BOOLEAN NOT NULL DEFAULT false, oldest DOUBLE PRECISION,
    holds BYTEA,
    PRIMARY KEY (owner, connector)
);
CREATE TABLE central.connectors (
    owner TEXT COLLATE "C" REFERENCES central.chains, id BYTEA, manifest BYTEA NOT NULL,
    registered_at TEXT COLLATE "C" NOT NULL, erased_at TEXT COLLATE "C",
    PRIMARY KEY (owner, id)
);
CREATE TABLE central.instances (
    owner TEXT COLLATE "C", id BYTEA, connector BYTEA NOT NULL, is_default BOOLEAN NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL, erased_at TEXT COLLATE "C", erasure BYTEA,
    PRIMARY KEY (owner, id), FOREIGN KEY (owner, connector) REFERENCES central.connectors (owner, id)
);
CREATE INDEX instances_living ON central.instances (owner, connector) WHERE erased_at IS NULL;
CREATE INDEX instances_by_erasure ON central.instances (owner, erasure) WHERE erasure IS NOT NULL;
CREATE UNIQUE INDEX instances_default ON central.instances (owner, connector) WHERE is_default AND erased_at IS NULL;
CREATE TABLE central.states (
    owner TEXT COLLATE "C" NOT NULL, instance BYTEA NOT NULL, grant_id BYTEA NOT NULL, stream BYTEA NOT NULL,
    value BYTEA NOT NULL, updated_at TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX states_place ON central.states (owner, instance, grant_id, sha256(stream));
"""

_UNSAMPLED = (
    unsampled("central.owners", "subject", "digest"),
    unsampled("central.tokens", "label"),
    unsampled("central.grants", "client", "connector", "document"),
    unsampled("central.connectors", "manifest"),
    unsampled("central.instances", "id"),
    unsampled("central.homes", "holds"),
    unsampled("central.states", "instance", "stream", "value"),
    unsampled("central.targets", "target"),
    unsampled("central.samples", "key", "sealed"),
)

STEPS = (Step("m001_initial", "; ".join((_INITIAL.rstrip().removesuffix(";"), *_UNSAMPLED))),)


SUBJECT = "coalesce(owners.subject, owners.digest)"
"""What an owner is called: its name, or what stands for it once it is erased."""


class OnDatabase:
    """What the parts of the adapter share: the database."""

    def __init__(self, db: Database) -> None:
        self._db = db


@dataclass(frozen=True, slots=True)
class End:
    """Where an owner's spine ends: how many events were ever chained, and the hash of the last."""

    owner: str
    events: int
    hash: bytes


async def lock(db: Connection, owner: str) -> End:
    """Let no one else change what is this owner's until the transaction ends. Raises `Unknown`."""
    return _to_end(owner, await db.fetchrow(f"{_END} FOR NO KEY UPDATE", owner))


async def end_of(db: Connection | Database, owner: str) -> End:
    """Where the owner's spine ends at this moment; it may go on at any. Raises `Unknown`."""
    return _to_end(owner, await db.fetchrow(_END, owner))


_END = "SELECT events, hash FROM central.chains WHERE owner = $1"


def _to_end(owner: str, row: Record | None) -> End:
    if row is None:
        raise Unknown("no such owner")
    return End(owner, *row)


async def require_present(db: Connection, owner: str) -> None:
    """Raise `Conflict` when nothing new may be made for the owner, who is locked."""
    if await db.fetchval("SELECT erased_at FROM central.owners WHERE id = $1", owner) is not None:
        raise Conflict("the owner was erased")


async def require_living(db: Connection, owner: str, connector: str) -> None:
    """Raise `Unknown` or `Conflict` when the connector takes no writes."""
    sql = "SELECT erased_at FROM central.connectors WHERE owner = $1 AND id = $2"
    row = await db.fetchrow(sql, owner, raw(connector))
    if row is None:
        raise Unknown("no such connector")
    if row[0] is not None:
        raise Conflict("the connector was erased")


def raw(name: str) -> bytes:
    """A name as it stands in the tables."""
    return name.encode()


def raw_or_none(name: str | None) -> bytes | None:
    """The same where there may be none."""
    return None if name is None else name.encode()


def text(name: bytes) -> str:
    """A name as it was given."""
    return name.decode()


def text_or_none(name: bytes | None) -> str | None:
    """The same where there may be none."""
    return None if name is None else name.decode()
