"""Adapters of `records.central`."""
