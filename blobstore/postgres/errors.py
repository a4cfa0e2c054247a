"""What PostgreSQL's errors, and those of its driver, mean to us."""

from asyncpg import InterfaceError, InternalClientError, PostgresError

from blobstore.errors import Damaged, MovedAway, OutOfSpace, StorageUnavailable

_CONFLICTS = ("40001", "40P01")
"""Serialization failure, deadlock: nothing was done, and the same again may succeed."""

_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "53300")
"""Classes and codes of a connection that was lost, or not to be had for the moment."""

_OURS = ("22", "23", "42")
"""Data, constraint, syntax: a mistake of ours, or of who calls; it stays what it is, so that it shows."""

_FORBIDDEN = "42501"
"""The role lacks a right: the operator's mistake, not ours."""

_DAMAGE = ("XX001", "XX002")

_NO_SPACE = ("53100",)

_GONE = ("42P01", "3F000")
"""A table or a schema that is not there: all of them are from a store's first day, until it moves away."""

_LOCK_TIMEOUT = "55P03"


def is_conflict(error: BaseException) -> bool:
    """Whether the transaction lost against another and may simply be repeated."""
    return _code(error).startswith(_CONFLICTS)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, or none is to be had just now. A statement that took too long counts as lost."""
    return isinstance(error, OSError) or _code(error).startswith(_LOST)


def is_lock_timeout(error: BaseException | None) -> bool:
    """Whether others had a lock for longer than the transaction wanted to wait."""
    return error is not None and _code(error) == _LOCK_TIMEOUT


def translate(error: Exception) -> Exception:
    """What an error means to the caller."""
    code = _code(error)
    if code in _GONE:
        return MovedAway("what was in this schema of the database is kept elsewhere now")
    if code == _FORBIDDEN:
        return StorageUnavailable(f"PostgreSQL: {error}; the role must own the database, or its three schemas")
    if code.startswith(_OURS):
        return error
    if code in _NO_SPACE:
        return OutOfSpace("the database's disk is full")
    if code in _DAMAGE:
        return Damaged(f"PostgreSQL: {error}")
    if isinstance(error, PostgresError | InterfaceError | InternalClientError | OSError):
        return StorageUnavailable(f"PostgreSQL: {str(error) or type(error).__name__}")
    return error


def _code(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "") if isinstance(error, PostgresError) else ""
