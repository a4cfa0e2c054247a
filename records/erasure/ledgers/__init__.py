"""Adapters of `records.erasure.ledger.Ledger`: a file, and objects in the bucket that has the blobs."""
