"""A central store in PostgreSQL as one end of a move."""

from blobstore.postgres import Database
from blobstore.postgres.side import PostgresSide, Table
from records.audit.spine import GENESIS
from records.centrals.postgres.schema import SCHEMA, STEPS
from records.centrals.sections import SECTIONS

_LAST = "SELECT hash FROM central.spine WHERE owner = $1::text ORDER BY seq DESC LIMIT 1"

_TABLES = {
    "owners": Table(raw="subject digest"),
    "chains": Table(
        write=(
            (
                "INSERT INTO central.chains (owner, events, hash)"
                f" VALUES ($1, $2, coalesce(({_LAST}), '\\x{GENESIS.hex()}'::bytea))",
                (0, 1),
            ),
        ),
    ),
    "tokens": Table(raw="label grant_id"),
    "grants": Table(raw="id client connector"),
    "erasures": Table(raw="id connector instance owner_digest", flags="paused"),
    "targets": Table(raw="erasure"),
    "samples": Table(raw="erasure"),
    "connectors": Table(raw="id"),
    "instances": Table(raw="id connector erasure", flags="is_default"),
    "states": Table(raw="instance grant_id stream"),
    "homes": Table(raw="connector", flags="rests notes stale"),
    "noted": Table(raw="grant_id connector blob"),
}


def central_side(database: Database) -> PostgresSide:
    """The schema `central`."""
    return PostgresSide(database, SCHEMA, STEPS, SECTIONS, _TABLES)
