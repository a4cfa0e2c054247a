"""Central stores: connectors, their instances and sync state."""

import asyncio

import pytest

from records.central import Central, Instance
from records.errors import Conflict, Unknown
from tests.conformance.central_values import (
    EVENT,
    NOBODY,
    T1,
    T2,
    T3,
    added,
    granted,
    job_of,
    registered,
)


class ConnectorsAndInstances:
    async def test_registering_is_true_once(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        assert await central.register(owner.id, "slack", b"1", T1, EVENT) is True
        assert await central.register(owner.id, "slack", b"2", T2, EVENT) is False

    async def test_a_manifest_is_replaced_to_the_letter(self, central: Central) -> None:
        owner = await registered(central)
        await central.register(owner.id, "slack", b'{ "b":\t"\\u0000", "b" : 1 }', T2, EVENT)
        found = await central.connector(owner.id, "slack")
        assert found is not None
        assert (found.id, found.manifest) == ("slack", b'{ "b":\t"\\u0000", "b" : 1 }')
        assert (found.registered_at, found.erased_at) == (T1, None)

    async def test_connectors_come_in_the_order_of_their_ids(self, central: Central) -> None:
        owner = await registered(central, "ann", "b", "https://x/y", "a", "Z")
        assert [each.id for each in await central.connectors(owner.id)] == ["Z", "a", "b", "https://x/y"]

    async def test_owners_do_not_see_each_others(self, central: Central) -> None:
        ann = await registered(central, "ann")
        await added(central, ann, "one")
        bob = await central.ensure_owner("bob", T1)
        assert await central.connectors(bob.id) == []
        assert await central.connector(bob.id, "slack") is None
        assert await central.instances(bob.id) == []
        assert await central.instance(bob.id, "one") is None

    async def test_an_unknown_owner_registers_nothing(self, central: Central) -> None:
        with pytest.raises(Unknown):
            await central.register(NOBODY, "slack", b"{}", T1, EVENT)
        assert await central.connectors(NOBODY) == []

    async def test_the_default_instance_is_made_once(self, central: Central) -> None:
        owner = await registered(central)
        first = await central.ensure_default_instance(owner.id, "slack", "fresh1", T1)
        again = await central.ensure_default_instance(owner.id, "slack", "fresh2", T2)
        assert first == again == Instance("fresh1", "slack", True, T1, None)

    async def test_everybody_who_asks_at_once_gets_the_same_default(self, central: Central) -> None:
        owner = await registered(central)
        made = [central.ensure_default_instance(owner.id, "slack", f"fresh{n}", T1) for n in range(20)]
        assert len(set(await asyncio.gather(*made))) == 1

    async def test_each_connector_has_its_own_default(self, central: Central) -> None:
        owner = await registered(central, "ann", "gmail", "slack")
        for connector in ("gmail", "slack"):
            await central.ensure_default_instance(owner.id, connector, f"of {connector}", T1)
        assert [each.id for each in await central.instances(owner.id)] == ["of gmail", "of slack"]

    async def test_a_named_instance_is_no_default(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "named")
        assert (await central.ensure_default_instance(owner.id, "slack", "fresh", T1)).id == "fresh"

    async def test_adding_an_instance_again_gives_the_one_that_is_there(self, central: Central) -> None:
        owner = await registered(central, "ann", "gmail", "slack")
        first = await added(central, owner, "one")
        assert await central.add_instance(owner.id, Instance("one", "gmail", True, T2, None)) == first
        assert await central.instance(owner.id, "one") == first

    async def test_adding_an_erased_instance_again_gives_the_erased_one(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        await central.begin_erasure(job_of(owner, "e1", "slack", "one"), EVENT)
        assert (await added(central, owner, "one")).erased_at == T2
        assert await central.instances(owner.id) == []

    async def test_a_second_default_is_a_conflict(self, central: Central) -> None:
        owner = await registered(central)
        await central.ensure_default_instance(owner.id, "slack", "fresh", T1)
        with pytest.raises(Conflict):
            await central.add_instance(owner.id, Instance("other", "slack", True, T1, None))
        assert await central.instance(owner.id, "other") is None

    async def test_no_instance_of_an_unregistered_connector(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        with pytest.raises(Unknown):
            await added(central, owner, "one")
        with pytest.raises(Unknown):
            await central.ensure_default_instance(owner.id, "slack", "fresh", T1)

    async def test_no_instance_of_an_erased_connector(self, central: Central) -> None:
        owner = await registered(central)
        await central.begin_erasure(job_of(owner, "e1", "slack"), EVENT)
        with pytest.raises(Conflict):
            await added(central, owner, "one")
        with pytest.raises(Conflict):
            await central.ensure_default_instance(owner.id, "slack", "fresh", T1)

    async def test_instances_come_in_the_order_of_connector_and_id(self, central: Central) -> None:
        owner = await registered(central, "ann", "b", "a")
        for connector, id in (("b", "2"), ("a", "4"), ("b", "1"), ("a", "3")):
            await added(central, owner, id, connector)
        assert [each.id for each in await central.instances(owner.id)] == ["3", "4", "1", "2"]
        assert [each.id for each in await central.instances(owner.id, "b")] == ["1", "2"]


class SyncState:
    async def test_no_state_is_empty_and_never_changed(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        assert await central.state(owner.id, "slack", "one") == ({}, None)
        assert await central.state(owner.id, "slack", "unknown") == ({}, None)

    async def test_values_come_back_to_the_letter(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        state = {"a": b"null", "b": b'{"x" : 1.0, "x": "\\u0000"}', "c": b"[12345678901234567890]"}
        await central.merge_state(owner.id, "slack", "one", state, T1, EVENT)
        assert await central.state(owner.id, "slack", "one") == (state, T1)

    async def test_merging_keeps_other_streams(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        await central.merge_state(owner.id, "slack", "one", {"a": b"1", "b": b"2"}, T1, EVENT)
        await central.merge_state(owner.id, "slack", "one", {"b": b"3"}, T2, EVENT)
        assert await central.state(owner.id, "slack", "one") == ({"a": b"1", "b": b"3"}, T2)

    async def test_merging_nothing_changes_nothing(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T1, EVENT)
        await central.merge_state(owner.id, "slack", "one", {}, T2, EVENT)
        assert await central.state(owner.id, "slack", "one") == ({"a": b"1"}, T1)

    async def test_instances_have_their_own_state(self, central: Central) -> None:
        owner = await registered(central)
        for id in ("one", "two"):
            await added(central, owner, id)
            await central.merge_state(owner.id, "slack", id, {"a": id.encode()}, T1, EVENT)
        assert (await central.state(owner.id, "slack", "one"))[0] == {"a": b"one"}
        assert (await central.state(owner.id, "slack", "two"))[0] == {"a": b"two"}

    async def test_an_instance_of_another_connector_is_unknown(self, central: Central) -> None:
        owner = await registered(central, "ann", "gmail", "slack")
        await added(central, owner, "one")
        await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T1, EVENT)
        with pytest.raises(Unknown):
            await central.merge_state(owner.id, "gmail", "one", {"a": b"2"}, T2, EVENT)
        assert await central.state(owner.id, "gmail", "one") == ({}, None)
        assert await central.state(owner.id, "slack", "one") == ({"a": b"1"}, T1)

    async def test_an_erased_instance_takes_no_state(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        await central.begin_erasure(job_of(owner, "e1", "slack", "one"), EVENT)
        with pytest.raises(Conflict):
            await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T3, EVENT)
        assert await central.state(owner.id, "slack", "one") == ({}, None)

    @pytest.mark.parametrize(
        ("instance", "stream", "left"),
        [
            (None, None, []),
            ("one", None, ["two a", "two b"]),
            (None, "a", ["one b", "two b"]),
            ("two", "b", ["one a", "one b", "two a"]),
            ("nobody", None, ["one a", "one b", "two a", "two b"]),
        ],
    )
    async def test_dropping_forgets_what_is_named(
        self, central: Central, instance: str | None, stream: str | None, left: list[str]
    ) -> None:
        owner = await registered(central, "ann", "gmail", "slack")
        await added(central, owner, "other", "gmail")
        await central.merge_state(owner.id, "gmail", "other", {"a": b"1"}, T1, EVENT)
        for id in ("one", "two"):
            await added(central, owner, id)
            await central.merge_state(owner.id, "slack", id, {"a": b"1", "b": b"2"}, T1, EVENT)

        await central.drop_state(owner.id, "slack", instance, stream)

        states = {id: (await central.state(owner.id, "slack", id))[0] for id in ("one", "two")}
        assert [f"{id} {name}" for id, state in states.items() for name in state] == left
        assert (await central.state(owner.id, "gmail", "other"))[0] == {"a": b"1"}


class NamespacesOfGrants:
    async def test_each_grant_has_a_state_of_its_own(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        for number, grant in enumerate((None, "g1", "g2")):
            if grant is not None:
                await granted(central, owner, grant, number)
            state = {"a": f'"{grant}"'.encode()}
            await central.merge_state(owner.id, "slack", "one", state, T1, EVENT, grant=grant)
        for grant in (None, "g1", "g2"):
            assert await central.state(owner.id, "slack", "one", grant) == ({"a": f'"{grant}"'.encode()}, T1)

    async def test_a_grant_of_nobody_of_another_or_for_another_connector_has_none(self, central: Central) -> None:
        ann, bob = await registered(central, "ann", "slack", "gmail"), await registered(central, "bob")
        await added(central, ann, "one")
        await granted(central, bob, "of bob", 1)
        await granted(central, ann, "for gmail", 2, "gmail")
        for grant in ("nobody's", "of bob", "for gmail"):
            with pytest.raises(Unknown):
                await central.merge_state(ann.id, "slack", "one", {"a": b"1"}, T1, EVENT, grant=grant)
            assert await central.state(ann.id, "slack", "one", grant) == ({}, None)

    async def test_revoking_drops_the_grants_state_for_good_and_leaves_others(self, central: Central) -> None:
        owner = await registered(central)
        for id in ("one", "two"):
            await added(central, owner, id)
        for number, grant in enumerate(("g1", "g2")):
            await granted(central, owner, grant, number)
        for of in (None, "g1", "g2"):
            for id in ("one", "two"):
                await central.merge_state(owner.id, "slack", id, {"a": b"1"}, T1, EVENT, grant=of)

        await central.revoke_grant(owner.id, "g1", T2, EVENT)

        with pytest.raises(Conflict):
            await central.merge_state(owner.id, "slack", "one", {"a": b"2"}, T3, EVENT, grant="g1")
        for id in ("one", "two"):
            assert await central.state(owner.id, "slack", id, "g1") == ({}, None)
            for of in (None, "g2"):
                assert await central.state(owner.id, "slack", id, of) == ({"a": b"1"}, T1)

    async def test_erasing_a_connector_drops_every_namespace_and_keeps_its_grants(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        grant = await granted(central, owner, "g1", 1)
        await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T1, EVENT, grant="g1")
        await central.begin_erasure(job_of(owner, "e1", "slack"), EVENT)
        assert await central.state(owner.id, "slack", "one", "g1") == ({}, None)
        assert await central.grant("g1") == grant

    async def test_dropping_a_stream_forgets_it_in_every_namespace(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        await granted(central, owner, "g1", 1)
        for grant in (None, "g1"):
            await central.merge_state(owner.id, "slack", "one", {"a": b"1", "b": b"2"}, T1, EVENT, grant=grant)
        await central.drop_state(owner.id, "slack", "one", "a")
        for grant in (None, "g1"):
            assert (await central.state(owner.id, "slack", "one", grant))[0] == {"b": b"2"}
