"""Columns of which PostgreSQL keeps no statistics, for these are samples of what is in them.

ANALYZE, and autovacuum by itself, copies values of a column to `pg_statistic`: up to a hundred whole records. They stay
there when the rows go, until somebody else's rows have taken their place. So of content there are none.
"""


def unsampled(table: str, *columns: str | int) -> str:
    """SQL by which a table (with its schema) has no statistics of these columns; an index's are numbers."""
    kind = "INDEX" if any(isinstance(column, int) for column in columns) else "TABLE"
    return f"ALTER {kind} {table} " + ", ".join(f"ALTER COLUMN {column} SET STATISTICS 0" for column in columns)
