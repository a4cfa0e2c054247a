"""Central stores: where the records of connectors live."""

import asyncio
from dataclasses import replace

import pytest

from records.central import Central, ErasureJob
from records.errors import Unknown
from records.shards import Home, Left, Shards
from tests.conformance.central_values import NOBODY, T1

LEFT = Left(notes=True, stale=True, oldest=12.5, holds=b"[]")


class Homes:
    async def test_at_first_there_are_none(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        for each in (owner.id, NOBODY):
            assert await central.shards(each) == Shards(None, {}, 0)
            assert await central.shards_revision(each) == 0

    async def test_a_topology_is_changed_only_from_the_one_that_it_is(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        assert await central.set_topology(owner, "single", "postgres") is False
        assert (await central.shards(owner)).topology is None
        assert await central.set_topology(owner, None, "single") is True
        assert await central.set_topology(owner, None, "postgres") is False
        assert await central.set_topology(owner, "single", "postgres") is True
        assert (await central.shards(owner)).topology == "postgres"

    async def test_topologies_of_all_owners_are_known_at_once(self, central: Central) -> None:
        ann, bob, carol = [(await central.ensure_owner(subject, T1)).id for subject in ("ann", "bob", "carol")]
        assert await central.topologies() == {}
        await central.set_topology(ann, None, "single")
        await central.set_topology(ann, "single", "postgres")
        await central.place(bob, "slack", "s1")
        await central.set_topology(carol, None, "single")
        assert await central.topologies() == {ann: "postgres", carol: "single"}

    async def test_who_is_placed_stays_there(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        assert await central.place(owner, "b\0c", "s1") == Home("s1", 1)
        assert await central.place(owner, "b\0c", "s2") == Home("s1", 1)
        assert (await central.shards(owner)).homes == {"b\0c": Home("s1", 1)}

    async def test_everybody_who_places_at_once_gets_the_same_shard(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        homes = await asyncio.gather(*(central.place(owner, "slack", f"s{n}") for n in range(20)))
        assert len(set(homes)) == 1

    async def test_owners_have_their_own_homes(self, central: Central) -> None:
        ann, bob = await central.ensure_owner("ann", T1), await central.ensure_owner("bob", T1)
        await central.place(ann.id, "slack", "s1")
        assert await central.shards(bob.id) == Shards()

    async def test_who_moves_leaves_the_place_that_was_named(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        assert await central.move(owner, "slack", "s1", "s2") is False
        assert await central.move(owner, "slack", None, "s1") is True
        assert await central.move(owner, "slack", None, "s2") is False
        assert await central.wake(owner, "slack", "s1") == 2
        assert await central.move(owner, "slack", "s1", "s2") is True
        assert (await central.shards(owner)).homes == {"slack": Home("s2", 1)}
        assert await central.move(owner, "slack", "s2", None) is True
        assert (await central.shards(owner)).homes == {}

    async def test_a_shard_is_woken_under_a_higher_number_each_time(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        await central.place(owner, "slack", "s1")
        assert [await central.wake(owner, "slack", "s1") for _ in range(2)] == [2, 3]
        assert await central.rest(owner, "slack", "s1", 3, LEFT) is True
        assert (await central.shards(owner)).homes == {"slack": Home("s1", 3, LEFT)}
        assert await central.wake(owner, "slack", "s1") == 4
        assert (await central.shards(owner)).homes == {"slack": Home("s1", 4)}

    async def test_nobody_is_woken_where_he_does_not_live(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        await central.place(owner, "slack", "s1")
        assert await central.wake(owner, "slack", "s2") is None
        assert await central.wake(owner, "gmail", "s1") is None
        assert (await central.shards(owner)).homes == {"slack": Home("s1", 1)}

    async def test_what_was_woken_meanwhile_does_not_come_to_rest(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        await central.place(owner, "slack", "s1")
        await central.wake(owner, "slack", "s1")
        assert await central.rest(owner, "slack", "s1", 1, LEFT) is False
        assert await central.rest(owner, "slack", "s2", 2, LEFT) is False
        assert await central.rest(owner, "gmail", "s1", 2, LEFT) is False
        assert (await central.shards(owner)).homes == {"slack": Home("s1", 2)}

    async def test_what_is_left_to_do_may_be_told_again(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        await central.place(owner, "slack", "s1")
        for left in (LEFT, Left()):
            assert await central.rest(owner, "slack", "s1", 1, left) is True
            assert (await central.shards(owner)).homes["slack"].left == left

    async def test_what_a_shard_holds_is_forgotten_when_it_is_woken_or_left(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        await central.place(owner, "slack", "s1")
        await central.rest(owner, "slack", "s1", 1, LEFT)
        assert await central.wake(owner, "slack", "s1") == 2
        await central.rest(owner, "slack", "s1", 2, Left())
        assert (await central.shards(owner)).homes == {"slack": Home("s1", 2, Left())}
        await central.rest(owner, "slack", "s1", 2, LEFT)
        await central.move(owner, "slack", "s1", "s2")
        assert (await central.shards(owner)).homes == {"slack": Home("s2", 1)}

    async def test_of_an_owner_who_was_erased_nothing_is_told_of_what_shards_hold(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        await central.place(owner, "slack", "s1")
        await central.rest(owner, "slack", "s1", 1, LEFT)
        job = ErasureJob("era_1", owner, b"{}", "running", T1, None, None, owner_digest="hmac:1")
        await central.begin_erasure(job, b"{}")
        await central.forget_owner(owner)
        assert (await central.shards(owner)).homes == {"slack": Home("s1", 1, replace(LEFT, holds=None))}
        await central.rest(owner, "slack", "s1", 1, LEFT)
        assert (await central.shards(owner)).homes == {"slack": Home("s1", 1, replace(LEFT, holds=None))}

    async def test_every_change_raises_the_revision_and_nothing_else_does(self, central: Central) -> None:
        owner = (await central.ensure_owner("ann", T1)).id
        seen = [0]
        for change in (
            central.set_topology(owner, None, "single"),
            central.place(owner, "slack", "s1"),
            central.wake(owner, "slack", "s1"),
            central.rest(owner, "slack", "s1", 2, LEFT),
            central.move(owner, "slack", "s1", "s2"),
        ):
            assert await change
            seen.append(await central.shards_revision(owner))
            assert (await central.shards(owner)).revision == seen[-1]
        assert seen == sorted(set(seen))
        for nothing in (
            central.set_topology(owner, None, "single"),
            central.wake(owner, "slack", "s1"),
            central.rest(owner, "slack", "s1", 2, LEFT),
            central.move(owner, "slack", "s1", "s2"),
        ):
            assert not await nothing
        await central.place(owner, "slack", "s3")
        assert await central.shards_revision(owner) == seen[-1]

    async def test_of_nobody_nothing_is_placed(self, central: Central) -> None:
        for change in (
            central.set_topology(NOBODY, None, "single"),
            central.place(NOBODY, "slack", "s1"),
            central.move(NOBODY, "slack", None, "s1"),
            central.wake(NOBODY, "slack", "s1"),
            central.rest(NOBODY, "slack", "s1", 1, LEFT),
        ):
            with pytest.raises(Unknown):
                await change
