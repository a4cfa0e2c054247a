"""Adapters of `records.engine`: topologies."""
