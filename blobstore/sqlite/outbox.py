"""An outbox in a SQLite file: a table `outbox` whose key `seq` is AUTOINCREMENT, so that no number is given twice."""

NUMBERING = """
SELECT coalesce((SELECT min(seq) - 1 FROM outbox), given), given
FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) AS given)
"""
"""The number of the last event that was drained, and of the last that was given."""
