"""The central store in one SQLite file: the class in `store`, its transactions beside it, one module per job."""

from records.centrals.sqlite.store import SqliteCentral

__all__ = ["SqliteCentral"]
