"""A catalogue in PostgreSQL as one end of a move."""

from blobstore.catalogues.postgres.schema import SCHEMA, STEPS, slot_id
from blobstore.catalogues.sections import SECTIONS
from blobstore.postgres import Database
from blobstore.postgres.outbox import number
from blobstore.postgres.side import PostgresSide, Table

_COUNTER = "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM catalogue.counter)"

_TABLES = {
    "store": Table(
        read=f"SELECT id, {_COUNTER} AS counter FROM catalogue.store",
        write=(
            ("INSERT INTO catalogue.store (id) VALUES ($1)", (0,)),
            ("SELECT setval('catalogue.counter', greatest($1::bigint, 1), $1::bigint > 0)", (1,)),
        ),
    ),
    "blobs": Table(raw="uploader"),
    "holders": Table(raw="holder", flags="confirmed"),
    "former": Table(raw="holder"),
    "claims": Table(raw="holder slot scope media_type", added={"slot_id": lambda row: slot_id(row[2])}),
    "leases": Table(raw="holder scope slot"),
    "numbering": Table(clear=(), write=(("UPDATE catalogue.numbering SET given = $1", (0,)),)),
    "limits": Table(raw="holder"),
    "volumes": Table(raw="holder"),
}


def catalogue_side(database: Database) -> PostgresSide:
    """The schema `catalogue`. Its outbox is numbered before it is given away: elsewhere events have numbers at once."""
    return PostgresSide(database, SCHEMA, STEPS, SECTIONS, _TABLES, lambda db: number(db, SCHEMA))
