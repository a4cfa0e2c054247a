"""Where traces learn what a request does: names of steps, which cost nothing unless somebody traces.

No step has an argument here: what is traced leaves the machine, and says nothing of whose data it was.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Begin = Callable[[str], AbstractContextManager[object]]

_NOTHING = nullcontext()
_begin: Begin | None = None


def trace(begin: Begin | None) -> None:
    """From here on have `begin` called for each step of this process; None: no more."""
    global _begin
    _begin = begin


def span(name: str) -> AbstractContextManager[object]:
    """A step of this name, for the length of the block."""
    return _NOTHING if _begin is None else _begin(name)
