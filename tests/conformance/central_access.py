"""Central stores: owners, tokens and grants."""

import asyncio
import re
from dataclasses import replace

import pytest

from records.central import Central, Owner, Token
from records.errors import Conflict, Unknown
from tests.conformance.central_values import (
    EVENT,
    NOBODY,
    T1,
    T2,
    T3,
    grant_of,
    granted,
    token_for,
    token_of,
)


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

    async def test_grants_are_paged_through_newest_first(self, central: Central) -> None:
        ann, bob = await central.ensure_owner("ann", T1), await central.ensure_owner("bob", T1)
        for number, (id, at) in enumerate((("g4", T2), ("g1", T1), ("g2", T1), ("g3", T1))):
            grant = grant_of(ann, id, created_at=at)
            await central.add_grant(grant, token_for(grant, number), EVENT)
        await granted(central, bob, "other", 9)
        pages, after = list[list[str]](), None
        while page := await central.latest_grants(ann.id, after, 3):
            pages.append([grant.id for grant in page])
            after = page[-1].id
        assert pages == [["g4", "g3", "g2"], ["g1"]]
        assert await central.latest_grants(ann.id, "other", 3) == []
        assert await central.latest_grants(ann.id, "unknown", 3) == []
        assert await central.latest_grants(NOBODY, None, 3) == []

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
