"""The machine: a seed chooses what is asked for, who does the next steps, and who dies.

A run is a list of actions that is made before it begins; whatever it finds, it finds again, and with the actions that
have nothing to do with it left out. Requests race at one hot place, with few changes of turn between them at points
that are anywhere: that is where interleavings go wrong. After each step `model` looks.
"""

import os
import random
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from records.central import Owner
from tests.fakes.data_directory import digest_of
from tests.interleavings.model import Asked, Model, Violation
from tests.interleavings.world import MEMORY, Operation, Place, Process, World, make_template

CONNECTORS = ("a", "b")
INSTANCES = ("one", "two")
KEYS = ("1", "2")
CONTENTS = (b"letter", b"photo")
DAY = 24 * 3600.0

TURNS = (1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 8, 12, 1000)
"""How many steps somebody does before it is another's turn."""

KINDS = {"upload": 3, "put": 4, "delete": 3, "erase": 2, "collect": 4, "release": 1, "scrub": 1, "drain": 1}
"""What is asked for, and how often."""

ACTIONS = {
    "alone": 20,
    "link": 10,
    "race": 40,
    "take_turns": 10,
    "spoil": 2,
    "wait": 4,
    "hang_up": 4,
    "die": 9,
    "start": 3,
    "rest": 3,
}
PAUSES = 20
"""Seconds that somebody may sleep at rest, when all that he can wait for is done."""

WAITS = (1.0, 1.0, 61.0, 301.0, 3601.0, 8 * DAY)

Action = tuple[str, dict[str, Any]]


