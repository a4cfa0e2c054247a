"""What every central store does: inherit the class, give it a `central` fixture."""

import asyncio
import re
from dataclasses import replace

import pytest

from records.audit import spine
from records.central import About, Central, Checkpoint, ErasureJob, Instance, Owner, SpineEvent, StoredGrant, Token
from records.errors import Conflict, Unknown

EVENT = b"{}"
T1 = "2026-11-01T10:00:00.000000Z"
T2 = "2026-11-02T10:00:00.000000Z"
T3 = "2026-11-03T10:00:00.000000Z"
NOBODY = "o0000000000000000"


def token_of(owner: Owner, number: int, created_at: str = T1) -> Token:
    return Token(bytes([number]) * 32, "owner", owner, created_at, None, None, f"token {number}")


def job_of(owner: Owner, id: str, connector: str | None = None, instance: str | None = None) -> ErasureJob:
    return ErasureJob(id, owner.id, b'{"what":"it"}', "running", T2, None, None, connector, instance)


async def registered(central: Central, subject: str = "ann", *connectors: str) -> Owner:
    owner = await central.ensure_owner(subject, T1)
    for connector in connectors or ("slack",):
        await central.register(owner.id, connector, b"{}", T1, EVENT)
    return owner


async def added(central: Central, owner: Owner, id: str, connector: str = "slack") -> Instance:
    return await central.add_instance(owner.id, Instance(id, connector, False, T1, None))


def grant_of(owner: Owner, id: str, connector: str = "slack", created_at: str = T1) -> StoredGrant:
    return StoredGrant(id, owner, "client", connector, b'{ "to":\t"the letter" }', created_at, T3, None)


def token_for(grant: StoredGrant, number: int) -> Token:
    return replace(token_of(grant.owner, number, grant.created_at), kind="client", grant=grant.id)


async def granted(central: Central, owner: Owner, id: str, number: int, connector: str = "slack") -> StoredGrant:
    grant = grant_of(owner, id, connector)
    await central.add_grant(grant, token_for(grant, number), EVENT)
    return grant


