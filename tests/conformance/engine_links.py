"""What every record engine knows of links."""

import pytest

from records.engine import Engine
from records.errors import Released
from records.model import Delete, Link, Order, Partition, PlacedLink, Put, Target
from records.sums import Linked, Monthly, Sums
from tests.conformance.engine_values import (
    GMAIL,
    MAILS,
    MESSAGES,
    OTHERS,
    SLACK,
    T2,
    USERS,
    apply,
    delete,
    digest_of,
    link_of,
    put,
    record_of,
)

ONE, TWO, THREE = digest_of(1), digest_of(2), digest_of(3)


async def linked_everywhere(engine: Engine) -> list[PlacedLink]:
    """Blob 1 in several records of several partitions, in the order of the port."""
    places = [
        (place, key, pointer)
        for place in sorted([MESSAGES, USERS, OTHERS, MAILS])
        for key in ("a", "a\0", "b")
        for pointer in ("/0", "/0\0", "/1")
    ]
    for place in (USERS, MAILS, OTHERS, MESSAGES):
        for key in ("b", "a", "a\0"):
            links = [link_of(1, pointer, key) for pointer in ("/1", "/0", "/0\0")]
            await apply(engine, place, put(key, "", *links, link_of(2, "/other")))
    return [PlacedLink(place, key, link_of(1, pointer, key)) for place, key, pointer in places]