class Directory:
    """The data directory that every run begins with; made once."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        self.path = Path(self._folder.name) / "template"
        self.owner: Owner = make_template(self.path, CONNECTORS)

    def fresh(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(dir=self._folder.name)

    def close(self) -> None:
        self._folder.cleanup()


class Machine:
    """One run. A context manager; every method without an underscore is an action."""

    def __init__(self, template: Directory) -> None:
        self.folder = template.fresh()
        self.world = World(template.path, template.owner, Path(self.folder.name))
        self.world.__enter__()
        self.model = Model(self.world)
        self.erased = 0
        self.ending: list[tuple[Operation, str, Sequence[int]]] = []
        self.unregistered: set[str] = set()
        self.names: dict[tuple[str, int], int] = {}
        for data in CONTENTS:
            self.model.contents[digest_of(data).hex] = data
        self.do(self.world.start())
        self.do(self.world.start())

    # -- steps -----------------------------------------------------------------------------------------------------

    def go(self, operation: Operation, turns: int) -> None:
        """Do so many steps of it, and look after each."""
        self.model.look()
        for _ in range(turns):
            if not self.world.take(operation):
                return
            self.model.look()

    def do(self, operation: Operation) -> None:
        """All its steps, while nobody else does any."""
        self.go(operation, 10_000)

    def process(self, number: int) -> Process | None:
        started = self.world.started()
        return started[number % len(started)] if started else None

    def alone(self, demand: dict[str, Any]) -> None:
        """Something is asked for, and nobody comes between."""
        operation = self.ask(**demand)
        if operation is not None:
            self.do(operation)

    def link(self, who: int, where: Any, data: bytes) -> None:
        """A record with an attachment comes, and nobody comes between."""
        for kind in ("upload", "put"):
            self.alone({"kind": kind, "who": who, "where": where, "data": {data}, "depth": 4})

    def race(self, demands: list[dict[str, Any]], schedule: bytes) -> None:
        """Several things are asked for at once; who is in between when the turns are over stays there."""
        for demand in demands:
            self.ask(**demand)
        self.take_turns(schedule)

    def take_turns(self, schedule: bytes) -> None:
        for turn in schedule:
            waiting = self.world.waiting()
            if waiting:
                self.go(waiting[-1 - (turn & 7) % len(waiting)], TURNS[turn >> 4])

    # -- what is asked for -----------------------------------------------------------------------------------------

    def place(self, drawn: tuple[str, int, str, str]) -> Place:
        """The place that is meant; an erased instance's name is never used again."""
        connector, instance, stream, key = drawn
        for ended in [each for each in self.ending if each[0].over]:
            self.ending.remove(ended)
            self.erased += 1
            self.names |= {(ended[1], number): self.erased for number in ended[2]}
            if len(ended[2]) > 1:
                self.unregistered.add(ended[1])
        if connector in self.unregistered and (process := self.process(0)) is not None:
            self.unregistered.discard(connector)
            self.do(self.world.register(process, connector))
        return Place(connector, self.instance(connector, instance), stream, key)

    def instance(self, connector: str, number: int) -> str:
        """What the instance is called now."""
        return f"{connector}-{INSTANCES[number]}-{self.names.get((connector, number), 0)}"

    def ask(self, kind: str, who: int, where: Any, data: set[bytes], depth: int) -> Operation | None:
        """Begin it; None when there is nobody to ask."""
        process = self.process(who)
        if process is None:
            return None
        place = self.place(where)
        if kind == "upload":
            asked = self._upload(process, place, min(data))
        elif kind == "put":
            asked = self._put(process, place, data)
        elif kind == "delete":
            asked = Asked(self.world.delete(process, place), lambda each: each == place, None, True, place=place)
        elif kind == "erase":
            asked = self._erase(process, place, where[1], depth)
        else:
            asked = Asked(self._upkeep(kind)(process))
        self.model.asked(asked)
        self.model.look()
        return asked.operation

    def _upkeep(self, kind: str) -> Callable[[Process], Operation]:
        """`release`: a collection for which all garbage is too young."""
        release = partial(self.world.collect, grace=365 * DAY)
        world = self.world
        every: dict[str, Callable[[Process], Operation]] = {
            "collect": world.collect,
            "release": release,
            "scrub": world.scrub,
            "drain": world.drain,
        }
        return every[kind]

    def _upload(self, process: Process, place: Place, data: bytes) -> Asked:
        operation = self.world.upload(process, place, data)
        digests = frozenset({digest_of(data).hex})
        return Asked(operation, lambda each: each == place, place=place, digests=digests)

    def _put(self, process: Process, place: Place, data: set[bytes]) -> Asked:
        value = len(self.model.values)
        digests = sorted(digest_of(each) for each in data)
        self.model.values[value] = frozenset(each.hex for each in digests)
        operation = self.world.put(process, place, value, digests)
        return Asked(operation, lambda each: each == place, value, True, place=place, digests=self.model.values[value])

    def _erase(self, process: Process, place: Place, number: int, depth: int) -> Asked:
        """`depth`: a connector (1), an instance of it, a stream of that, or one record (4)."""
        target: tuple[str | None, ...] = (place.connector, place.instance, place.stream, place.key)
        target = (*target[:depth], None, None, None)[:4]
        living: set[str] = set()

        def covers(each: Place) -> bool:
            if (
                not operation.over
            ):  # it marks its instances at some step: one that is named until then may be among them
                living.update(self.instance(place.connector, number) for number in range(len(INSTANCES)))
            these = (each.connector, each.instance, each.stream, each.key)
            named = all(wanted in (None, this) for wanted, this in zip(target, these, strict=True))
            return named and (depth != 1 or each.instance in living)

        operation = self.world.erase(process, place.connector, *target[1:])
        if depth <= 2:
            self.ending.append((operation, place.connector, range(len(INSTANCES)) if depth == 1 else [number]))
        return Asked(operation, covers, None, True, depth <= 2, True)

    # -- what happens ----------------------------------------------------------------------------------------------

    def spoil(self, which: int) -> None:
        """The disk changes the bytes of a blob."""
        live = [each for each in self.model.see().generations if each[2] == "live"]
        if live:
            digest, generation, _ = live[which % len(live)]
            path = next((self.world.directory / "blobs").rglob(f"{digest}.{generation}"))
            path.chmod(0o600)
            path.write_bytes(bytes(path.stat().st_size))
            self.model.spoiled.add(generation)

    def wait(self, seconds: float) -> None:
        self.world.loop.pass_time(seconds)
        self.model.look()

    def hang_up(self, which: int, begun: bool) -> None:
        """Who asked for an upload or a batch goes away."""
        asked = [each for each in self.world.waiting() if each.what.startswith(("upload", "ingest"))]
        if asked:
            self.world.cancel(asked[which % len(asked)], begun=begun)
            self.model.look()

    def die(self, which: int, calls: int) -> None:
        """A process dies, between two steps or inside one."""
        waiting = self.world.waiting()
        if waiting and calls >= 0:
            self.world.die_inside(waiting[which % len(waiting)], calls)
        elif (process := self.process(which)) is not None:
            self.world.kill(process)
        self.model.look()

    def start(self, schedule: bytes) -> None:
        if sum(process.alive for process in self.world.processes) < 3:
            self.world.start()
            self.take_turns(schedule)

    def rest(self) -> None:
        """Everybody comes to an end, and all garbage is collected."""
        self._finish()
        if not self.world.started():
            self.do(self.world.start())
        self.world.loop.pass_time(1)
        process = self.world.started()[0]
        for ask in (self.world.collect, self.world.drain):
            operation = ask(process)
            self.model.asked(Asked(operation))
            self.do(operation)
        self._finish()
        self.model.rest()

    def _finish(self) -> None:
        for _ in range(PAUSES):
            while waiting := self.world.waiting():
                for operation in waiting:
                    self.do(operation)
            if all(operation.over for operation in self.world.operations):
                return
            self.world.loop.pass_time(1)  # somebody looks again after a while
        (operation, *_) = [each for each in self.world.operations if not each.over]
        raise Violation(f"{operation} waits for something that never comes")

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.model.close()
        self.world.__exit__()
        self.folder.cleanup()


