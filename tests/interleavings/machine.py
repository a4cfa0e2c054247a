"""The state machine: hypothesis chooses what is asked for, who does the next steps, and who dies.

A rule begins an operation and does some steps of it, or goes on with one that was left somewhere in between: few
changes of turn at places that are anywhere, which is where interleavings go wrong. After each step `model` looks.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from records.central import Owner
from tests.fakes.data_directory import digest_of
from tests.interleavings.model import Asked, Model, Violation
from tests.interleavings.world import MEMORY, Operation, Place, Process, World, make_template

CONNECTORS = ("a", "b")
INSTANCES = ("one", "two")
STREAMS = ("documents", "photos")
KEYS = ("1", "2")
CONTENTS = (b"letter", b"photo")
DAY = 24 * 3600.0

numbers = st.integers(0, 7)
turns = st.sampled_from([1, 1, 2, 3, 4, 6, 9, 14, 1000])
places = st.tuples(st.sampled_from(CONNECTORS), st.integers(0, 1), st.sampled_from(STREAMS), st.sampled_from(KEYS))
contents = st.sampled_from(CONTENTS)


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


class Machine(RuleBasedStateMachine):
    """One run. `template` is set by who runs it; `steps` counts those of all runs."""

    template: Directory
    steps = 0

    @initialize()
    def begin(self) -> None:
        self.folder = self.template.fresh()
        self.world = World(self.template.path, self.template.owner, Path(self.folder.name))
        self.world.__enter__()
        self.model = Model(self.world)
        self.erased = 0
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

    @rule(number=numbers, turns=turns)
    def go_on(self, number: int, turns: int) -> None:
        waiting = self.world.waiting()
        if waiting:
            self.go(waiting[number % len(waiting)], turns)

    @rule(number=numbers, turns=turns)
    def go_on_with_the_last(self, number: int, turns: int) -> None:
        waiting = self.world.waiting()
        if waiting:
            self.go(waiting[-1 - number % min(2, len(waiting))], turns)

    @rule(some=st.lists(st.tuples(numbers, turns), min_size=2, max_size=6))
    def take_turns(self, some: list[tuple[int, int]]) -> None:
        for number, turns in some:
            self.go_on(number, turns)

    # -- what is asked for -----------------------------------------------------------------------------------------

    def place(self, drawn: tuple[str, int, str, str]) -> Place:
        """The place that is meant; an erased instance's name is never used again."""
        connector, instance, stream, key = drawn
        if connector in self.unregistered and (process := self.process(0)) is not None:
            self.unregistered.discard(connector)
            self.do(self.world.register(process, connector))
        return Place(connector, self.instance(connector, instance), stream, key)

    def instance(self, connector: str, number: int) -> str:
        """What the instance is called now."""
        return f"{connector}-{INSTANCES[number]}-{self.names.get((connector, number), 0)}"

    @rule(who=numbers, where=places, data=contents, turns=turns)
    def upload(self, who: int, where: Any, data: bytes, turns: int) -> None:
        place, process = self.place(where), self.process(who)
        if process is not None:
            operation = self.world.upload(process, place, data)
            digest = digest_of(data).hex
            self.model.asked(Asked(operation, lambda each: each == place, place=place, digests=frozenset({digest})))
            self.go(operation, turns)

    @rule(who=numbers, where=places, data=st.sets(contents, max_size=2), turns=turns)
    def put(self, who: int, where: Any, data: set[bytes], turns: int) -> None:
        place, process = self.place(where), self.process(who)
        if process is not None:
            value = len(self.model.values)
            digests = sorted(digest_of(each) for each in data)
            self.model.values[value] = frozenset(each.hex for each in digests)
            operation = self.world.put(process, place, value, digests)
            asked = Asked(operation, lambda each: each == place, value, True, place=place)
            asked.digests = self.model.values[value]
            self.model.asked(asked)
            self.go(operation, turns)

    @rule(who=numbers, where=places, data=contents, turns=turns)
    def upload_and_put(self, who: int, where: Any, data: bytes, turns: int) -> None:
        self.upload(who, where, data, 1000)
        self.put(who, where, {data}, turns)

    @rule(who=numbers, where=places, turns=turns)
    def delete(self, who: int, where: Any, turns: int) -> None:
        place, process = self.place(where), self.process(who)
        if process is not None:
            operation = self.world.delete(process, place)
            self.model.asked(Asked(operation, lambda each: each == place, None, True, place=place))
            self.go(operation, turns)

    @rule(who=numbers, where=places, depth=st.integers(3, 4), turns=turns)
    def erase(self, who: int, where: Any, depth: int, turns: int) -> None:
        place, process = self.place(where), self.process(who)
        if process is None:
            return
        target: tuple[str | None, ...] = (place.connector, place.instance, place.stream, place.key)
        target = (*target[:depth], None, None, None)[:4]

        def covers(each: Place) -> bool:
            these = (each.connector, each.instance, each.stream, each.key)
            return all(wanted in (None, this) for wanted, this in zip(target, these, strict=True))

        if depth <= 2:
            self.erased += 1
            instances = range(len(INSTANCES)) if depth == 1 else [where[1]]
            living = {self.instance(place.connector, each) for each in instances}
            for each in instances:
                self.names[place.connector, each] = self.erased
        if depth == 1:
            self.unregistered.add(place.connector)

        def covers_now(each: Place) -> bool:
            return covers(each) and (depth > 2 or each.instance in living)

        operation = self.world.erase(process, place.connector, *target[1:])
        self.model.asked(Asked(operation, covers_now, None, True, depth <= 2, True))
        self.go(operation, turns)

    @rule(who=numbers, grace=st.sampled_from([0.0, 0.0, 3600.0]), turns=turns)
    def collect(self, who: int, grace: float, turns: int) -> None:
        self._ask(who, lambda process: self.world.collect(process, grace), turns)

    @rule(who=numbers, turns=turns)
    def collect_now(self, who: int, turns: int) -> None:
        self.world.loop.pass_time(1)
        self._ask(who, lambda process: self.world.collect(process, 0.0), turns)

    @rule(who=numbers, turns=turns)
    def scrub(self, who: int, turns: int) -> None:
        self._ask(who, self.world.scrub, turns)

    @rule(who=numbers, turns=turns)
    def drain(self, who: int, turns: int) -> None:
        self._ask(who, self.world.drain, turns)

    def _ask(self, who: int, ask: Any, turns: int) -> None:
        process = self.process(who)
        if process is not None:
            operation = ask(process)
            self.model.asked(Asked(operation))
            self.go(operation, turns)

    # -- what happens ----------------------------------------------------------------------------------------------

    @rule(which=numbers)
    def spoil(self, which: int) -> None:
        """The disk changes the bytes of a blob."""
        live = [each for each in self.model.see().generations if each[2] == "live"]
        if live:
            digest, generation, _ = live[which % len(live)]
            path = next((self.world.directory / "blobs").rglob(f"{digest}.{generation}"))
            path.chmod(0o600)
            path.write_bytes(bytes(path.stat().st_size))
            self.model.spoiled.add(generation)

    @rule(seconds=st.sampled_from([1.0, 1.0, 61.0, 301.0, 3601.0, 8 * DAY]))
    def wait(self, seconds: float) -> None:
        self.world.loop.pass_time(seconds)
        self.model.look()

    @rule(which=numbers, begun=st.booleans())
    def hang_up(self, which: int, begun: bool) -> None:
        """Who asked for an upload or a batch goes away."""
        asked = [each for each in self.world.waiting() if each.what.startswith(("upload", "ingest"))]
        if asked:
            self.world.cancel(asked[which % len(asked)], begun=begun)
            self.model.look()

    @rule(which=numbers, calls=st.integers(-1, 9))
    def die(self, which: int, calls: int) -> None:
        """A process dies, between two steps or inside one."""
        waiting = self.world.waiting()
        if waiting and calls >= 0:
            self.world.die_inside(waiting[which % len(waiting)], calls)
        elif (process := self.process(which)) is not None:
            self.world.kill(process)
        self.model.look()

    @rule(turns=turns)
    def start(self, turns: int) -> None:
        if sum(process.alive for process in self.world.processes) < 3:
            self.go(self.world.start(), turns)

    @rule()
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
        while waiting := self.world.waiting():
            for operation in waiting:
                self.do(operation)
        for operation in self.world.operations:
            if not operation.over:
                raise Violation(f"{operation} waits for something that never comes")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            type(self).steps += self.world.taken
            self.model.close()
            self.world.__exit__()
            self.folder.cleanup()


def run(template: Directory, examples: int, rules: int, seed: int, *, shrink: bool = True) -> int:
    """Run the machine so many times, so many rules each; how many steps were done.

    Raises `Violation`, with the shortest run that shows it where it is to `shrink`.
    """

    class Run(Machine):
        pass

    Run.template = template
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    profile = settings(
        max_examples=examples,
        stateful_step_count=rules,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(seeded(seed)(Run), settings=profile)
    return Run.steps
