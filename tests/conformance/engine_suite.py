"""What every record engine does: inherit the class, give it an `engines` fixture that goes by the `clock`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from blobstore.catalogue import Numbering
from records.engine import Engine, Engines
from tests.conformance.engine_changes import EngineChanges
from tests.conformance.engine_erasure import EngineErasure
from tests.conformance.engine_leap import EngineLeap
from tests.conformance.engine_linking import EngineLinking
from tests.conformance.engine_links import EngineLinks
from tests.conformance.engine_reads import EngineReads
from tests.conformance.engine_transfer import EngineTransfer
from tests.conformance.engine_values import MAILS, MESSAGES, Clock, apply, batch_of, put, record_of
from tests.conformance.engine_writes import EngineWrites

OWNER = "o1a2b3c4"


class EngineSuite(
    EngineWrites, EngineReads, EngineChanges, EngineLinks, EngineLinking, EngineErasure, EngineLeap, EngineTransfer
):
    @pytest.fixture
    def clock(self) -> Clock:
        """The clock that `engines` must go by."""
        return Clock()

    @pytest.fixture
    async def engine(self, engines: Engines) -> AsyncIterator[Engine]:
        """Sound after every test, whatever it did."""
        engine = await engines.of(OWNER)
        yield engine
        assert await engine.check() == []

    # -- events ----------------------------------------------------------------------------------------------------

    async def test_events_wait_in_order_until_they_are_drained(self, engine: Engine) -> None:
        for body in (b"one", b"two", b"", b"\0three"):
            await engine.note(body)
        events = await engine.outbox(10)
        assert [event.body for event in events] == [b"one", b"two", b"", b"\0three"]
        assert await engine.outbox(2) == events[:2]
        await engine.drained(events[1].source, events[1].seq)
        await engine.drained(events[0].source, events[0].seq)
        assert await engine.outbox(10) == events[2:]

    async def test_the_number_of_an_event_is_never_used_twice(self, engine: Engine) -> None:
        numbers: list[int] = []
        for _ in range(3):
            await engine.note(b"event")
            (event,) = await engine.outbox(10)
            await engine.drained(event.source, event.seq)
            numbers.append(event.seq)
        assert numbers == sorted(set(numbers))

    async def test_an_outbox_tells_what_was_given_and_what_was_drained(self, engine: Engine) -> None:
        assert set((await engine.numbering()).values()) <= {Numbering(0, 0)}
        for body in (b"one", b"two", b"three"):
            await engine.note(body)
        events = await engine.outbox(10)
        (source,) = {event.source for event in events}
        first, second, third = (event.seq for event in events)
        assert (await engine.numbering())[source] == Numbering(first - 1, third)
        await engine.drained(source, second)
        assert (await engine.numbering())[source] == Numbering(second, third)
        await engine.drained(source, third)
        assert (await engine.numbering())[source] == Numbering(third, third)

    async def test_every_source_is_drained_by_itself(self, engine: Engine) -> None:
        await engine.note(b"noted")
        for partition in (MESSAGES, MAILS):
            await engine.apply(replace(batch_of(partition, put("a")), event=partition.connector.encode()))
        bodies: list[bytes] = []
        while events := await engine.outbox(1):
            (event,) = events
            await engine.drained("another", event.seq)
            assert await engine.outbox(1) == events
            await engine.drained(event.source, event.seq)
            bodies.append(event.body)
        assert sorted(bodies) == sorted([b"noted", MESSAGES.connector.encode(), MAILS.connector.encode()])

    async def test_the_first_name_is_kept(self, engine: Engine) -> None:
        assert [await engine.bind("a"), await engine.bind("b"), await engine.bind("a")] == ["a", "a", "a"]

    # -- the engine itself -----------------------------------------------------------------------------------------

    async def test_a_new_engine_is_empty_and_sound(self, engine: Engine) -> None:
        assert await engine.check() == []
        assert await engine.stats() == {}
        assert await engine.outbox(10) == []
        assert await engine.unlinked(10) == []

    async def test_an_owners_engine_is_the_same_object_while_it_is_open(self, engines: Engines) -> None:
        opened = await asyncio.gather(*(engines.of(OWNER) for _ in range(20)))
        assert all(engine is opened[0] for engine in opened)

    async def test_an_engine_is_found_only_where_one_was_made(self, engines: Engines) -> None:
        for nobody in (OWNER, "", "../o1", "O1", "o1\0"):
            assert await engines.find(nobody) is None
        made = await engines.of(OWNER)
        assert await engines.find(OWNER) is made

    async def test_owners_are_apart(self, engines: Engines) -> None:
        one, two = await engines.of("o1"), await engines.of("o2")
        await apply(one, MESSAGES, put("a"))
        await one.note(b"event")
        assert await record_of(two, MESSAGES, "a") is None
        assert await two.outbox(10) == []
        assert await two.stats() == {}

    async def test_closing_twice_is_harmless(self, engines: Engines) -> None:
        engine = await engines.of(OWNER)
        await engine.close()
        await engine.close()
        await engines.close()
        await engines.close()
