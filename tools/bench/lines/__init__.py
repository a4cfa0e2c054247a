"""All lines of the table, by name."""

from tools.bench.lines import collection, console, downloads, hydration, memory, postgres, records, uploads

__all__ = ["LINES"]

LINES = (
    *downloads.LINES,
    *uploads.LINES,
    *records.LINES,
    *postgres.LINES,
    *collection.LINES,
    *hydration.LINES,
    *memory.LINES,
    *console.LINES,
)
