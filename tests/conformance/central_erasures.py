"""Central stores: erasures from their decision to their end."""

from dataclasses import replace

import pytest

from records.central import Central, Instance, Owner, Seen
from records.errors import Conflict, Unknown
from tests.conformance.central_values import (
    EVENT,
    NOBODY,
    T1,
    T2,
    T3,
    added,
    grant_of,
    granted,
    job_of,
    registered,
    token_for,
    token_of,
)


class ErasureJobs:
    async def test_an_erasure_comes_back_as_it_was_begun(self, central: Central) -> None:
        owner = await registered(central)
        job = job_of(owner, "e1", "slack", "one")
        await central.begin_erasure(job, EVENT)
        assert await central.erasure(owner.id, "e1") == job
        assert await central.unfinished_erasures() == [job]

    async def test_another_owner_sees_no_erasure(self, central: Central) -> None:
        owner = await registered(central)
        bob = await central.ensure_owner("bob", T1)
        await central.begin_erasure(job_of(owner, "e1"), EVENT)
        assert await central.erasure(bob.id, "e1") is None

    async def test_a_connector_goes_with_its_instances_and_state(self, central: Central) -> None:
        owner = await registered(central, "ann", "gmail", "slack")
        for id, connector in (("one", "slack"), ("two", "slack"), ("other", "gmail")):
            await added(central, owner, id, connector)
            await central.merge_state(owner.id, connector, id, {"a": b"1"}, T1, EVENT)

        await central.begin_erasure(job_of(owner, "e1", "slack"), EVENT)

        assert [(each.id, each.erased_at) for each in await central.connectors(owner.id)] == [
            ("gmail", None),
            ("slack", T2),
        ]
        assert [each.id for each in await central.instances(owner.id)] == ["other"]
        assert await central.instance(owner.id, "two") == Instance("two", "slack", False, T1, T2)
        assert await central.state(owner.id, "slack", "one") == ({}, None)
        assert await central.state(owner.id, "gmail", "other") == ({"a": b"1"}, T1)

    async def test_a_connector_that_is_another_than_was_seen_stays(self, central: Central) -> None:
        owner = await registered(central, "ann", "gmail", "slack")
        for id in ("one", "two"):
            await added(central, owner, id, "slack")
        await added(central, owner, "other", "gmail")
        grant = grant_of(owner, "g1")
        await central.add_grant(grant, token_for(grant, 1), EVENT)
        await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T1, EVENT)
        seen = Seen(b"{}", {"one": {"a": b"1"}, "two": {}})
        await central.merge_state(owner.id, "slack", "two", {"a": b"2"}, T1, EVENT, grant="g1")
        await central.merge_state(owner.id, "gmail", "other", {"a": b"2"}, T1, EVENT)
        others = [
            Seen(b'{"more":1}', seen.states),
            Seen(b"{}", {"one": {"a": b"1"}}),
            Seen(b"{}", {**seen.states, "three": {}}),
            Seen(b"{}", {**seen.states, "one": {"a": b"1 "}}),
            Seen(b"{}", {**seen.states, "one": {}}),
            Seen(b"{}", {**seen.states, "two": {"a": b"2"}}),
        ]

        for other in others:
            assert not await central.begin_erasure(job_of(owner, "e1", "slack"), EVENT, other)
        assert await central.erasure(owner.id, "e1") is None
        assert (await central.state(owner.id, "slack", "one"))[0] == {"a": b"1"}

        assert await central.begin_erasure(job_of(owner, "e1", "slack"), EVENT, seen)
        assert await central.begin_erasure(job_of(owner, "e1", "slack"), EVENT, seen)
        assert not await central.begin_erasure(job_of(owner, "e2", "slack"), EVENT, seen)
        assert [each.id for each in await central.instances(owner.id)] == ["other"]

    async def test_an_instance_goes_alone(self, central: Central) -> None:
        owner = await registered(central)
        for id in ("one", "two"):
            await added(central, owner, id)
            await central.merge_state(owner.id, "slack", id, {"a": b"1"}, T1, EVENT)

        await central.begin_erasure(job_of(owner, "e1", "slack", "one"), EVENT)

        connector = await central.connector(owner.id, "slack")
        assert connector is not None
        assert connector.erased_at is None
        assert [each.id for each in await central.instances(owner.id)] == ["two"]
        assert await central.state(owner.id, "slack", "one") == ({}, None)
        assert await central.state(owner.id, "slack", "two") == ({"a": b"1"}, T1)

    async def test_what_was_erased_before_keeps_its_time(self, central: Central) -> None:
        owner = await registered(central)
        for id in ("one", "two"):
            await added(central, owner, id)
        await central.begin_erasure(job_of(owner, "e1", "slack", "one"), EVENT)
        await central.begin_erasure(replace(job_of(owner, "e2", "slack"), requested_at=T3), EVENT)
        for id, erased_at in (("one", T2), ("two", T3)):
            assert await central.instance(owner.id, id) == Instance(id, "slack", False, T1, erased_at)

    async def test_less_than_an_instance_marks_nothing(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T1, EVENT)
        await central.begin_erasure(job_of(owner, "e1"), EVENT)
        assert [each.id for each in await central.instances(owner.id)] == ["one"]
        assert await central.state(owner.id, "slack", "one") == ({"a": b"1"}, T1)

    async def test_an_erasure_leaves_the_same_connector_of_another_owner(self, central: Central) -> None:
        ann, bob = await registered(central, "ann"), await registered(central, "bob")
        await added(central, bob, "one")
        await central.merge_state(bob.id, "slack", "one", {"a": b"1"}, T1, EVENT)
        await central.begin_erasure(job_of(ann, "e1", "slack"), EVENT)
        assert [each.erased_at for each in await central.connectors(bob.id)] == [None]
        assert await central.state(bob.id, "slack", "one") == ({"a": b"1"}, T1)

    async def test_an_erased_connector_lives_again_without_its_instances(self, central: Central) -> None:
        owner = await registered(central)
        await central.ensure_default_instance(owner.id, "slack", "old", T1)
        await central.begin_erasure(job_of(owner, "e1", "slack"), EVENT)
        assert await central.register(owner.id, "slack", b"new", T3, EVENT) is True
        assert await central.instances(owner.id) == []
        assert (await central.ensure_default_instance(owner.id, "slack", "new", T3)).id == "new"

    async def test_beginning_again_changes_nothing(self, central: Central) -> None:
        owner = await registered(central)
        job = job_of(owner, "e1", "slack")
        await central.begin_erasure(job, EVENT)
        await central.register(owner.id, "slack", b"new", T3, EVENT)
        for again in (job, replace(job, target=b"other", requested_at=T3)):
            await central.begin_erasure(again, EVENT)
        connector = await central.connector(owner.id, "slack")
        assert connector is not None
        assert connector.erased_at is None
        assert await central.unfinished_erasures() == [job]

    async def test_an_id_of_another_owner_is_a_conflict(self, central: Central) -> None:
        ann, bob = await registered(central, "ann"), await registered(central, "bob")
        await central.begin_erasure(job_of(ann, "e1"), EVENT)
        with pytest.raises(Conflict):
            await central.begin_erasure(job_of(bob, "e1", "slack"), EVENT)
        assert [each.erased_at for each in await central.connectors(bob.id)] == [None]

    async def test_an_unknown_owner_erases_nothing(self, central: Central) -> None:
        with pytest.raises(Unknown):
            await central.begin_erasure(job_of(Owner(NOBODY, "nobody"), "e1"), EVENT)
        assert await central.unfinished_erasures() == []

    async def test_a_target_can_be_redacted(self, central: Central) -> None:
        owner = await registered(central)
        await central.begin_erasure(job_of(owner, "e1"), EVENT)
        await central.redact_erasure("e1", b"redacted")
        assert await central.erasure(owner.id, "e1") == replace(job_of(owner, "e1"), target=b"redacted")

    async def test_finishing_keeps_the_first_result(self, central: Central) -> None:
        owner = await registered(central)
        await central.begin_erasure(job_of(owner, "e1"), EVENT)
        await central.finish_erasure("e1", b"first", b"receipt", T2, EVENT)
        await central.finish_erasure("e1", b"second", b"receipt", T3, EVENT)
        done = replace(job_of(owner, "e1"), state="done", completed_at=T2, result=b"first", receipt=b"receipt")
        assert await central.erasure(owner.id, "e1") == done
        assert await central.unfinished_erasures() == []

    async def test_what_is_not_there_cannot_be_finished_or_redacted(self, central: Central) -> None:
        with pytest.raises(Unknown):
            await central.finish_erasure("e1", b"{}", b"receipt", T1, EVENT)
        with pytest.raises(Unknown):
            await central.redact_erasure("e1", b"{}")

    async def test_samples_are_kept_with_an_erasure_until_they_are_dropped(self, central: Central) -> None:
        owner = await registered(central)
        await central.begin_erasure(job_of(owner, "e1"), EVENT)
        await central.begin_erasure(job_of(owner, "e2"), EVENT)
        assert await central.samples("e1") is None
        await central.keep_samples("e1", b"key", b"\0sealed")
        await central.keep_samples("e1", b"another key", b"of other samples")
        assert await central.samples("e1") == (b"key", b"\0sealed")
        assert await central.samples("e2") is None
        for _ in range(2):
            await central.drop_samples("e1")
        assert await central.samples("e1") is None

    async def test_samples_belong_to_an_erasure(self, central: Central) -> None:
        with pytest.raises(Unknown):
            await central.keep_samples("e1", b"key", b"sealed")

    async def test_what_an_erasure_marked_is_told(self, central: Central) -> None:
        owner = await registered(central, "ann", "gmail", "slack")
        for id, connector in (("two", "slack"), ("one", "slack"), ("other", "gmail")):
            await added(central, owner, id, connector)
        await central.begin_erasure(job_of(owner, "e1", "slack", "two"), EVENT)
        await central.begin_erasure(job_of(owner, "e2", "slack"), EVENT)
        assert [each.id for each in await central.erased_by(owner.id, "e1")] == ["two"]
        assert [each.id for each in await central.erased_by(owner.id, "e2")] == ["one"]
        assert await central.erased_by(owner.id, "e3") == []

    async def test_an_erasure_counts_how_often_it_was_resumed_after_it_was_cut_off(self, central: Central) -> None:
        owner = await registered(central)
        await central.begin_erasure(job_of(owner, "e1"), EVENT)
        counts = []
        for paused in (False, True, True, False, False):
            if paused:
                await central.pause_erasure("e1")
            job = await central.take_up_erasure("e1")
            assert job is not None
            counts.append(job.resumed)
        assert counts == [1, 1, 1, 2, 3]
        found = await central.erasure(owner.id, "e1")
        assert found is not None
        assert found.resumed == 3
        await central.finish_erasure("e1", b"{}", b"receipt", T2, EVENT)
        assert await central.take_up_erasure("e1") is None
        for call in (central.take_up_erasure, central.pause_erasure):
            with pytest.raises(Unknown):
                await call("e2")

    async def test_erasures_are_listed_newest_first_in_pieces(self, central: Central) -> None:
        ann, bob = await registered(central, "ann"), await registered(central, "bob")
        for id in ("e1", "e3", "e2"):
            await central.begin_erasure(job_of(ann, id), EVENT)
        await central.begin_erasure(job_of(bob, "e4"), EVENT)
        assert [job.id for job in await central.erasures(ann.id, None, 2)] == ["e2", "e3"]
        assert [job.id for job in await central.erasures(ann.id, "e3", 2)] == ["e1"]
        assert await central.erasures(ann.id, "e4", 2) == []

    async def test_an_owner_goes_with_all_connectors_and_the_name(self, central: Central) -> None:
        ann, bob = await registered(central, "ann", "gmail", "slack"), await registered(central, "bob")
        for owner, id, connector in ((ann, "one", "slack"), (ann, "other", "gmail"), (bob, "one", "slack")):
            await added(central, owner, id, connector)
            await central.merge_state(owner.id, connector, id, {"a": b"1"}, T1, EVENT)
        await central.begin_erasure(replace(job_of(ann, "e1"), owner_digest="digest"), EVENT)

        gone = Owner(ann.id, "digest", T2)
        assert await central.owners() == [bob, gone]
        assert [each.erased_at for each in await central.connectors(ann.id)] == [T2, T2]
        assert await central.instances(ann.id) == []
        assert [each.id for each in await central.erased_by(ann.id, "e1")] == ["other", "one"]
        assert await central.state(ann.id, "slack", "one") == ({}, None)
        assert (await central.state(bob.id, "slack", "one"))[0] == {"a": b"1"}
        anew = await central.ensure_owner("ann", T3)
        assert anew.id != ann.id
        assert await central.owners() == [anew, bob, gone]
        assert (await central.ensure_owner("digest", T3)).id not in (ann.id, anew.id)

    async def test_nothing_new_is_made_for_an_erased_owner(self, central: Central) -> None:
        owner = await registered(central)
        await added(central, owner, "one")
        await central.begin_erasure(replace(job_of(owner, "e1"), owner_digest="digest"), EVENT)
        head = await central.spine_head(owner.id)
        with pytest.raises(Conflict):
            await central.register(owner.id, "slack", b"{}", T3, EVENT)
        with pytest.raises(Conflict):
            await central.add_token(token_of(owner, 1), EVENT)
        with pytest.raises(Conflict):
            await granted(central, owner, "g1", 2)
        with pytest.raises(Conflict):
            await added(central, owner, "two")
        with pytest.raises(Conflict):
            await central.merge_state(owner.id, "slack", "one", {"a": b"1"}, T3, EVENT)
        with pytest.raises(Conflict):
            await central.begin_erasure(replace(job_of(owner, "e2"), owner_digest="digest"), EVENT)
        assert await central.spine_head(owner.id) == head

    async def test_an_erased_owner_is_forgotten_but_for_the_spine(self, central: Central) -> None:
        ann, bob = await registered(central, "ann"), await registered(central, "bob")
        for number, owner in enumerate((ann, bob)):
            await added(central, owner, "one")
            await central.add_token(token_of(owner, number), EVENT)
            await granted(central, owner, f"g{number}", 10 + number)
        with pytest.raises(Conflict):
            await central.forget_owner(ann.id)
        await central.begin_erasure(replace(job_of(ann, "e1"), owner_digest="digest"), EVENT)
        events = await central.spine(ann.id, 0, 100)
        await central.forget_owner(ann.id)
        await central.forget_owner(ann.id)
        assert await central.connectors(ann.id) == []
        assert await central.instance(ann.id, "one") is None
        assert await central.erased_by(ann.id, "e1") == []
        assert await central.grants(ann.id) == []
        assert await central.grant("g0") is None
        # Who asked for it may still ask how it stands.
        mine = [token for token in await central.tokens() if token.owner.id == ann.id]
        assert [(token.kind, token.label, token.owner.subject) for token in mine] == [("owner", None, "digest")]
        await central.finish_erasure("e1", b"{}", b"receipt", T3, EVENT)
        assert [token.owner for token in await central.tokens()] == [bob, bob]
        assert (await central.spine(ann.id, 0, 100))[:-1] == events
        assert [grant.id for grant in await central.grants(bob.id)] == ["g1"]
        assert [each.id for each in await central.connectors(bob.id)] == ["slack"]
        with pytest.raises(Unknown):
            await central.forget_owner(NOBODY)

    async def test_unfinished_erasures_come_oldest_first(self, central: Central) -> None:
        owner = await registered(central)
        for id, at in (("e9", T3), ("e8", T1), ("e7", T1), ("e6", T2)):
            await central.begin_erasure(replace(job_of(owner, id), requested_at=at), EVENT)
        await central.finish_erasure("e6", b"{}", b"receipt", T3, EVENT)
        assert [job.id for job in await central.unfinished_erasures()] == ["e8", "e7", "e9"]
