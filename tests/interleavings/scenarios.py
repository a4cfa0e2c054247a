"""Races with a name: one request is interrupted, at each of its steps in turn, by all that others do.

A race is described by what is asked for, never by steps: so it goes on to be the same one when the steps change.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.interleavings.machine import CONTENTS, DAY, Action, Directory, Machine
from tests.interleavings.model import Violation

LETTER = CONTENTS[0]
HERE = ("a", 0, "documents", "1")
NEXT = ("a", 0, "documents", "2")
ELSEWHERE = ("b", 0, "documents", "1")

FIRST, SECOND = 0, 1
"""Processes. What waits for a database file's writer is committed together with what its own process asks for next."""

RECORD, STREAM, INSTANCE, CONNECTOR = 4, 3, 2, 1
"""How much an erasure takes."""


@dataclass(frozen=True)
class Scenario:
    """What is there before, who is interrupted, by whom, and what comes after; then all comes to rest."""

    before: Sequence[Action]
    slow: dict[str, Any]
    between: Sequence[Action]
    after: Sequence[Action] = ()

    def interrupted(self, template: Directory, steps: int) -> None:
        """Play it with the interruption after so many steps. Raises `Violation`."""
        with Machine(template) as machine:
            try:
                _act(machine, self.before)
                slow = machine.ask(**self.slow)
                assert slow is not None
                machine.go(slow, steps)
                _act(machine, self.between)
                machine.do(slow)
                _act(machine, self.after)
                machine.rest()
            except Violation as violation:
                violation.add_note(f"interrupted after {steps} steps")
                raise

    def play(self, template: Directory, near: str = "") -> None:
        """Interrupt it at every step, those first that are near one with this in its name, which must be there.

        Raises `Violation`.
        """
        names = self._steps(template)
        there = next(at for at, name in enumerate([*names, ""]) if near in name)
        for at in sorted(range(len(names) + 1), key=lambda each: abs(each - there)):
            self.interrupted(template, at)

    def sample(self, template: Directory, rng: random.Random, most: int) -> None:
        """As `play`, at so many steps that are anywhere, where they are more."""
        steps = len(self._steps(template))
        for at in rng.sample(range(steps + 1), min(most, steps + 1)):
            self.interrupted(template, at)

    def _steps(self, template: Directory) -> list[str]:
        """The names of its steps where nobody interrupts it; none if nobody ever does."""
        with Machine(template) as machine:
            _act(machine, self.before)
            slow, names = machine.ask(**self.slow), list[str]()
            while self.between and slow is not None and (step := machine.world.next(slow)) is not None:
                names.append(step.name)
                machine.world.take(slow)
            return names


def _act(machine: Machine, actions: Sequence[Action]) -> None:
    for name, arguments in actions:
        getattr(machine, name)(**arguments)


def _asked(
    kind: str, who: int, where: Any = HERE, data: frozenset[bytes] = frozenset({LETTER}), depth: int = INSTANCE
) -> dict[str, Any]:
    return {"kind": kind, "who": who, "where": where, "data": set(data), "depth": depth}


def _alone(*asked: Any, **named: Any) -> Action:
    return "alone", {"demand": _asked(*asked, **named)}


def _linked(where: Any = HERE) -> Action:
    return "link", {"who": FIRST, "where": where, "data": LETTER}


def _wait(seconds: float) -> Action:
    return "wait", {"seconds": seconds}


def _dies(who: int) -> Action:
    return "die", {"which": who, "calls": -1}


_UNLINKED = (_linked(), _alone("delete", FIRST))
"""A blob lost its last link, and nobody has released it."""

_PLAIN: frozenset[bytes] = frozenset()

