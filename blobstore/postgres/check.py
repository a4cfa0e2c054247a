"""What can be found wrong with a schema without reading what its rows mean.

PostgreSQL tells by itself where a page does not match its checksum, when the cluster was made with them. Where the
extension amcheck is there and this role may use it, tables and indexes are gone through as well.
"""

from blobstore.errors import Damaged
from blobstore.postgres.database import Connection, Database

CHECK_TIMEOUT = 3600.0
"""Seconds for going through one table or index."""


async def check(database: Database, schema: str) -> list[str]:
    """What is wrong with the tables and indexes of the schema; empty when nothing is."""
    found = [f"{row[0]} is not valid: REINDEX it" for row in await database.fetch(_INVALID, schema)]
    home: str | None = await database.fetchval(_AMCHECK)
    if home is None:
        return found
    for (table,) in await database.fetch(_RELATIONS, schema, "r"):
        found += await _try(database, f"SELECT msg FROM {home}.verify_heapam('{table}')", table)
    for (index,) in await database.fetch(_RELATIONS, schema, "i"):
        found += await _try(database, f"SELECT 1 FROM {home}.bt_index_check('{index}') AS done WHERE FALSE", index)
    return found


async def _try(database: Database, sql: str, relation: str) -> list[str]:
    async def run(db: Connection) -> list[str]:
        return [f"{relation}: {row[0]}" for row in await db.fetch(sql)]

    try:
        return await database.read(run, timeout=CHECK_TIMEOUT)
    except Damaged as error:
        return [f"{relation}: {error}"]


_INVALID = """
SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = to_regnamespace($1) AND NOT i.indisvalid
"""

_RELATIONS = """
SELECT oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind::text = $2 ORDER BY 1
"""

# Both functions, and the right to run them: by default nobody's but a superuser's.
_AMCHECK = """
SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'amcheck' AND EXISTS (
    SELECT 1 FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'verify_heapam'
    AND has_function_privilege(p.oid, 'EXECUTE'))
"""