class EngineLinks:
    async def test_sums_tell_what_each_stream_and_the_connector_link_and_when_records_were_emitted(
        self, engine: Engine
    ) -> None:
        assert await engine.sums() == {}
        await apply(engine, MESSAGES, put("a", "", link_of(1), link_of(1, "/b")), put("b", "", link_of(2)))
        await apply(engine, OTHERS, put("a", "", link_of(1)))
        await apply(engine, USERS, put("u", "", link_of(2), emitted_at="2025-12-31T23:59:59Z"))
        size = len(put("a").data)
        streams = {"messages": Linked(4, 8 + 8 + 15 + 8, 2, 23), "users": Linked(1, 15, 1, 15)}
        months = {"2025-12": Monthly(1, size, 15), "2026-11": Monthly(3, 3 * size, 39)}
        assert await engine.sums() == {SLACK: Sums(2, 23, streams, months)}
        await apply(engine, MESSAGES, put("a", "x"), delete("b"))
        streams["messages"] = Linked(1, 8, 1, 8)
        months["2026-11"] = Monthly(2, 2 * size + 1, 8)
        assert await engine.sums(SLACK) == {SLACK: Sums(2, 23, streams, months)}
        await engine.erase(Target(SLACK), T2, 100)
        assert await engine.sums() == {}
        assert await engine.resum(repair=True) == []

    async def test_a_record_says_whether_it_links_anything(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1)), put("b"))
        flags = [record.linked for key in "ab" for record in await engine.get([MESSAGES], [key])]
        assert flags == [True, False]

    async def test_links_of_a_blob_come_in_order_and_go_on_beyond_any(self, engine: Engine) -> None:
        expected = await linked_everywhere(engine)
        assert await engine.links_of(ONE) == expected
        assert await engine.links_of(ONE, limit=5) == expected[:5]
        for number, link in enumerate(expected):
            after = (link.partition, link.key, link.link.pointer)
            assert await engine.links_of(ONE, after, 4) == expected[number + 1 : number + 5]
        nowhere = (Partition(SLACK, "one", "none"), "z", "")
        beyond = [link for link in expected if link.partition > nowhere[0]]
        assert await engine.links_of(ONE, nowhere) == beyond
        assert await engine.links_of(THREE) == []

    async def test_links_of_a_blob_may_be_asked_of_one_connector(self, engine: Engine) -> None:
        every = await linked_everywhere(engine)
        for connector in (SLACK, MAILS.connector, "none"):
            expected = [link for link in every if link.partition.connector == connector]
            assert await engine.links_of(ONE, connector=connector) == expected
            for link in every:
                after = (link.partition, link.key, link.link.pointer)
                beyond = [each for each in expected if every.index(each) > every.index(link)][:4]
                assert await engine.links_of(ONE, after, 4, connector=connector) == beyond

    async def test_of_each_blob_the_first_connector_that_links_it_is_told(self, engine: Engine) -> None:
        await linked_everywhere(engine)
        await apply(engine, MESSAGES, put("only", "", link_of(4)))
        first = min(place.connector for place in (MESSAGES, USERS, OTHERS, MAILS))
        expected = {ONE: first, TWO: first, digest_of(4): MESSAGES.connector}
        assert await engine.linkers([ONE, THREE, digest_of(4), TWO]) == expected
        assert await engine.linkers([digest_of(number) for number in range(1, 2000)]) == expected
        assert await engine.linkers([]) == {}

    async def test_links_in_a_record_come_in_the_order_of_their_pointers(self, engine: Engine) -> None:
        links = [Link(TWO, "/b", "text/plain", "ü\0.txt", 15), Link(ONE, "/a", "image/png", None, 8), link_of(1, "")]
        await apply(engine, MESSAGES, put("a", "", *links), put("b", "", link_of(3)))
        placed = [PlacedLink(MESSAGES, "a", link) for link in (links[2], links[1], links[0])]
        assert await engine.links_in(MESSAGES, "a") == placed
        assert await engine.links_in(MESSAGES, "c") == []
        assert await engine.links_in(OTHERS, "a") == []

    async def test_a_records_links_are_replaced_with_it(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "1", link_of(1, "/0"), link_of(2, "/1")))
        await apply(engine, MESSAGES, put("a", "2", link_of(2, "/0"), link_of(3, "/1")))
        assert [link.link for link in await engine.links_in(MESSAGES, "a")] == [link_of(2, "/0"), link_of(3, "/1")]
        assert await engine.unlinked(10) == [(SLACK, ONE)]

    async def test_linked_counts_the_links_of_one_connector_in_each_stream(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(3, "/0"), link_of(3, "/1"), link_of(1, "/2")))
        await apply(engine, OTHERS, put("a", "", link_of(3)))
        await apply(engine, USERS, put("a", "", link_of(3)))
        await apply(engine, MAILS, put("a", "", link_of(2)))
        counts = {"messages": 3, "users": 1}  # the instances of a connector are counted together
        assert await engine.linked(SLACK, None, 10) == [(ONE, {"messages": 1}), (THREE, counts)]
        assert await engine.linked(SLACK, None, 1) == [(ONE, {"messages": 1})]
        assert await engine.linked(SLACK, ONE, 10) == [(THREE, counts)]
        assert await engine.linked(SLACK, TWO, 10) == [(THREE, counts)]
        assert await engine.linked(SLACK, THREE, 10) == []
        assert await engine.linked(GMAIL, None, 10) == [(TWO, {"messages": 1})]
        assert await engine.linked("nobody", None, 10) == []

    # -- links that are mended -------------------------------------------------------------------------------------

    async def test_relinking_replaces_a_records_links_and_nothing_else(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1, "/0"), link_of(2, "/1")), put("b", "", link_of(3)))
        before = await engine.page([MESSAGES], Order.ASC, None, 10)
        links = [link_of(2, "/2", "x.png"), link_of(3, "/0")]
        assert await engine.relink(MESSAGES, "a", 1, links, 0)
        assert [placed.link for placed in await engine.links_in(MESSAGES, "a")] == [links[1], links[0]]
        assert await engine.page([MESSAGES], Order.ASC, None, 10) == before
        assert (await engine.stats())[MESSAGES].links == 3
        assert await engine.unlinked(10) == [(SLACK, ONE)]

    async def test_relinking_gives_and_takes_the_only_links(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        for links in ([link_of(1)], []):
            assert await engine.relink(MESSAGES, "a", 1, links, 0)
            record = await record_of(engine, MESSAGES, "a")
            assert record is not None
            assert record.linked is bool(links)
            assert await engine.linked(SLACK, None, 10) == [(ONE, {"messages": 1})][: len(links)]
        assert await engine.unlinked(10) == [(SLACK, ONE)]

    async def test_a_record_that_changed_meanwhile_is_not_relinked(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1)), put("gone"), delete("gone"))
        await apply(engine, MESSAGES, put("a", "2", link_of(2)))
        for place, key, version in ((MESSAGES, "a", 1), (MESSAGES, "gone", 2), (MESSAGES, "gone", 3), (MAILS, "a", 1)):
            assert await engine.relink(place, key, version, [link_of(3)], 0) is False
        assert await engine.linked(SLACK, None, 10) == [(TWO, {"messages": 1})]
        assert (await engine.stats())[MESSAGES].links == 1

    async def test_p1_relinking_after_a_release_must_hold_again(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        await engine.recount(SLACK, [ONE])
        with pytest.raises(Released):
            await engine.relink(MESSAGES, "a", 1, [link_of(1)], 0)
        assert await engine.links_in(MESSAGES, "a") == []
        assert await engine.relink(MESSAGES, "a", 1, [link_of(1)], 1)

    # -- the last link ---------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("last", [put("a", "without"), delete("a"), put("a", "other", link_of(2))])
    async def test_a_digest_without_links_in_its_connector_is_noted(self, engine: Engine, last: Put | Delete) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1)), put("b", "", link_of(2)))
        await apply(engine, MAILS, put("a", "", link_of(1)))
        assert await engine.unlinked(10) == []
        await apply(engine, MESSAGES, last)
        assert await engine.unlinked(10) == [(SLACK, ONE)]

    async def test_a_digest_that_another_record_links_is_not_noted(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1)))
        await apply(engine, OTHERS, put("b", "", link_of(1)))
        await apply(engine, MESSAGES, delete("a"))
        assert await engine.unlinked(10) == []
        await apply(engine, OTHERS, delete("b"))
        assert await engine.unlinked(10) == [(SLACK, ONE)]

    async def test_a_link_that_moves_within_a_batch_is_not_lost(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1)))
        await apply(engine, MESSAGES, delete("a"), put("b", "", link_of(1)))
        await apply(engine, MESSAGES, put("b", "2", link_of(1, "/elsewhere")))
        assert await engine.unlinked(10) == []

    async def test_a_link_that_a_batch_both_makes_and_takes_is_noted(self, engine: Engine) -> None:
        # Its blob was held for this batch, and nothing but the note tells that the holder can go.
        await apply(engine, MESSAGES, put("a", "", link_of(1)), put("a", "2"), put("b", "", link_of(2)), delete("b"))
        assert await engine.unlinked(10) == [(SLACK, ONE), (SLACK, TWO)]

    async def test_notes_come_in_order_and_stay_until_they_are_forgotten(self, engine: Engine) -> None:
        for place in (MESSAGES, MAILS):
            await apply(engine, place, *(put(str(n), "", link_of(n)) for n in (3, 1, 2)))
            await apply(engine, place, *(delete(str(n)) for n in (1, 2, 3)))
        notes = [(name, digest) for name in (GMAIL, SLACK) for digest in (ONE, TWO, THREE)]
        assert await engine.unlinked(100) == notes
        assert await engine.unlinked(4) == notes[:4]
        assert await engine.unlinked(2, SLACK) == [(SLACK, ONE), (SLACK, TWO)]
        assert await engine.unlinked(10, "nobody") == []
        assert await engine.notes("nobody", [ONE]) == []
        done = await engine.notes(SLACK, [ONE, THREE, digest_of(9)])
        assert len(done) == 2
        await engine.forget_notes([])
        await engine.forget_notes(done)
        await engine.forget_notes(done)
        assert await engine.unlinked(100) == [*notes[:3], (SLACK, TWO)]

    async def test_a_note_that_is_made_again_is_another_note(self, engine: Engine) -> None:
        numbers: list[int] = []
        for forgotten in (False, True, True):
            await apply(engine, MESSAGES, put("a", "", link_of(1)), delete("a"))
            (note,) = await engine.notes(SLACK, [ONE])
            await engine.forget_notes(numbers)
            assert await engine.unlinked(10) == [(SLACK, ONE)]
            if forgotten:
                await engine.forget_notes([note])
            numbers.append(note)
        assert numbers == sorted(set(numbers))

    async def test_a_recount_gives_those_without_links_and_raises_the_release_epoch(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1)))
        await apply(engine, MAILS, put("a", "", link_of(2)))
        assert await engine.release_epoch(SLACK) == 0
        assert await engine.recount(SLACK, [ONE, TWO, THREE]) == {TWO, THREE}
        assert await engine.recount(SLACK, []) == set()
        assert await engine.recount("nobody", [ONE]) == {ONE}
        epochs = [await engine.release_epoch(name) for name in (SLACK, GMAIL, "nobody")]
        assert epochs == [2, 0, 1]

    async def test_erased_links_are_gone_and_given_back(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "", link_of(1), link_of(2, "/2")), put("b", "", link_of(2)))
        await apply(engine, OTHERS, put("a", "", link_of(3)))
        step = await engine.erase(Target(SLACK, "one", "messages", "a"), T2, 10)
        assert step.unlinked == {ONE}
        assert await engine.links_in(MESSAGES, "a") == []
        assert (await engine.erase(Target(SLACK, "one"), T2, 10)).unlinked == {TWO}
        assert await engine.unlinked(10) == [(SLACK, ONE), (SLACK, TWO)]
        assert await engine.linked(SLACK, None, 10) == [(THREE, {"messages": 1})]
        assert await record_of(engine, OTHERS, "a") is not None
