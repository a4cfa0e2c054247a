"""Writes: lines to records, references to links, uploads to claims, sync state."""
