"""Findings: what is wrong with a store at rest, in words that stay the same.

A store may be in use while it is checked. So a check first has a *suspicion*, and only what is still so when it is
looked at again, after a pause, becomes a finding.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

PAUSE = 1.0
"""Seconds between the two looks: longer than any step of an upload, an ingest or a collection takes."""

BATCH = 500
"""Suspicions that share one pause; bounds what is kept in memory."""


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"  # a promise is broken
    DEBRIS = "debris"  # left over; a collection removes it by itself
    NOTE = "note"  # no promise is broken, but somebody may want to know


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `kind` is a stable word, `subject` a blob id, a path in the data directory or a name.

    `repair` says what `mend` would do; None where nothing can be mended without guessing.
    """

    kind: str
    severity: Severity
    subject: str
    message: str
    repair: str | None = None
    mend: Callable[[], Awaitable[object]] | None = field(default=None, compare=False, repr=False)


Suspicion = Callable[[], Awaitable[Finding | None]]
"""Looks again: what is wrong now, or None when it was only something under way."""


def certain(finding: Finding) -> Suspicion:
    """A suspicion that needs no second look."""

    async def look() -> Finding:
        return finding

    return look


async def confirmed(suspicions: AsyncIterator[Suspicion]) -> AsyncIterator[tuple[Finding, Suspicion]]:
    """Those that are still so after `PAUSE` seconds, each with what looks at it once more (say, after mending)."""
    waiting: list[Suspicion] = []
    async for suspicion in suspicions:
        waiting.append(suspicion)
        if len(waiting) == BATCH:
            async for each in _again(waiting):
                yield each
            waiting = []
    async for each in _again(waiting):
        yield each


async def _again(waiting: list[Suspicion]) -> AsyncIterator[tuple[Finding, Suspicion]]:
    if waiting:
        await asyncio.sleep(PAUSE)
    for suspicion in waiting:
        finding = await suspicion()
        if finding is not None:
            yield finding, suspicion
