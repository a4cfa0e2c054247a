"""Grant documents, and answers about tokens, are read to the letter or refused."""

import json
from typing import Any

import pytest

from records import jsontext
from records.consent import grants, introspection
from records.consent.introspection import Expected
from records.consent.scope import Grant, StreamGrant, TimeWindow
from records.errors import Forbidden, Invalid

NOW = "2026-11-23T10:00:00.000000Z"
LATER = "2026-11-24T10:00:00.000000Z"

DOCUMENT: dict[str, Any] = {
    "version": "0.1.0",
    "grant_id": "grt_1",
    "issued_at": NOW,
    "subject": {"id": "ann"},
    "client": {"client_id": "app"},
    "source": {"kind": "connector", "id": "https://registry.pdpp.dev/connectors/mail"},
    "source_declaration": {"version": "1.2"},
    "purpose_code": "https://example.org/purpose",
    "access_mode": "continuous",
    "streams": [
        {
            "name": "messages",
            "instance_ids": ["cin_1", "cin_2"],
            "fields": ["id", "at"],
            "time_constraint": {"field": "at", "since": "2026-01-01", "until": "2026-02-01T00:00:00+01:00"},
            "resources": ["m1", '["a","b"]'],
        },
        {"name": "labels", "instance_ids": ["cin_1"], "fields": ["id"]},
    ],
    "expires_at": LATER,
}

GRANT = Grant(
    id="grt_1",
    client="app",
    connector="mail",
    access_mode="continuous",
    streams={
        "messages": StreamGrant(
            "messages",
            frozenset({"cin_1", "cin_2"}),
            frozenset({"id", "at"}),
            TimeWindow("at", "2026-01-01T00:00:00.000000Z", "2026-01-31T23:00:00.000000Z"),
            frozenset({"m1", '["a","b"]'}),
        ),
        "labels": StreamGrant("labels", frozenset({"cin_1"}), frozenset({"id"}), None, None),
    },
)


def changed(value: Any, path: str, new: Any = ...) -> Any:
    """A copy with the member at `a.0.b` replaced, or taken out."""
    value = json.loads(json.dumps(value))
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place = value
    for part in way:
        place = place[part]
    if new is ...:
        del place[last]
    else:
        place[last] = new
    return value


class TestDocuments:
    def test_a_document_is_what_is_enforced(self) -> None:
        assert grants.read(DOCUMENT) == GRANT
        assert grants.decode(jsontext.encode(DOCUMENT)) == GRANT

    def test_what_a_client_promised_opens_nothing(self) -> None:
        promised = DOCUMENT | {"retention": {"max_duration": "P1Y"}, "purpose_description": "x", "expires_at": None}
        assert grants.read(promised) == GRANT

    @pytest.mark.parametrize("version", ["0.2.0", "0.1", "1", ""])
    def test_another_version_is_unsupported(self, version: str) -> None:
        with pytest.raises(Invalid) as error:
            grants.read({"version": version, "streams": "of another shape"})
        assert error.value.code == "unsupported_version"

    @pytest.mark.parametrize("path", [name for name in DOCUMENT if name != "expires_at"])
    def test_a_document_without_a_member_is_malformed(self, path: str) -> None:
        self.refused(changed(DOCUMENT, path))

    @pytest.mark.parametrize(
        ("path", "new"),
        [
            ("version", 1),
            ("grant_id", ""),
            ("grant_id", "x" * 513),
            ("subject", "ann"),
            ("access_mode", "forever"),
            ("streams", []),
            ("streams", {}),
            ("streams.1.name", "messages"),
            ("streams.1", "labels"),
            ("streams.0.instance_ids", []),
            ("streams.0.instance_ids", ["cin_1", "cin_1"]),
            ("streams.0.instance_ids", None),
            ("streams.0.fields", []),
            ("streams.0.fields", ["id", "id"]),
            ("streams.0.fields", ["id", 1]),
            ("streams.0.fields", "id"),
            ("streams.0.resources", []),
            ("streams.0.resources", None),
            ("streams.0.resources", ["m1", "m1"]),
            ("streams.0.resources", [["a", "b"]]),
            ("streams.0.time_constraint", None),
            ("streams.0.time_constraint.since", "yesterday"),
            ("streams.0.time_constraint.since", None),
            ("streams.0.time_constraint.until", "2026-01-01"),
            ("streams.0.time_constraint.until", "2025-12-31T00:00:00Z"),
            ("streams.0.time_constraint.field", 7),
            ("streams.0.time_constraint.between", "x"),
            ("streams.0.only_if", "x"),
            ("only_if", "x"),
            ("source.id", "nul\0"),
            ("issued_at", "now"),
            ("expires_at", "never"),
        ],
    )
    def test_what_cannot_be_enforced_to_the_letter_is_malformed(self, path: str, new: object) -> None:
        self.refused(changed(DOCUMENT, path, new))

    @pytest.mark.parametrize("document", [None, [], "0.1.0", {}])
    def test_what_is_no_document_is_malformed(self, document: object) -> None:
        self.refused(document)

    @pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
    def test_what_is_no_json_is_malformed(self, text: bytes) -> None:
        with pytest.raises(Forbidden):
            grants.decode(text)

    def refused(self, document: object) -> None:
        with pytest.raises(Forbidden) as error:
            grants.read(document)
        assert error.value.code == "grant_invalid"