class OwnersAndTokens:
    async def test_an_owner_is_made_once(self, central: Central) -> None:
        first = await central.ensure_owner("ann", T1)
        assert await central.ensure_owner("ann", T2) == first
        assert first.subject == "ann"

    async def test_an_owners_id_is_a_letter_and_sixteen_random_ones(self, central: Central) -> None:
        ids = {(await central.ensure_owner(f"../{n}", T1)).id for n in range(20)}
        assert len(ids) == 20
        assert all(re.fullmatch("[a-z][a-z0-9]{16}", id) for id in ids)

    async def test_everybody_who_asks_at_once_gets_the_same_owner(self, central: Central) -> None:
        owners = await asyncio.gather(*(central.ensure_owner("ann", T1) for _ in range(20)))
        assert len(set(owners)) == 1
        assert await central.owners() == owners[:1]

    async def test_owners_come_in_the_order_of_their_subjects(self, central: Central) -> None:
        for subject in ("b", "ä", "a", "\U0001f600", "\ufffd", "nul\0", "A"):
            await central.ensure_owner(subject, T1)
        assert [owner.subject for owner in await central.owners()] == [
            "A",
            "a",
            "b",
            "nul\0",
            "ä",
            "\ufffd",
            "\U0001f600",
        ]

    async def test_a_token_comes_back_as_it_was_added(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        full = Token(b"a" * 32, "client", owner, T1, T2, T3, "label")
        bare = Token(b"b" * 32, "owner", owner, T1, None, None)
        for token in (full, bare):
            await central.add_token(token, EVENT)
        assert await central.token(full.digest) == full
        assert await central.token(bare.digest) == bare

    async def test_the_first_name_is_kept(self, central: Central) -> None:
        assert [await central.bind("a"), await central.bind("b"), await central.bind("a")] == ["a", "a", "a"]

    async def test_of_a_source_the_highest_number_of_any_owner_is_told(self, central: Central) -> None:
        ann, bob = await central.ensure_owner("ann", T1), await central.ensure_owner("bob", T1)
        assert await central.delivered_by("blobs") == 0
        await central.append(ann.id, "blobs", [(3, EVENT), (7, EVENT)], T1)
        await central.append(bob.id, "blobs", [(5, EVENT)], T1)
        await central.append(bob.id, "records", [(9, EVENT)], T1)
        assert await central.delivered_by("blobs") == 7

    async def test_an_unknown_token_is_none(self, central: Central) -> None:
        assert await central.token(b"x" * 32) is None

    async def test_a_token_of_an_unknown_owner_is_refused(self, central: Central) -> None:
        with pytest.raises(Unknown):
            await central.add_token(token_of(Owner(NOBODY, "nobody"), 1), EVENT)
        assert await central.tokens() == []

    async def test_a_second_token_with_one_digest_is_a_conflict(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        await central.add_token(token_of(owner, 1), EVENT)
        with pytest.raises(Conflict):
            await central.add_token(replace(token_of(owner, 1), kind="client"), EVENT)
        assert await central.tokens() == [token_of(owner, 1)]

    async def test_tokens_come_oldest_first_and_then_as_added(self, central: Central) -> None:
        ann = await central.ensure_owner("ann", T1)
        bob = await central.ensure_owner("bob", T1)
        tokens = [token_of(ann, 9, T2), token_of(bob, 8, T1), token_of(ann, 7, T1)]
        for token in tokens:
            await central.add_token(token, EVENT)
        assert await central.tokens() == [tokens[1], tokens[2], tokens[0]]

    async def test_revoking_keeps_the_first_time(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        await central.add_token(token_of(owner, 1), EVENT)
        assert await central.revoke_token(token_of(owner, 1).digest, T2, EVENT) is True
        assert await central.revoke_token(token_of(owner, 1).digest, T3, EVENT) is True
        assert await central.token(token_of(owner, 1).digest) == replace(token_of(owner, 1), revoked_at=T2)

    async def test_revoking_what_is_not_there_is_false(self, central: Central) -> None:
        assert await central.revoke_token(b"x" * 32, T1, EVENT) is False


class Grants:
    async def test_a_grant_and_its_token_come_back_as_they_were_added(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        grant = grant_of(owner, "g1")
        await central.add_grant(grant, token_for(grant, 1), EVENT)
        assert await central.grant("g1") == grant
        assert await central.token(token_of(owner, 1).digest) == token_for(grant, 1)
        assert await central.tokens() == [token_for(grant, 1)]

    async def test_an_unknown_grant_is_none(self, central: Central) -> None:
        assert await central.grant("g1") is None

    async def test_grants_come_oldest_first_and_then_as_added(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        for number, (id, at) in enumerate((("g3", T2), ("g2", T1), ("g1", T1))):
            grant = grant_of(owner, id, created_at=at)
            await central.add_grant(grant, token_for(grant, number), EVENT)
        assert [grant.id for grant in await central.grants(owner.id)] == ["g2", "g1", "g3"]

    async def test_owners_do_not_list_or_revoke_each_others_grants(self, central: Central) -> None:
        ann, bob = await central.ensure_owner("ann", T1), await central.ensure_owner("bob", T1)
        grant = await granted(central, ann, "g1", 1)
        assert await central.grants(bob.id) == []
        assert await central.revoke_grant(bob.id, "g1", T2, EVENT) is False
        assert await central.grant("g1") == grant

    async def test_a_grant_or_a_token_that_is_there_is_a_conflict_and_neither_is_added(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        await granted(central, owner, "g1", 1)
        for id, number in (("g1", 2), ("g2", 1)):
            with pytest.raises(Conflict):
                await granted(central, owner, id, number)
        assert [grant.id for grant in await central.grants(owner.id)] == ["g1"]
        assert [token.digest[0] for token in await central.tokens()] == [1]

    async def test_an_unknown_owner_grants_nothing(self, central: Central) -> None:
        with pytest.raises(Unknown):
            await granted(central, Owner(NOBODY, "nobody"), "g1", 1)
        assert await central.grant("g1") is None
        assert await central.grants(NOBODY) == []
        assert await central.revoke_grant(NOBODY, "g1", T2, EVENT) is False

    async def test_revoking_a_grant_keeps_the_first_time(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        grant = await granted(central, owner, "g1", 1)
        assert await central.revoke_grant(owner.id, "g1", T2, EVENT) is True
        assert await central.revoke_grant(owner.id, "g1", T3, EVENT) is True
        assert await central.grant("g1") == replace(grant, revoked_at=T2)

    async def test_revoking_a_grant_that_is_not_there_is_false(self, central: Central) -> None:
        owner = await central.ensure_owner("ann", T1)
        assert await central.revoke_grant(owner.id, "g1", T1, EVENT) is False


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
        for grant in (None, "g1", "g2"):
            for id in ("one", "two"):
                await central.merge_state(owner.id, "slack", id, {"a": b"1"}, T1, EVENT, grant=grant)

        await central.revoke_grant(owner.id, "g1", T2, EVENT)

        with pytest.raises(Conflict):
            await central.merge_state(owner.id, "slack", "one", {"a": b"2"}, T3, EVENT, grant="g1")
        for id in ("one", "two"):
            assert await central.state(owner.id, "slack", id, "g1") == ({}, None)
            for grant in (None, "g2"):
                assert await central.state(owner.id, "slack", id, grant) == ({"a": b"1"}, T1)

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


class Files:
    async def test_a_central_store_in_use_is_sound(self, central: Central) -> None:
        owner = await registered(central)
        await central.append(owner.id, "records", [(1, b"a")], T1)
        assert await central.sanitize(5.0) is True
        assert await central.check() == []

    async def test_closing_twice_is_harmless(self, central: Central) -> None:
        await central.close()
        await central.close()


class CentralSuite(
    OwnersAndTokens,
    Grants,
    ConnectorsAndInstances,
    SyncState,
    NamespacesOfGrants,
    ErasureJobs,
    Spines,
    Notes,
    Checkpoints,
    Files,
):
    """All of it."""
