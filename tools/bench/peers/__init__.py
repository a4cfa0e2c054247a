"""What this server is measured against: each finds its program, or says that it is not there."""

__all__ = ["Missing"]


class Missing(Exception):
    """A peer that is not on this machine, and how to get it."""