ANSWER: dict[str, Any] = introspection.of_client(DOCUMENT, "mail") | {
    "iss": "https://as.example",
    "aud": "https://rs.example",
    "exp": 1000,
}
EXPECTED = Expected(["https://as.example"], "https://rs.example")


class TestIntrospection:
    def test_an_answer_gives_the_grant_that_it_was_made_of(self) -> None:
        bearer = introspection.read(ANSWER, EXPECTED, now=999)
        assert bearer == introspection.Bearer("ann", GRANT, 1000)

    def test_an_owners_answer_gives_the_subject(self) -> None:
        bearer = introspection.read(introspection.of_owner("ann"), Expected(), now=0)
        assert bearer == introspection.Bearer("ann", None, float("inf"))

    @pytest.mark.parametrize("binding", [..., {"connector_id": "mail"}, {"connector_id": "post"}])
    def test_a_storage_binding_says_where_the_source_is_stored(self, binding: Any) -> None:
        bearer = introspection.read(changed(ANSWER, "grant_storage_binding", binding), EXPECTED, now=0)
        assert bearer is not None
        assert bearer.grant is not None
        assert bearer.grant.connector == ("mail" if binding is ... else binding["connector_id"])

    @pytest.mark.parametrize(
        ("path", "new"),
        [
            ("active", False),
            ("active", "true"),
            ("active", ...),
            ("iss", "https://wrong.example"),
            ("iss", ...),
            ("aud", "https://wrong.example"),
            ("aud", ["https://wrong.example"]),
            ("aud", ...),
            ("exp", 999),
            ("exp", "later"),
            ("exp", True),
            ("pdpp_token_kind", "mcp_package"),
            ("pdpp_token_kind", ...),
            ("pdpp_token_kind", 7),
            ("subject_id", ...),
            ("subject_id", " "),
            ("subject_id", 7),
            ("subject_id", "bob"),
            ("client_id", ...),
            ("client_id", "another"),
            ("grant_id", ...),
            ("grant_id", "another"),
            ("pdpp.client_id", "another"),
            ("pdpp.grant_id", ...),
            ("pdpp.subject_id", "bob"),
        ],
    )
    def test_a_token_that_is_not_good_here_is_nobodys(self, path: str, new: object) -> None:
        assert introspection.read(changed(ANSWER, path, new), EXPECTED, now=999) is None

    @pytest.mark.parametrize(
        ("path", "new"),
        [
            ("pdpp", ...),
            ("pdpp", []),
            ("pdpp.context_kind", ...),
            ("pdpp.context_kind", 7),
            ("pdpp.streams", []),
            ("pdpp.source.id", "another"),
            ("pdpp.source_declaration", ...),
            ("grant", {}),
            ("authorization_details", ...),
            ("authorization_details", []),
            ("authorization_details", {}),
            ("authorization_details", ANSWER["authorization_details"] * 2),
            ("authorization_details.0", "all"),
            ("authorization_details.0.type", "https://pdpp.dev/all-access"),
            ("authorization_details.0.type", ...),
            ("authorization_details.0.streams", []),
            ("authorization_details.0.streams.0.only_if", "x"),
            ("authorization_details.0.grant_id", "grt_2"),
            ("authorization_details.0.expires_at", NOW),
            ("grant_storage_binding", "mail"),
            ("grant_storage_binding", {"connector_id": ""}),
        ],
    )
    def test_rights_that_cannot_be_enforced_are_a_malformed_grant(self, path: str, new: object) -> None:
        with pytest.raises(Forbidden) as error:
            introspection.read(changed(ANSWER, path, new), EXPECTED, now=0)
        assert error.value.code == "grant_invalid"

    def test_rights_of_another_version_are_unsupported(self) -> None:
        with pytest.raises(Invalid) as error:
            introspection.read(changed(ANSWER, "pdpp.context_kind", "oauth_rar_0_2"), EXPECTED, now=0)
        assert error.value.code == "unsupported_version"

    @pytest.mark.parametrize("reason", ["grant_revoked", "grant_expired", "grant_invalid"])
    def test_a_grant_that_ended_says_why(self, reason: str) -> None:
        with pytest.raises(Forbidden) as error:
            introspection.read({"active": False, "inactive_reason": reason}, EXPECTED, now=0)
        assert error.value.code == reason

    @pytest.mark.parametrize("reason", ["context.active_false", None, 7, ["grant_revoked"]])
    def test_any_other_reason_is_nobodys_token(self, reason: object) -> None:
        assert introspection.read({"active": False, "inactive_reason": reason}, EXPECTED, now=0) is None

    def test_a_number_without_bounds_is_an_end_like_any_other(self) -> None:
        bearer = introspection.read(ANSWER | {"exp": 10**400}, EXPECTED, now=0)
        assert bearer is not None
        assert bearer.expires < 10**13
