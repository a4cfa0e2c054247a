"""Random histories: engines that everything moves out of and into again, piece by piece, answer as they did."""

import asyncio
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from records.engine import Engine
from records.engines.memory import MemoryEngine
from records.engines.sqlite import SqliteEngine
from records.moving.copying import copy_piece
from tests.conformance.engine_transfer import answers, move
from tests.conformance.engine_values import Clock
from tests.test_records.test_engine_machine import CONNECTORS, EngineMachine


class TransferMachine(EngineMachine):
    """Two engines of different kinds with one history; each is copied into one of the other's kind, and takes its place
    when all has moved. Both must come out alike, and as they went in.
    """

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.files = 0
        self.engine: Engine = self.fresh_file()
        self.model: Engine = MemoryEngine(self.clock)
        self.begin_copies()

    def begin_copies(self) -> None:
        self.copies: dict[str, Engine] = {"model": self.fresh_file(), "engine": MemoryEngine(self.clock)}

    def fresh_file(self) -> Engine:
        self.files += 1
        self.path = Path(self.folder.name) / f"{self.files}.db"
        return self.runner.run(SqliteEngine.open(self.path, self.clock))

    def reopen(self) -> None:
        """There is more than one file."""

    @rule(connector=st.sampled_from(CONNECTORS), items=st.integers(1, 6))
    def copy(self, connector: str, items: int) -> None:
        for name, copy in self.copies.items():
            self.runner.run(copy_piece(getattr(self, name), copy, connector, name, items=items))
            assert self.runner.run(copy.check()) == []

    @rule(items=st.integers(1, 6))
    def move_everything(self, items: int) -> None:
        for name, copy in self.copies.items():
            source = getattr(self, name)
            for connector in CONNECTORS:
                before = self.runner.run(answers(source, connector))
                self.runner.run(move(source, copy, connector, items))
                assert self.runner.run(answers(copy, connector)) == before
            self.runner.run(source.close())
        self.model, self.engine = self.copies["engine"], self.copies["model"]
        self.begin_copies()

    def teardown(self) -> None:
        for engine in (self.model, *self.copies.values()):
            self.runner.run(engine.close())
        super().teardown()


@pytest.mark.long
def test_what_has_moved_answers_as_it_did_whatever_came_before(
    rng: random.Random, sized: Callable[[tuple[int, int], tuple[int, int]], tuple[int, int]]
) -> None:
    examples, steps = sized((6, 20), (60, 50))
    machine = seed(rng.getrandbits(32))(TransferMachine)
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=bool(os.environ.get("BLOBSTORE_SOAK")),
    )
    run_state_machine_as_test(machine, settings=profile)