SCENARIOS = {
    "p1: a collection while a batch links what lost its last link": Scenario(
        _UNLINKED, _asked("put", FIRST), [_alone("collect", SECOND)]
    ),
    "p1: a batch links what a collection releases": Scenario(
        _UNLINKED, _asked("collect", SECOND), [_alone("put", FIRST)]
    ),
    "p1: death in a batch that links": Scenario([_alone("upload", FIRST)], _asked("put", FIRST), [_dies(FIRST)]),
    "p1: another connector links what an erasure removes": Scenario(
        [_linked()],
        _asked("erase", SECOND, depth=RECORD),
        [_alone("upload", FIRST, ELSEWHERE), _alone("put", FIRST, ELSEWHERE)],
    ),
    "p2: a collection while garbage is uploaded again": Scenario(
        _UNLINKED, _asked("upload", FIRST, NEXT), [_alone("collect", SECOND)]
    ),
    "p2: garbage is uploaded again while it is collected": Scenario(
        _UNLINKED, _asked("collect", SECOND), [_alone("upload", FIRST, NEXT)]
    ),
    "p2: the same bytes are uploaded twice at once": Scenario(
        [], _asked("upload", FIRST), [_alone("upload", SECOND, ELSEWHERE)]
    ),
    "p3: a lease runs out while its upload sleeps": Scenario(
        [], _asked("upload", FIRST), [_wait(301.0), _alone("collect", SECOND)]
    ),
    "p4: an erasure while an upload goes on": Scenario(
        [], _asked("upload", FIRST), [_alone("erase", SECOND, depth=INSTANCE)]
    ),
    "p4: an erasure while a batch goes on": Scenario(
        [_linked()], _asked("put", FIRST, data=_PLAIN), [_alone("erase", SECOND, depth=INSTANCE)]
    ),
    "p4: an erasure of what its connector left before": Scenario(
        [*_UNLINKED, _alone("release", FIRST)],
        _asked("erase", SECOND, depth=CONNECTOR),
        [_alone("upload", FIRST, ELSEWHERE)],
    ),
    "p6: a batch while an instance is erased": Scenario(
        [_linked()], _asked("erase", SECOND, depth=INSTANCE), [_alone("put", FIRST, ELSEWHERE, _PLAIN)]
    ),
    "p6: a batch while a stream is erased": Scenario(
        [_linked()], _asked("erase", SECOND, depth=STREAM), [_alone("put", FIRST, data=_PLAIN)]
    ),
    "p7: death of who drains": Scenario([_linked()], _asked("drain", FIRST), [_dies(FIRST)]),
    "p7: two drain at once": Scenario([_linked()], _asked("drain", FIRST), [_alone("drain", SECOND)]),
    "p8: a batch that is refused shares its commit": Scenario(
        [_linked()],
        _asked("put", FIRST, data=_PLAIN),
        [_alone("erase", SECOND, depth=INSTANCE), _alone("put", FIRST, ELSEWHERE, _PLAIN)],
    ),
    "p8: an upload that is refused has claimed already": Scenario(
        [_linked(ELSEWHERE)],
        _asked("upload", FIRST),
        [_alone("erase", SECOND, depth=INSTANCE), _alone("upload", FIRST, ELSEWHERE)],
    ),
    "p10: claims run out while a batch links their blob": Scenario(
        [_alone("upload", FIRST)], _asked("put", FIRST), [_wait(8 * DAY), _alone("collect", SECOND)]
    ),
    "p10: claims live a week whatever the grace": Scenario(
        [_alone("upload", FIRST), _wait(6 * DAY)], _asked("collect", SECOND), [], [_alone("put", FIRST)]
    ),
    "p10: an upload again renews the claim": Scenario(
        [_alone("upload", FIRST), _wait(6 * DAY)],
        _asked("upload", FIRST),
        [],
        [_wait(2 * DAY), _alone("collect", SECOND), _alone("put", FIRST)],
    ),
    "p10: an erased record's claim goes": Scenario(
        [_alone("upload", FIRST)], _asked("erase", SECOND, depth=RECORD), [_alone("collect", FIRST)]
    ),
}
"""Each begins with the rule that it is about."""
