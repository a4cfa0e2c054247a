"""What an owner asks for becomes a grant only if it can be enforced; a token stands for it until it ends."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from records import jsontext
from records.central import Central, Instance, Owner
from records.centrals.memory import MemoryCentral
from records.centrals.sqlite import SqliteCentral
from records.consent import grants, tokens
from records.consent.access import Access, GrantEnded
from records.consent.consents import Consents
from records.consent.grant_request import GrantRequest
from records.consent.scope import Scope, TimeWindow
from records.consent.tokens import PREFIX
from records.errors import Forbidden, Invalid, Unknown
from records.keyring import Keyring
from records.registry import Registry
from tests.conformance.central_values import EVENT, grant_of, job_of, token_for, token_of

NOW = "2026-11-23T10:00:00.000000Z"
LATER = "2026-11-24T10:00:00.000000Z"

MANIFEST = {
    "connector_id": "https://registry.pdpp.dev/connectors/mail",
    "version": "1.2",
    "streams": [
        {
            "name": "messages",
            "semantics": "mutable_state",
            "primary_key": ["id"],
            "consent_time_field": "at",
            "schema": {
                "type": "object",
                "properties": {"id": {}, "at": {}, "text": {}, "": {}},
                "required": ["id", "at"],
            },
        },
        {
            "name": "pairs",
            "semantics": "mutable_state",
            "primary_key": ["left", "right"],
            "schema": {"type": "object", "properties": {"left": {}, "right": {}}},
        },
    ],
}


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> str:
        return self.now


class World:
    """A central store with an owner, a registered connector, and what issues and resolves."""

    def __init__(self, central: Central) -> None:
        self.central = central
        self.clock = Clock()
        self.registry = Registry(central)
        self.keyring = Keyring(b"k" * 32)
        self.consents = Consents(central, self.registry, self.keyring, self.clock)
        self.access = Access(central, self.clock)

    async def owner(self, subject: str = "ann") -> Owner:
        owner = await self.access.owner(subject)
        await self.registry.register(owner, jsontext.encode(MANIFEST))
        return owner

    async def instance(self, owner: Owner, id: str) -> None:
        await self.central.add_instance(owner.id, Instance(id, "mail", False, NOW, None))

    async def granted(self, owner: Owner, *streams: dict[str, Any], **members: Any) -> tuple[dict[str, Any], str]:
        stored, token = await self.consents.create(owner, request(*streams, **members))
        document: dict[str, Any] = jsontext.decode(stored.document)
        return document, token


def request(*streams: dict[str, Any], **members: Any) -> GrantRequest:
    asked = {"client_id": "app", "connector_id": "mail", "streams": list(streams) or [{"name": "messages"}]}
    return msgspec.convert(asked | members, type=GrantRequest)


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    central: Central
    central = MemoryCentral() if request.param == "memory" else await SqliteCentral.open(tmp_path / "central.db")
    yield World(central)
    await central.close()


class TestIssuing:
    async def test_without_bounds_a_grant_is_for_all_that_is_declared_now(self, world: World) -> None:
        ann = await world.owner()
        for id in ("work", "home"):
            await world.instance(ann, id)
        document, _ = await world.granted(ann)
        assert document["streams"] == [
            {"name": "messages", "instance_ids": ["home", "work"], "fields": ["id", "at", "text", ""]}
        ]
        assert document["source"] == {"kind": "connector", "id": MANIFEST["connector_id"]}
        assert document["source_declaration"] == {"version": "1.2"}
        assert (document["subject"], document["client"]) == ({"id": "ann"}, {"client_id": "app"})
        assert (document["access_mode"], document["issued_at"]) == ("continuous", NOW)

    async def test_every_document_that_is_issued_is_one_that_is_enforced(self, world: World) -> None:
        ann = await world.owner()
        document, token = await world.granted(
            ann,
            {"name": "messages", "fields": ["text"], "time_constraint": {"since": "2026-01-01"}, "resources": ["m1"]},
            {"name": "pairs", "resources": [["a", "7"], '["b","8"]', ["c", 9]]},
            expires_at="2027-01-01",
            access_mode="single_use",
            purpose_code="https://example.org/p",
        )
        scope = await world.access.resolve(token)
        assert scope == Scope(ann, grants.read(document))
        assert scope.grant is not None
        assert scope.grant.streams["messages"].window == TimeWindow("at", "2026-01-01T00:00:00.000000Z", None)
        assert scope.grant.streams["pairs"].resources == frozenset({'["a","7"]', '["b","8"]', '["c","9"]'})

    async def test_required_fields_are_always_granted(self, world: World) -> None:
        document, _ = await world.granted(await world.owner(), {"name": "messages", "fields": ["text"]})
        assert document["streams"][0]["fields"] == ["id", "at", "text"]

    async def test_without_an_instance_the_default_one_is_made(self, world: World) -> None:
        ann = await world.owner()
        document, _ = await world.granted(ann)
        (instance,) = await world.central.instances(ann.id)
        assert instance.is_default
        assert document["streams"][0]["instance_ids"] == [instance.id]

    async def test_a_later_manifest_or_instance_widens_nothing(self, world: World) -> None:
        ann = await world.owner()
        _, token = await world.granted(ann)
        before = await world.access.resolve(token)
        wider = json.loads(json.dumps(MANIFEST))
        wider["streams"][0]["schema"]["properties"]["secret"] = {}
        await world.registry.register(ann, jsontext.encode(wider))
        await world.instance(ann, "new")
        assert await world.access.resolve(token) == before

    @pytest.mark.parametrize(
        ("streams", "members", "param"),
        [
            ([], {"streams": []}, "streams"),
            ([{"name": "nothing"}], {}, "streams[0].name"),
            ([{"name": "'; DROP TABLE grants; --"}], {}, "streams[0].name"),
            ([{"name": "messages"}, {"name": "messages"}], {}, "streams"),
            ([{"name": "messages", "fields": ["id", "nothing"]}], {}, "streams[0].fields[1]"),
            ([{"name": "messages", "fields": ["id' OR '1'='1"]}], {}, "streams[0].fields[0]"),
            ([{"name": "messages", "fields": []}], {}, "streams[0].fields"),
            ([{"name": "messages", "fields": ["id", "id"]}], {}, "streams[0].fields"),
            ([{"name": "messages", "instance_ids": ["of bob"]}], {}, "streams[0].instance_ids[0]"),
            ([{"name": "messages", "instance_ids": ["of ann", "erased"]}], {}, "streams[0].instance_ids[1]"),
            ([{"name": "messages", "instance_ids": ["of another"]}], {}, "streams[0].instance_ids[0]"),
            ([{"name": "messages", "instance_ids": ["%"]}], {}, "streams[0].instance_ids[0]"),
            ([{"name": "messages", "instance_ids": []}], {}, "streams[0].instance_ids"),
            ([{"name": "messages", "resources": []}], {}, "streams[0].resources"),
            ([{"name": "messages", "resources": ["a", "a"]}], {}, "streams[0].resources"),
            ([{"name": "messages", "resources": ["a", ""]}], {}, "streams[0].resources[1]"),
            ([{"name": "messages", "resources": ["x" * 1025]}], {}, "streams[0].resources[0]"),
            ([{"name": "pairs", "resources": ["a"]}], {}, "streams[0].resources[0]"),
            ([{"name": "pairs", "resources": [["a"]]}], {}, "streams[0].resources[0]"),
            ([{"name": "pairs", "resources": [{"left": "a"}]}], {}, "streams[0].resources[0]"),
            ([{"name": "messages", "time_constraint": {}}], {}, "streams[0].time_constraint"),
            ([{"name": "pairs", "time_constraint": {"since": NOW}}], {}, "streams[0].time_constraint"),
            (
                [{"name": "messages", "time_constraint": {"field": "text", "since": NOW}}],
                {},
                "streams[0].time_constraint.field",
            ),
            (
                [{"name": "messages", "time_constraint": {"since": "soon"}}],
                {},
                "streams[0].time_constraint.since",
            ),
            (
                [{"name": "messages", "time_constraint": {"since": LATER, "until": NOW}}],
                {},
                "streams[0].time_constraint.until",
            ),
            (
                [{"name": "messages", "time_constraint": {"since": NOW, "until": "2026-11-23T11:00:00+01:00"}}],
                {},
                "streams[0].time_constraint.until",
            ),
            ([{"name": "messages"}], {"client_id": ""}, "client_id"),
            ([{"name": "messages"}], {"client_id": "a\0b"}, "client_id"),
            ([{"name": "messages"}], {"purpose_code": "x" * 513}, "purpose_code"),
            ([{"name": "messages"}], {"expires_at": "tomorrow"}, "expires_at"),
            ([{"name": "messages"}], {"expires_at": NOW}, "expires_at"),
            ([{"name": "messages"}], {"expires_at": "2026-11-23"}, "expires_at"),
        ],
    )
    async def test_what_cannot_be_granted_is_refused_by_name_and_leaves_nothing(
        self, world: World, streams: list[dict[str, Any]], members: dict[str, Any], param: str
    ) -> None:
        ann, bob = await world.owner(), await world.owner("bob")
        await world.instance(ann, "of ann")
        await world.instance(ann, "erased")
        await world.instance(bob, "of bob")
        await world.central.register(ann.id, "other", b"{}", NOW, EVENT)
        await world.central.add_instance(ann.id, Instance("of another", "other", False, NOW, None))
        await self._erase(world, ann, "erased")
        before = await world.central.spine_head(ann.id)
        with pytest.raises(Invalid) as error:
            await world.consents.create(ann, request(*streams, **members))
        assert error.value.param == param
        assert await world.consents.listed(ann) == []
        assert await world.central.spine_head(ann.id) == before

    async def test_a_refused_request_makes_no_instance(self, world: World) -> None:
        ann = await world.owner()
        for bad in ({"name": "nothing"}, {"name": "messages", "instance_ids": ["nothing"]}):
            with pytest.raises(Invalid):
                await world.consents.create(ann, request(bad))
        assert await world.central.instances(ann.id) == []

    async def test_a_connector_that_is_not_there_is_unknown(self, world: World) -> None:
        ann = await world.owner()
        with pytest.raises(Unknown):
            await world.consents.create(ann, request(connector_id="nothing"))

    @pytest.mark.parametrize("extra", [{"view": "short"}, {"streams": [{"name": "messages", "filter": "x"}]}])
    def test_a_member_that_is_not_known_could_restrict_and_is_refused(self, extra: dict[str, Any]) -> None:
        with pytest.raises(msgspec.ValidationError):
            request(**extra)

    async def test_events_tell_what_was_granted_without_content(self, world: World) -> None:
        ann = await world.owner()
        document, token = await world.granted(ann, {"name": "messages", "resources": ["a secret key"]})
        await world.consents.revoke(ann, document["grant_id"])
        text = b"\n".join(event.body for event in await world.central.spine(ann.id, 0, 10))
        kinds = [jsontext.decode(line)["kind"] for line in text.split(b"\n")]
        assert kinds == ["connector.register", "grant.create", "grant.revoke"]
        assert b"a secret key" not in text
        assert world.keyring.key_digest(ann.id, "a secret key").encode() in text
        assert token.encode() not in text

    async def _erase(self, world: World, owner: Owner, instance: str) -> None:
        await world.central.begin_erasure(job_of(owner, "e1", "mail", instance), EVENT)


class TestResolving:
    async def test_an_owners_token_is_the_owner(self, world: World) -> None:
        token = await world.access.create_owner_token("ann", None)
        assert await world.access.resolve(token) == Scope.of_owner(await world.access.owner("ann"))

    async def test_a_token_that_is_changed_in_any_place_is_nobodys(self, world: World) -> None:
        _, token = await world.granted(await world.owner())
        for at in (0, len(PREFIX), len(token) // 2, len(token) - 1):
            assert await world.access.resolve(token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]) is None
        for other in ("", token[:-1], token + "a", token.upper(), f"{token}' OR '1'='1", "\ud800"):
            assert await world.access.resolve(other) is None
        assert await world.access.resolve(token) is not None

    async def test_a_revoked_grant_ends_at_once(self, world: World) -> None:
        ann = await world.owner()
        document, token = await world.granted(ann)
        await world.consents.revoke(ann, document["grant_id"])
        with pytest.raises(GrantEnded) as error:
            await world.access.resolve(token)
        assert (error.value.code, error.value.scope) == ("grant_revoked", Scope(ann, grants.read(document)))

    async def test_a_grant_ends_in_the_moment_that_it_names(self, world: World) -> None:
        _, token = await world.granted(await world.owner(), expires_at=LATER)
        world.clock.now = LATER.replace("10:00:00", "09:59:59")
        assert await world.access.resolve(token) is not None
        world.clock.now = LATER
        with pytest.raises(GrantEnded) as error:
            await world.access.resolve(token)
        assert error.value.code == "grant_expired"

    async def test_a_single_use_grant_is_good_until_it_expires(self, world: World) -> None:
        _, token = await world.granted(await world.owner(), access_mode="single_use", expires_at=LATER)
        for _ in range(3):
            assert await world.access.resolve(token) is not None

    async def test_a_stored_document_that_is_malformed_is_never_served_from(self, world: World) -> None:
        ann = await world.owner()
        for number, (document, code) in enumerate(
            [(b"{}", "grant_invalid"), (b"no json", "grant_invalid"), (b'{"version":"9"}', "unsupported_version")]
        ):
            stored = replace(grant_of(ann, f"g{number}", "mail"), document=document, expires_at=None)
            token = tokens.make()
            digest = tokens.digest(token)
            await world.central.add_grant(stored, replace(token_for(stored, number), digest=digest), EVENT)
            errors: tuple[type[Forbidden | Invalid], ...] = (Forbidden, Invalid)
            with pytest.raises(errors) as error:
                await world.access.resolve(token)
            assert error.value.code == code

    async def test_a_token_of_another_kind_is_nobodys(self, world: World) -> None:
        ann = await world.owner()
        for number, kind in enumerate(("mcp_package", "client", "OWNER", "")):
            token = tokens.make()
            await world.central.add_token(replace(token_of(ann, number), kind=kind, digest=tokens.digest(token)), EVENT)
            assert await world.access.resolve(token) is None


class TestTakingBack:
    async def test_grants_of_others_are_unknown(self, world: World) -> None:
        ann, bob = await world.owner(), await world.owner("bob")
        document, token = await world.granted(ann)
        for call in (world.consents.get, world.consents.revoke):
            with pytest.raises(Unknown):
                await call(bob, document["grant_id"])
        assert await world.consents.listed(bob) == []
        assert await world.access.resolve(token) is not None

    async def test_a_status_is_active_then_expired_and_revoked_for_good(self, world: World) -> None:
        ann = await world.owner()
        document, _ = await world.granted(ann, expires_at=LATER)
        (grant,) = await world.consents.listed(ann)
        assert world.consents.status(grant) == "active"
        world.clock.now = LATER
        assert world.consents.status(grant) == "expired"
        assert world.consents.status(await world.consents.revoke(ann, document["grant_id"])) == "revoked"
        assert (await world.consents.revoke(ann, document["grant_id"])).revoked_at == LATER

    async def test_erasing_the_connector_keeps_its_grants(self, world: World) -> None:
        ann = await world.owner()
        _, token = await world.granted(ann)
        await world.central.begin_erasure(job_of(ann, "e1", "mail"), EVENT)
        assert len(await world.consents.listed(ann)) == 1
        assert await world.access.resolve(token) is not None
