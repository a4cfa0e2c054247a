"""Erasure: what goes is shown, written down, removed, searched for, and receipted.

`erasures` is the entrance; `previews`, `erasing` and `residue` are its steps, `receipts` and `ledger` what stays.
"""
