"""Tables of the catalogue. Each key begins with the namespace, so that namespaces can be spread over many servers.

What comes from outside and is opaque here (holders, scopes, slots, media types) is kept as the bytes of its UTF-8: they
may hold what no text of PostgreSQL may, and their order is that of code points. A slot may be longer than an entry of
an index: its digest stands for it in keys, its beginning in the index that finds slots by their beginning.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from blobstore.catalogues.postgres.totals import TABLES as TOTALS
from blobstore.postgres import Connection, Database, Step
from blobstore.postgres.advisory import advisory_key
from blobstore.postgres.groups import Groups
from blobstore.postgres.outbox import OUTBOX
from blobstore.postgres.transaction import BY_KEY
from blobstore.postgres.unsampled import unsampled

T = TypeVar("T")

SCHEMA = "catalogue"

CONTENT = ("catalogue.claims", "catalogue.leases", "catalogue.derived")
"""Tables whose rows hold what an erasure must leave no trace of: slots name records, keys open what was derived."""

# `counter` orders condemnations and gives every hold a version that was never used before, also not by a deleted row.
# `former`: who let go of a blob that is there. `uploader`: whose lease it was that was taken, or given up. A volume
# whose holder is empty is that of the whole namespace. `left_at`: when a place ceased to be the intake; NULL while it
# is.
#
# Of a namespace that statistics do not know PostgreSQL expects one row, or none. Then each index that begins with the
# namespace is as good as any other, and it takes one that goes through the whole namespace. So only keys begin with it,
# and of namespaces there are no statistics: then columns that are added to a condition always seem to make it narrower.
_INITIAL = f"""
CREATE SEQUENCE catalogue.counter;
CREATE TABLE catalogue.store (one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), id TEXT NOT NULL);
CREATE TABLE catalogue.blobs (
    namespace TEXT COLLATE "C" NOT NULL, digest BYTEA NOT NULL, generation TEXT COLLATE "C" NOT NULL,
    sha256 BYTEA NOT NULL, size BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('live', 'quarantined', 'condemned')),
    verified_at DOUBLE PRECISION NOT NULL, orphaned_at DOUBLE PRECISION,
    condemned_seq BIGINT, reason TEXT, process TEXT,
    place BIGINT NOT NULL DEFAULT 0, kept_until DOUBLE PRECISION, late_until DOUBLE PRECISION, uploader BYTEA,
    PRIMARY KEY (namespace, digest, generation)
);
CREATE UNIQUE INDEX blobs_live ON catalogue.blobs (namespace, digest) WHERE state = 'live';
CREATE INDEX blobs_by_sha256 ON catalogue.blobs (sha256, namespace) WHERE state = 'live';
CREATE INDEX blobs_orphaned ON catalogue.blobs (orphaned_at, namespace, digest, generation) INCLUDE (size)
    WHERE orphaned_at IS NOT NULL;
