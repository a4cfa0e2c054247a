"""What a namespace holds, kept up to date by triggers on the tables that it is counted from."""

from blobstore.sqlite import sqlite3

_LIVE = "({row}.state = 'live')"
_ORPHAN = "({row}.state = 'live' AND {row}.orphaned_at IS NOT NULL)"
_HOLDERS = "(SELECT count(*) FROM holders WHERE namespace = {row}.namespace AND digest = {row}.digest)"
_SIZE = "(SELECT coalesce(max(size), 0) FROM blobs WHERE namespace = {row}.namespace AND digest = {row}.digest)"
_ALONE = """NOT EXISTS (SELECT 1 FROM blobs
    WHERE namespace = {row}.namespace AND digest = {row}.digest AND generation != {row}.generation)"""
_ADD = """ON CONFLICT DO UPDATE SET
    blobs = blobs + excluded.blobs, bytes = bytes + excluded.bytes, orphans = orphans + excluded.orphans,
    orphan_bytes = orphan_bytes + excluded.orphan_bytes, shared_bytes = shared_bytes + excluded.shared_bytes"""


def _of(template: str, row: str) -> str:
    return template.format(row=row)


def _live(row: str, sign: str) -> str:
    """The values that a generation adds to the totals, or takes."""
    live, orphan = _of(_LIVE, row), _of(_ORPHAN, row)
    return f"{sign}{live}, {sign}{live} * {row}.size, {sign}{orphan}, {sign}{orphan} * {row}.size"


def _shared(row: str, sign: str, times: str, size: str) -> str:
    return f"INSERT INTO totals SELECT {row}.namespace, 0, 0, 0, 0, {sign}{times} * {size} WHERE {size} > 0 {_ADD}"


_TURN = f"""INSERT INTO totals SELECT * FROM (
    SELECT NEW.namespace, {_live("NEW", "")}, 0
    UNION ALL SELECT OLD.namespace, {_live("OLD", "-")}, 0) WHERE TRUE {_ADD}"""

# What those who hold a blob together save: a copy for each but one.
TABLES = f"""CREATE TABLE totals (
    namespace TEXT PRIMARY KEY, blobs INTEGER NOT NULL, bytes INTEGER NOT NULL,
    orphans INTEGER NOT NULL, orphan_bytes INTEGER NOT NULL, shared_bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER totals_come AFTER INSERT ON blobs WHEN {_of(_LIVE, "NEW")} BEGIN
    INSERT INTO totals VALUES (NEW.namespace, {_live("NEW", "")}, 0) {_ADD}; END;
CREATE TRIGGER totals_turn AFTER UPDATE OF state, orphaned_at ON blobs
    WHEN ({_live("NEW", "")}) IS NOT ({_live("OLD", "")}) BEGIN
    {_TURN}; END;
CREATE TRIGGER totals_go AFTER DELETE ON blobs WHEN {_of(_LIVE, "OLD")} BEGIN
    INSERT INTO totals VALUES (OLD.namespace, {_live("OLD", "-")}, 0) {_ADD}; END;
CREATE TRIGGER totals_held AFTER INSERT ON holders WHEN {_of(_HOLDERS, "NEW")} > 1 BEGIN
    {_shared("NEW", "", "1", _of(_SIZE, "NEW"))}; END;
CREATE TRIGGER totals_released AFTER DELETE ON holders WHEN {_of(_HOLDERS, "OLD")} > 0 BEGIN
    {_shared("OLD", "-", "1", _of(_SIZE, "OLD"))}; END;
CREATE TRIGGER totals_found AFTER INSERT ON blobs WHEN {_of(_HOLDERS, "NEW")} > 1 AND {_of(_ALONE, "NEW")} BEGIN
    {_shared("NEW", "", f"({_of(_HOLDERS, 'NEW')} - 1)", "NEW.size")}; END;
CREATE TRIGGER totals_lost AFTER DELETE ON blobs WHEN {_of(_HOLDERS, "OLD")} > 1 AND {_of(_ALONE, "OLD")} BEGIN
    {_shared("OLD", "-", f"({_of(_HOLDERS, 'OLD')} - 1)", "OLD.size")}; END;
CREATE TRIGGER totals_emptied AFTER UPDATE ON totals
    WHEN NEW.blobs = 0 AND NEW.orphans = 0 AND NEW.shared_bytes = 0 BEGIN
    DELETE FROM totals WHERE namespace = NEW.namespace; END"""
"""For the schema of the catalogue."""

_TRUE = """
SELECT namespace, sum(blobs) AS blobs, sum(bytes) AS bytes, sum(orphans) AS orphans,
       sum(orphan_bytes) AS orphan_bytes, sum(shared_bytes) AS shared_bytes
FROM (
    SELECT namespace, count(*) AS blobs, sum(size) AS bytes, count(orphaned_at) AS orphans,
           coalesce(sum(size) FILTER (WHERE orphaned_at IS NOT NULL), 0) AS orphan_bytes, 0 AS shared_bytes
    FROM blobs WHERE state = 'live' GROUP BY namespace
    UNION ALL
    SELECT namespace, 0, 0, 0, 0, sum(shared) FROM (
        SELECT namespace, (count(*) - 1) * (
            SELECT coalesce(max(size), 0) FROM blobs b WHERE b.namespace = h.namespace AND b.digest = h.digest
        ) AS shared FROM holders h GROUP BY namespace, digest HAVING count(*) > 1
    ) GROUP BY namespace
) GROUP BY namespace HAVING sum(blobs) != 0 OR sum(shared_bytes) != 0
"""

_WRONG = f"""
SELECT DISTINCT namespace FROM (
    SELECT * FROM (SELECT * FROM ({_TRUE}) EXCEPT SELECT * FROM totals)
    UNION ALL SELECT * FROM (SELECT * FROM totals EXCEPT SELECT * FROM ({_TRUE}))
) ORDER BY namespace
"""


def wrong_totals(db: sqlite3.Connection) -> list[str]:
    """The namespaces whose totals are not what their rows add up to."""
    return [namespace for (namespace,) in db.execute(_WRONG)]


def mend_totals(db: sqlite3.Connection) -> None:
    """Count all of them anew."""
    db.execute("DELETE FROM totals")
    db.execute(f"INSERT INTO totals {_TRUE}")