# -- runs --------------------------------------------------------------------------------------------------------------


class Choices:
    """Makes the actions of one run."""

    def __init__(self, rng: random.Random, deepest: int = 1) -> None:
        self._rng = rng
        self._deepest = deepest
        self._hot = self._place()
        self._content = rng.choice(CONTENTS)

    def actions(self) -> list[Action]:
        names = self._rng.choices(list(ACTIONS), list(ACTIONS.values()), k=self._rng.randint(5, 25))
        return [(name, getattr(self, f"_{name}")()) for name in names] + [("rest", {})]

    def _place(self) -> tuple[str, int, str, str]:
        choice = self._rng.choice
        return choice(CONNECTORS), choice((0, 0, 0, 1)), choice(("documents", "documents", "photos")), choice(KEYS)

    def _where(self) -> Any:
        """The hot place, or one that differs in something."""
        other = self._place()
        return (
            self._hot if self._rng.random() < 0.5 else tuple(map(self._rng.choice, zip(self._hot, other, strict=True)))
        )

    def _data(self) -> bytes:
        return self._content if self._rng.random() < 0.7 else self._rng.choice(CONTENTS)

    def _schedule(self) -> bytes:
        return self._rng.randbytes(self._rng.randint(3, 30))

    def _number(self) -> int:
        return self._rng.randrange(8)

    def _demand(self) -> dict[str, Any]:
        (kind,) = self._rng.choices(list(KINDS), list(KINDS.values()))
        data = {self._data()} if self._rng.random() < 0.8 else set(CONTENTS)
        depth = self._rng.choice([each for each in (1, 2, 2, 3, 3, 4, 4, 4) if each >= self._deepest])
        return {"kind": kind, "who": self._number(), "where": self._where(), "data": data, "depth": depth}

    def _alone(self) -> dict[str, Any]:
        return {"demand": self._demand()}

    def _link(self) -> dict[str, Any]:
        return {"who": self._number(), "where": self._where(), "data": self._data()}

    def _race(self) -> dict[str, Any]:
        demands = [self._demand() for _ in range(self._rng.randint(2, 4))]
        return {"demands": demands, "schedule": self._schedule()}

    def _take_turns(self) -> dict[str, Any]:
        return {"schedule": self._schedule()}

    def _spoil(self) -> dict[str, Any]:
        return {"which": self._number()}

    def _wait(self) -> dict[str, Any]:
        return {"seconds": self._rng.choice(WAITS)}

    def _hang_up(self) -> dict[str, Any]:
        return {"which": self._number(), "begun": self._rng.random() < 0.5}

    def _die(self) -> dict[str, Any]:
        return {"which": self._number(), "calls": self._rng.randint(-1, 9)}

    def _start(self) -> dict[str, Any]:
        return {"schedule": self._schedule()}

    def _rest(self) -> dict[str, Any]:
        return {}


def play(template: Directory, actions: Sequence[Action]) -> int:
    """Do these; how many steps they were. Raises `Violation`."""
    with Machine(template) as machine:
        try:
            for name, arguments in actions:
                getattr(machine, name)(**arguments)
        except Violation as violation:
            violation.steps = machine.world.taken
            raise
        return machine.world.taken


def run(template: Directory, seed: object) -> int:
    """One run of this seed; how many steps it was. Raises `Violation`."""
    return play(template, Choices(random.Random(str(seed))).actions())


def shortest(template: Directory, seed: object) -> Violation | None:
    """The violation that a seed leads to, by as few actions as it takes; None where it leads to none."""
    actions = Choices(random.Random(str(seed))).actions()
    found = _violation(template, actions)
    at = len(actions)
    while found is not None and (at := at - 1) >= 0:
        fewer = actions[:at] + actions[at + 1 :]
        if (still := _violation(template, fewer)) is not None:
            found, actions = still, fewer
    if found is not None:
        found.add_note("\n".join(map(str, actions)))
    return found


def _violation(template: Directory, actions: Sequence[Action]) -> Violation | None:
    try:
        play(template, actions)
    except Violation as violation:
        return violation
    return None
