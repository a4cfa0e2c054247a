"""Adapters of `records.locks.Locks`: locks of files, and with them rows of a database that machines share."""