CREATE INDEX blobs_condemned ON catalogue.blobs (condemned_seq) WHERE state = 'condemned' AND kept_until IS NULL;
CREATE INDEX blobs_kept ON catalogue.blobs (kept_until) WHERE kept_until IS NOT NULL;
CREATE INDEX blobs_taken ON catalogue.blobs (process) WHERE process IS NOT NULL;
CREATE INDEX blobs_by_verification ON catalogue.blobs (verified_at) WHERE state = 'live';
CREATE TABLE catalogue.holders (
    namespace TEXT COLLATE "C" NOT NULL, digest BYTEA NOT NULL, holder BYTEA NOT NULL,
    version BIGINT NOT NULL, confirmed BOOLEAN NOT NULL,
    PRIMARY KEY (namespace, digest, holder)
);
CREATE INDEX holders_by_holder ON catalogue.holders (holder, namespace, digest);
CREATE INDEX holders_unconfirmed ON catalogue.holders (version) WHERE NOT confirmed;
CREATE TABLE catalogue.former (
    namespace TEXT COLLATE "C" NOT NULL, digest BYTEA NOT NULL, holder BYTEA NOT NULL,
    PRIMARY KEY (namespace, holder, digest)
);
CREATE INDEX former_by_blob ON catalogue.former (digest, namespace);
CREATE TABLE catalogue.claims (
    namespace TEXT COLLATE "C" NOT NULL, digest BYTEA NOT NULL, holder BYTEA NOT NULL, slot_id BYTEA NOT NULL,
    slot BYTEA NOT NULL, scope BYTEA NOT NULL, media_type BYTEA NOT NULL, expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (namespace, digest, holder, slot_id)
);
CREATE INDEX claims_by_slot ON catalogue.claims (holder, substring(slot FROM 1 FOR 256), namespace);
CREATE INDEX claims_by_expiry ON catalogue.claims (expires_at);
CREATE TABLE catalogue.leases (
    namespace TEXT COLLATE "C" NOT NULL, id TEXT COLLATE "C" NOT NULL, holder BYTEA NOT NULL, scope BYTEA NOT NULL,
    process TEXT COLLATE "C" NOT NULL, expires_at DOUBLE PRECISION NOT NULL,
    digest BYTEA, sha256 BYTEA, size BIGINT, reserved BIGINT NOT NULL, slot BYTEA NOT NULL,
    place BIGINT NOT NULL DEFAULT 0, copies TEXT COLLATE "C",
    PRIMARY KEY (namespace, id)
);
CREATE TABLE catalogue.places (
    id BIGINT PRIMARY KEY, location TEXT COLLATE "C" NOT NULL UNIQUE, options TEXT NOT NULL, left_at DOUBLE PRECISION
);
CREATE UNIQUE INDEX places_intake ON catalogue.places ((left_at IS NULL)) WHERE left_at IS NULL;
CREATE INDEX leases_by_id ON catalogue.leases (id);
CREATE TABLE catalogue.pins (
    id TEXT COLLATE "C" PRIMARY KEY, namespace TEXT COLLATE "C", process TEXT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE catalogue.derived (
    namespace TEXT COLLATE "C" NOT NULL, digest BYTEA NOT NULL, kind TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL, key BYTEA NOT NULL,
    PRIMARY KEY (namespace, digest, kind), UNIQUE (namespace, number)
);
CREATE TABLE catalogue.derived_bytes (number BIGINT PRIMARY KEY, sealed BYTEA NOT NULL);
CREATE TABLE catalogue.gone (
    namespace TEXT COLLATE "C" NOT NULL, digest BYTEA NOT NULL, generation TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL, reason TEXT COLLATE "C" NOT NULL, at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (namespace, digest, generation)
);
CREATE INDEX gone_by_reason ON catalogue.gone (reason, namespace, digest, generation);
CREATE TABLE catalogue.limits (
    namespace TEXT COLLATE "C" NOT NULL, holder BYTEA NOT NULL, bytes BIGINT, PRIMARY KEY (namespace, holder)
);
CREATE TABLE catalogue.volumes (
    namespace TEXT COLLATE "C" NOT NULL, holder BYTEA NOT NULL, stored BIGINT NOT NULL, reserved BIGINT NOT NULL,
    PRIMARY KEY (namespace, holder)
);
{TOTALS};
{OUTBOX.format(schema="catalogue")};
{unsampled("catalogue.blobs", "namespace")};
{unsampled("catalogue.holders", "namespace")};
{unsampled("catalogue.former", "namespace")};
{unsampled("catalogue.gone", "namespace")};
{unsampled("catalogue.claims", "namespace", "slot", "scope", "media_type")};
{unsampled("catalogue.claims_by_slot", 2)};
{unsampled("catalogue.leases", "slot", "scope")};
{unsampled("catalogue.derived", "namespace", "key")};
{unsampled("catalogue.derived_bytes", "sealed")};
"""

_STORE = "INSERT INTO catalogue.store (id) VALUES (replace(gen_random_uuid()::text, '-', ''))"

STEPS = (Step("initial", _INITIAL), Step("store", _STORE))

UNUSED = """
    NOT EXISTS (SELECT 1 FROM catalogue.holders h WHERE h.namespace = b.namespace AND h.digest = b.digest)
    AND NOT EXISTS (SELECT 1 FROM catalogue.claims c WHERE c.namespace = b.namespace AND c.digest = b.digest)
"""
"""A row `b` of blobs whose blob nobody holds or claims."""


class OnDatabase:
    """What the parts of the adapter share: the database, and how they write to one namespace."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._groups = Groups(database)

    async def _write(self, namespace: str, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Write as the only one in this namespace."""
        return await self._groups.write(_lock(namespace), work)

    async def _write_by_key(self, namespace: str, work: Callable[[Connection], Awaitable[T]]) -> T:
        """The same, where each statement finds single rows by their keys."""
        return await self._groups.write(_lock(namespace), work, BY_KEY)


async def lock_namespaces(db: Connection, namespaces: Iterable[str]) -> None:
    """From here on be the only one in all of these namespaces; only statements after it see what others have done."""
    keys = sorted(advisory_key(_lock(each)) for each in set(namespaces))
    await db.execute("SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key", keys)


def _lock(namespace: str) -> str:
    return f"catalogue/{namespace}"


def slot_id(slot: bytes) -> bytes:
    """What stands for a slot in keys."""
    return hashlib.blake2b(slot, digest_size=16).digest()
