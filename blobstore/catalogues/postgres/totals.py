"""What a namespace holds, kept up to date by triggers on the tables that it is counted from, once for each statement.

Who changes what counts has the namespace's lock, or those of all namespaces that it names.
"""

from collections.abc import Collection

from blobstore.postgres import Connection

_LIVE = "state = 'live'"
_ORPHAN = "state = 'live' AND orphaned_at IS NOT NULL"
_COLUMNS = "namespace, blobs, bytes, orphans, orphan_bytes, shared_bytes"
_SUMS = ", ".join(f"sum({each})::bigint AS {each}" for each in _COLUMNS.split(", ")[1:])
_ANY = "sum(blobs) <> 0 OR sum(bytes) <> 0 OR sum(orphans) <> 0 OR sum(orphan_bytes) <> 0 OR sum(shared_bytes) <> 0"
_ADD = """ON CONFLICT (namespace) DO UPDATE SET
    blobs = t.blobs + excluded.blobs, bytes = t.bytes + excluded.bytes, orphans = t.orphans + excluded.orphans,
    orphan_bytes = t.orphan_bytes + excluded.orphan_bytes, shared_bytes = t.shared_bytes + excluded.shared_bytes"""

# Each is looked up by its key, whatever statistics say.
_HOLDERS = """
(SELECT count(*) FROM (
    SELECT 1 FROM catalogue.holders h WHERE h.namespace = x.namespace AND h.digest = x.digest OFFSET 0) AS every)"""
_SIZE = """
(SELECT coalesce(max(size), 0) FROM (
    SELECT size FROM catalogue.blobs b WHERE b.namespace = x.namespace AND b.digest = x.digest OFFSET 0) AS every)"""


def _live(rows: str, sign: str) -> str:
    return f"""
        SELECT namespace, {sign}1 AS blobs, {sign}size AS bytes, CASE WHEN {_ORPHAN} THEN {sign}1 ELSE 0 END AS orphans,
               CASE WHEN {_ORPHAN} THEN {sign}size ELSE 0 END AS orphan_bytes, 0 AS shared_bytes
        FROM {rows} WHERE {_LIVE}"""


def _copies(rows: str, sign: str) -> str:
    """What holders of blobs share whose only generations come, or whose last ones went."""
    return f"""
        SELECT namespace, 0, 0, 0, 0, {sign}greatest({_HOLDERS} - 1, 0) * x.size FROM (
            SELECT r.namespace, r.digest, max(r.size) AS size, count(*) AS changed,
                   (SELECT count(*) FROM (SELECT 1 FROM catalogue.blobs b
                        WHERE b.namespace = r.namespace AND b.digest = r.digest OFFSET 0) AS every) AS there
            FROM {rows} r GROUP BY r.namespace, r.digest
        ) AS x WHERE x.there = {"x.changed" if sign == "+" else "0"}"""


def _held(rows: str, sign: str) -> str:
    """What holders share more, or less, when so many of a blob come, or went."""
    before = "x.there - x.changed" if sign == "+" else "x.there + x.changed"
    return f"""
        SELECT namespace, 0 AS blobs, 0 AS bytes, 0 AS orphans, 0 AS orphan_bytes,
               (greatest(x.there - 1, 0) - greatest({before} - 1, 0)) * {_SIZE} AS shared_bytes
        FROM (SELECT x.namespace, x.digest, count(*) AS changed, {_HOLDERS} AS there
              FROM {rows} x GROUP BY x.namespace, x.digest) AS x WHERE greatest(x.there, {before}) > 1"""


def _count(changes: str) -> str:
    return f"""
        INSERT INTO catalogue.totals AS t ({_COLUMNS})
        SELECT namespace, {_SUMS} FROM ({changes}) AS changed GROUP BY namespace HAVING {_ANY} ORDER BY namespace
        {_ADD}"""


TABLES = f"""
CREATE TABLE catalogue.totals (
    namespace TEXT COLLATE "C" PRIMARY KEY, blobs BIGINT NOT NULL, bytes BIGINT NOT NULL,
    orphans BIGINT NOT NULL, orphan_bytes BIGINT NOT NULL, shared_bytes BIGINT NOT NULL
);
CREATE FUNCTION catalogue.count_blobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' THEN
        {_count(_live("come", "+") + " UNION ALL " + _copies("come", "+"))};
    ELSIF TG_OP = 'UPDATE' THEN
        {_count(_live("come", "+") + " UNION ALL " + _live("gone", "-"))};
    ELSE
        {_count(_live("gone", "-") + " UNION ALL " + _copies("gone", "-"))};
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION catalogue.count_holders() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' THEN
        {_count(_held("come", "+"))};
    ELSE
        {_count(_held("gone", "-"))};
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION catalogue.drop_emptied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM catalogue.totals t
    WHERE t.namespace = NEW.namespace AND t.blobs = 0 AND t.orphans = 0 AND t.shared_bytes = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER blobs_come AFTER INSERT ON catalogue.blobs REFERENCING NEW TABLE AS come
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue.count_blobs();
CREATE TRIGGER blobs_turn AFTER UPDATE ON catalogue.blobs REFERENCING OLD TABLE AS gone NEW TABLE AS come
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue.count_blobs();
CREATE TRIGGER blobs_go AFTER DELETE ON catalogue.blobs REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue.count_blobs();
CREATE TRIGGER holders_come AFTER INSERT ON catalogue.holders REFERENCING NEW TABLE AS come
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue.count_holders();
CREATE TRIGGER holders_go AFTER DELETE ON catalogue.holders REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue.count_holders();
CREATE TRIGGER totals_emptied AFTER UPDATE ON catalogue.totals
    FOR EACH ROW WHEN (NEW.blobs = 0 AND NEW.orphans = 0 AND NEW.shared_bytes = 0)
    EXECUTE FUNCTION catalogue.drop_emptied()
"""
"""For the schema of the catalogue."""

_TRUE = f"""
SELECT namespace, {_SUMS} FROM (
    {_live("catalogue.blobs", "+")}
    UNION ALL
    SELECT namespace, 0, 0, 0, 0, (x.there - 1) * {_SIZE} FROM (
        SELECT namespace, digest, count(*) AS there FROM catalogue.holders GROUP BY namespace, digest
        HAVING count(*) > 1) AS x
) AS every GROUP BY namespace HAVING {_ANY}
"""

_WRONG = f"""
WITH counted AS ({_TRUE})
SELECT DISTINCT namespace FROM (
    (SELECT {_COLUMNS} FROM counted EXCEPT SELECT {_COLUMNS} FROM catalogue.totals)
    UNION ALL (SELECT {_COLUMNS} FROM catalogue.totals EXCEPT SELECT {_COLUMNS} FROM counted)
) AS wrong ORDER BY namespace
"""


async def wrong_totals(db: Connection) -> list[str]:
    """The namespaces whose totals are not what their rows add up to."""
    return [namespace for (namespace,) in await db.fetch(_WRONG)]


async def mend_totals(db: Connection, namespaces: Collection[str]) -> None:
    """Count those of these namespaces anew; the caller has their locks."""
    await db.execute("DELETE FROM catalogue.totals WHERE namespace = ANY ($1::text[])", list(namespaces))
    sql = f"INSERT INTO catalogue.totals ({_COLUMNS}) SELECT * FROM ({_TRUE}) AS t WHERE namespace = ANY ($1::text[])"
    await db.execute(sql, list(namespaces))
