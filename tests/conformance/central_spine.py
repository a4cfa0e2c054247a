"""Central stores: the spine, notes on it and its checkpoints."""

import asyncio

import pytest

from records.audit import spine
from records.central import About, Central, Checkpoint, Owner, SpineEvent
from records.errors import Conflict, Unknown
from tests.conformance.central_values import (
    EVENT,
    NOBODY,
    T1,
    T2,
    T3,
    grant_of,
    job_of,
    registered,
    token_for,
    token_of,
)


class Spines:
    async def test_an_empty_spine_has_no_head(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        assert await central.spine(owner.id, 0, 10) == []
        assert await central.spine_head(owner.id) is None
        assert await central.chained(owner.id) == 0

    async def test_events_are_chained_in_order(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        assert await central.append(owner.id, "records", [(1, b"a"), (2, b"b")], T1) == 2
        assert await central.append(owner.id, "blobs", [(7, b"c")], T2) == 1
        events = await central.spine(owner.id, 0, 10)
        assert [(each.seq, each.at, each.body) for each in events] == [(1, T1, b"a"), (2, T1, b"b"), (3, T2, b"c")]
        assert list(spine.verify(events)) == []
        assert await central.spine_head(owner.id) == events[-1]
        assert await central.chained(owner.id) == 3

    async def test_delivering_again_is_harmless(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        await central.append(owner.id, "records", [(1, b"a"), (2, b"b")], T1)
        assert await central.append(owner.id, "records", [(1, b"a"), (2, b"b"), (5, b"c")], T2) == 1
        assert await central.append(owner.id, "records", [(5, b"c")], T3) == 0
        assert await central.delivered(owner.id, "records") == 5
        assert await central.delivered(owner.id, "blobs") == await central.delivered(NOBODY, "records") == 0
        assert await central.append(owner.id, "records", [], T3) == 0
        assert [each.body for each in await central.spine(owner.id, 0, 10)] == [b"a", b"b", b"c"]

    async def test_a_number_that_does_not_rise_is_skipped_within_one_delivery(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        assert await central.append(owner.id, "records", [(2, b"a"), (2, b"a"), (1, b"b")], T1) == 1

    async def test_sources_and_owners_count_for_themselves(self, central: Central) -> None:
        ann, bob = await central.ensure_owner("ann", T1), await central.ensure_owner("bob", T1)
        for owner in (ann, bob):
            for source in ("records", "blobs"):
                assert await central.append(owner.id, source, [(1, owner.subject.encode())], T1) == 1
        assert [each.body for each in await central.spine(ann.id, 0, 10)] == [b"ann", b"ann"]
        assert list(spine.verify(await central.spine(bob.id, 0, 10))) == []

    async def test_a_spine_is_read_in_pages(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        await central.append(owner.id, "records", [(n, b"%d" % n) for n in range(1, 8)], T1)
        assert [each.seq for each in await central.spine(owner.id, 0, 3)] == [1, 2, 3]
        assert [each.seq for each in await central.spine(owner.id, 3, 3)] == [4, 5, 6]
        assert [each.seq for each in await central.spine(owner.id, 6, 3)] == [7]
        assert await central.spine(owner.id, 7, 3) == []

    async def test_a_change_and_its_event_are_one_step(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)

        await central.add_token(token_of(owner, 1), b"made")
        await central.revoke_token(token_of(owner, 1).digest, T2, b"revoked")
        await central.revoke_token(token_of(owner, 1).digest, T3, b"nothing was left to revoke")
        await central.register(owner.id, "slack", b"{}", T1, b"registered")
        grant = grant_of(owner, "g1")
        await central.add_grant(grant, token_for(grant, 2), b"granted")
        await central.revoke_grant(owner.id, "g1", T2, b"withdrawn")
        await central.revoke_grant(owner.id, "g1", T3, b"nothing was left to withdraw")
        await central.note(owner.id, b"noted", T1, About("g1"))
        await central.begin_erasure(job_of(owner, "e1", "slack"), b"begun")
        await central.begin_erasure(job_of(owner, "e1", "slack"), b"begun already")
        await central.finish_erasure("e1", b"{}", b"receipt", T2, b"finished")
        await central.finish_erasure("e1", b"{}", b"receipt", T3, b"finished already")

        events = await central.spine(owner.id, 0, 10)
        assert b" ".join(each.body for each in events) == (
            b"made revoked registered granted withdrawn noted begun finished"
        )
        assert list(spine.verify(events)) == []

    async def test_what_is_refused_leaves_no_event(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        await central.add_token(token_of(owner, 1), b"made")

        with pytest.raises(Conflict):
            await central.add_token(token_of(owner, 1), b"made again")
        with pytest.raises(Unknown):
            await central.merge_state(owner.id, "slack", "none", {"a": b"1"}, T1, b"merged")

        assert [each.body for each in await central.spine(owner.id, 0, 10)] == [b"made"]

    async def test_an_unknown_owner_has_no_spine(self, central: Central) -> None:
        with pytest.raises(Unknown):
            await central.append(NOBODY, "records", [(1, b"a")], T1)
        assert await central.spine(NOBODY, 0, 10) == []

    async def test_appending_at_once_gives_one_chain(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        deliveries = [[(n, b"%d" % n) for n in range(1, upto)] for upto in range(2, 30)]
        counts = await asyncio.gather(*(central.append(owner.id, "records", each, T1) for each in deliveries))
        events = await central.spine(owner.id, 0, 100)
        assert sum(counts) == len(events) == 28
        assert [each.body for each in events] == [b"%d" % n for n in range(1, 29)]
        assert list(spine.verify(events)) == []


class Notes:
    ABOUT = (
        About("g1", "slack", "blob_1"),
        About("g1", "slack"),
        About("g2", "slack", "blob_1"),
        About(None, None, "blob_2"),
        About("g3", "gmail", "blob_2"),
        About(),
    )

    @pytest.mark.parametrize(
        ("about", "found"),
        [
            (About(), [0, 1, 2, 3, 4, 5]),
            (About(grant="g1"), [0, 1]),
            (About(connector="slack"), [0, 1, 2]),
            (About(blob="blob_1"), [0, 2]),
            (About("g1", "slack", "blob_1"), [0]),
            (About(connector="gmail", blob="blob_2"), [4]),
            (About("g1", "gmail"), []),
            (About(grant="' OR 1=1 --"), []),
        ],
    )
    async def test_events_are_found_by_all_that_is_named(
        self, central: Central, about: About, found: list[int]
    ) -> None:
        owner = await self._noted(central, "ann")
        assert [int(each.body) for each in await central.noted(owner.id, about, 0, 10)] == found

    async def test_a_noted_event_is_on_the_spine_like_any_other(self, central: Central) -> None:
        owner = await self._noted(central, "ann")
        events = await central.spine(owner.id, 0, 100)
        assert list(spine.verify(events)) == []
        noted = await central.noted(owner.id, About(), 0, 100)
        assert noted == [event for event in events if event.body.isdigit()]
        assert len(events) == 2 * len(noted)

    async def test_notes_are_read_in_pages(self, central: Central) -> None:
        owner = await self._noted(central, "ann")
        pages: list[list[SpineEvent]] = [await central.noted(owner.id, About(connector="slack"), 0, 2)]
        pages.append(await central.noted(owner.id, About(connector="slack"), pages[0][-1].seq, 2))
        assert [[int(each.body) for each in page] for page in pages] == [[0, 1], [2]]

    async def test_owners_do_not_find_each_others_notes(self, central: Central) -> None:
        await self._noted(central, "ann")
        bob = await central.ensure_owner("bob", T1)
        assert await central.noted(bob.id, About(), 0, 10) == []
        assert await central.noted(NOBODY, About(grant="g1"), 0, 10) == []

    async def test_an_unknown_owner_notes_nothing(self, central: Central) -> None:
        with pytest.raises(Unknown):
            await central.note(NOBODY, EVENT, T1, About("g1"))

    async def _noted(self, central: Central, subject: str) -> Owner:
        """Notes about `ABOUT`, whose bodies are their places there, with other events between them."""
        owner = await central.ensure_owner(subject, T1)
        for number, about in enumerate(self.ABOUT):
            await central.append(owner.id, "records", [(number + 1, b"other")], T1)
            await central.note(owner.id, b"%d" % number, T1, about)
        return owner


class Checkpoints:
    async def test_a_spine_has_none_until_one_is_added(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        assert await central.newest_checkpoint(owner.id) is None
        assert await central.checkpoints(owner.id, 0, 10) == []

    async def test_they_are_kept_in_the_order_of_their_events(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        made = [Checkpoint(seq, T1, b"\0 document %d" % seq) for seq in (3, 12, 7)]
        for each in made:
            await central.add_checkpoint(owner.id, each)
        assert await central.newest_checkpoint(owner.id) == made[1]
        assert await central.checkpoints(owner.id, 0, 2) == [made[0], made[2]]
        assert await central.checkpoints(owner.id, 7, 2) == [made[1]]
        assert await central.checkpoints(owner.id, 12, 2) == []

    async def test_the_first_of_an_event_stays(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        await central.add_checkpoint(owner.id, Checkpoint(3, T1, b"first"))
        await central.add_checkpoint(owner.id, Checkpoint(3, T2, b"second"))
        assert await central.checkpoints(owner.id, 0, 10) == [Checkpoint(3, T1, b"first")]

    async def test_owners_have_their_own(self, central: Central) -> None:
        ann, bob = await central.ensure_owner("ann", T1), await central.ensure_owner("bob", T1)
        for owner in (ann, bob):
            await central.add_checkpoint(owner.id, Checkpoint(1, T1, owner.subject.encode()))
        assert await central.newest_checkpoint(bob.id) == Checkpoint(1, T1, b"bob")
        assert await central.checkpoints(NOBODY, 0, 10) == []
        assert await central.newest_checkpoint(NOBODY) is None
        with pytest.raises(Unknown):
            await central.add_checkpoint(NOBODY, Checkpoint(1, T1, b""))

    async def test_adding_one_adds_no_event(self, central: Central) -> None:
        owner = await registered(central)
        head = await central.spine_head(owner.id)
        await central.add_checkpoint(owner.id, Checkpoint(1, T1, b"document"))
        assert await central.spine_head(owner.id) == head
