"""Connector manifests: real ones are taken, wrong ones are refused with what to change, the network is not asked."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records import manifest
from records.errors import Invalid

REMOVED = object()


def stream(**changes: Any) -> dict[str, Any]:
    plain = {
        "name": "messages",
        "semantics": "mutable_state",
        "schema": {
            "type": "object",
            "properties": {"id": {"type": "string"}, "sent_at": {"type": "string"}, "text": {}},
            "required": ["id"],
        },
        "primary_key": ["id"],
        "cursor_field": "sent_at",
        "consent_time_field": "sent_at",
        "selection": {"fields": True},
        "views": [{"id": "brief", "label": "Brief", "fields": ["id", "text"]}],
        "relationships": [{"name": "r", "stream": "files", "foreign_key": "text", "cardinality": "has_many"}],
        "query": {"range_filters": {"sent_at": ["gte", "lt"]}, "expand": [{"name": "r", "max_limit": 5}]},
    }
    return {name: value for name, value in {**plain, **changes}.items() if value is not REMOVED}


def text(*streams: dict[str, Any], **changes: Any) -> bytes:
    plain: dict[str, Any] = {
        "connector_id": "https://registry.pdpp.dev/connectors/slack",
        "version": "0.6.0",
        "display_name": "Slack",
        "streams": list(streams or (stream(),)),
    }
    return json.dumps({name: value for name, value in {**plain, **changes}.items() if value is not REMOVED}).encode()


def refused(raw: bytes) -> str:
    with pytest.raises(Invalid) as raised:
        manifest.decode(raw)
    assert raised.value.code == "invalid_request"
    return str(raised.value)


def test_what_is_declared_is_read() -> None:
    decoded = manifest.decode(text(extra={"kept": "elsewhere"}))
    assert (decoded.connector_id, decoded.key) == ("https://registry.pdpp.dev/connectors/slack", "slack")
    assert (decoded.version, decoded.display_name) == ("0.6.0", "Slack")
    declared = decoded.streams["messages"]
    assert declared.primary_key == ("id",)
    assert (declared.cursor_field, declared.consent_time_field) == ("sent_at", "sent_at")
    assert declared.views == {"brief": ("id", "text")}
    assert declared.fields == ("id", "sent_at", "text")
    assert declared.required == ("id",)
    assert declared.selection == {"fields": True}
    assert declared.query["range_filters"] == {"sent_at": ["gte", "lt"]}
    assert declared.relationships[0]["stream"] == "files"
    assert declared.raw == stream()
    assert declared.schema == stream()["schema"]


def test_optional_members_may_be_null_or_absent() -> None:
    names = ("cursor_field", "consent_time_field", "selection", "views", "relationships", "query")
    for absent in (None, REMOVED):
        declared = manifest.decode(text(stream(**dict.fromkeys(names, absent)))).streams["messages"]
        assert (declared.cursor_field, declared.consent_time_field, declared.selection) == (None, None, None)
        assert (declared.views, declared.relationships, declared.query) == ({}, (), {})


@pytest.mark.parametrize(
    ("semantics", "append_only"), [("append_only", True), ("append", True), ("mutable_state", False)]
)
def test_semantics_say_whether_a_key_may_change(semantics: str, append_only: bool) -> None:
    assert manifest.decode(text(stream(semantics=semantics))).streams["messages"].append_only is append_only


def test_streams_keep_their_order() -> None:
    assert list(manifest.decode(text(stream(name="b"), stream(name="a"))).streams) == ["b", "a"]


@pytest.mark.parametrize("name", ["hydration.manifest.json", "pdpp-slack-fixtures/slack.manifest.json"])
def test_real_manifests_are_taken(shared: Path, name: str) -> None:
    raw = (shared / "data" / "slack" / name).read_bytes()
    decoded = manifest.decode(raw)
    assert decoded.key == "slack"
    assert set(decoded.streams) == {each["name"] for each in json.loads(raw)["streams"]}
    assert "sent_at" in decoded.streams["messages"].fields


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"connector_id": REMOVED}, "connector_id is missing"),
        ({"connector_id": 7}, "connector_id must be a string"),
        ({"connector_id": "a\nb"}, "control characters"),
        ({"connector_id": "x" * 513}, "512 characters"),
        ({"version": 1}, "version must be a string"),
        ({"display_name": []}, "display_name must be a string"),
        ({"streams": REMOVED}, "streams is missing"),
        ({"streams": {}}, "streams must be an array"),
        ({"streams": []}, "streams is empty"),
        ({"streams": [7]}, "streams[0] must be an object"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_place(changes: dict[str, Any], place: str) -> None:
    assert place in refused(text(**changes))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": REMOVED}, "streams[0].name is missing"),
        ({"name": ""}, "streams[0].name is missing"),
        ({"name": "a\0b"}, "streams[0].name must not have control"),
        ({"semantics": REMOVED}, "streams[0].semantics is missing"),
        ({"semantics": "mutable"}, "streams[0].semantics must be one of"),
        ({"schema": REMOVED}, "streams[0].schema is missing"),
        ({"schema": True}, "streams[0].schema must be an object"),
        ({"primary_key": REMOVED}, "streams[0].primary_key is missing"),
        ({"primary_key": "id"}, "streams[0].primary_key must be an array"),
        ({"primary_key": []}, "streams[0].primary_key must name at least one"),
        ({"primary_key": ["id", "id"]}, "each once"),
        ({"primary_key": ["nope"]}, "streams[0].primary_key: 'nope' is not in the schema's properties"),
        ({"primary_key": [7]}, "array of strings"),
        ({"cursor_field": "nope"}, "streams[0].cursor_field: 'nope'"),
        ({"cursor_field": ["sent_at"]}, "streams[0].cursor_field must be a string"),
        ({"consent_time_field": "nope"}, "streams[0].consent_time_field: 'nope'"),
        ({"selection": True}, "streams[0].selection must be an object"),
        ({"views": {}}, "streams[0].views must be an array"),
        ({"views": [{"fields": ["id"]}]}, "streams[0].views[0].name is missing"),
        ({"views": [{"id": "v"}]}, "streams[0].views[0].fields is missing"),
        ({"views": [{"id": "v", "fields": ["nope"]}]}, "streams[0].views[0].fields: 'nope'"),
        ({"relationships": [{"name": "r"}]}, "streams[0].relationships[0].stream is missing"),
        (
            {"relationships": [{"name": "r", "stream": "s", "foreign_key": "f", "cardinality": "many"}]},
            "streams[0].relationships[0].cardinality must be",
        ),
        ({"query": []}, "streams[0].query must be an object"),
        ({"query": {"range_filters": ["id"]}}, "streams[0].query.range_filters must be an object"),
        ({"query": {"range_filters": {"nope": []}}}, "streams[0].query.range_filters: 'nope'"),
        ({"query": {"range_filters": {"id": ["eq"]}}}, "streams[0].query.range_filters.id must be some of"),
        ({"query": {"expand": [{}]}}, "streams[0].query.expand[0].name is missing"),
    ],
)
def test_a_wrong_stream_is_refused_with_the_place(changes: dict[str, Any], place: str) -> None:
    assert place in refused(text(stream(**changes)))


def test_two_streams_of_one_name_are_refused() -> None:
    assert "'messages' is declared twice" in refused(text(stream(), stream()))


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"\xff", b'{"connector_id": NaN}', b"[]", b"null", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    assert "manifest" in refused(raw)


def test_a_manifest_has_a_size_limit() -> None:
    assert "1048576 bytes" in refused(text(padding="x" * manifest.MAX_BYTES))


def schema(**members: Any) -> bytes:
    return text(stream(schema={"type": "object", "properties": {"id": {}, "sent_at": {}, "text": {}}, **members}))


@pytest.mark.parametrize(
    "members",
    [
        {"type": "obj"},
        {"properties": {"id": {"type": "strin"}}},
        {"properties": {"id": {"pattern": "("}}},
        {"required": "id"},
        {"allOf": {}},
        {"$ref": "#/$defs/nope"},
        {"properties": {"id": {"$ref": "#nope"}}},
    ],
)
def test_a_schema_must_be_a_json_schema(members: dict[str, Any]) -> None:
    assert "streams[0].schema is no JSON Schema 2020-12" in refused(schema(**members))


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize(
    "target",
    ["https://example.com/s.json", "other.json", "//example.com/x", "file:///etc/passwd", "urn:x", "", "/$defs/a"],
)
def test_a_reference_that_leaves_the_document_is_refused(keyword: str, target: str) -> None:
    for members in ({keyword: target}, {"$defs": {"a": {"items": [{"x": {keyword: target}}]}}}):
        assert "leaves the document" in refused(schema(**members))


@pytest.mark.parametrize(
    "target", ["#", "#/$defs/a~1b", "#/$defs/a%20c", "#/anyOf/0", "#here", "#/elsewhere", "#/$defs/never"]
)
def test_a_reference_may_lead_to_any_schema_in_the_document(target: str) -> None:
    places = {"$defs": {"a/b": {}, "a c": {"$anchor": "here"}, "never": False}, "anyOf": [{}]}
    odd = {"elsewhere": {"allOf": 5, "required": [{}], "properties": 7}}
    manifest.decode(schema(**places, **odd, **{"$ref": target}))


@pytest.mark.parametrize(
    "target", ["#/anyOf/1", "#/anyOf/x", "#/anyOf/00", "#/anyOf", "#there", "#/title", "#/$defs/b"]
)
def test_a_reference_that_leads_to_no_schema_is_refused(target: str) -> None:
    assert "leads to no schema" in refused(schema(anyOf=[{}], title="x", **{"$defs": {"a": {}}, "$ref": target}))


def test_no_schema_is_compiled() -> None:
    twice = {f"a{n}": {"unevaluatedProperties": False, "allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(50)}
    manifest.decode(schema(**{"$defs": {**twice, "a50": {}}, "$ref": "#/$defs/a0"}))


@pytest.mark.timeout(20)
def test_the_time_to_read_a_manifest_grows_with_its_length_only() -> None:
    names = [f"f{n}" for n in range(15_000)]
    wide: dict[str, object] = {"properties": {name: {} for name in ("id", "sent_at", *names)}}
    raw = text(stream(schema={**wide, "allOf": [{}] * 100_000}, views=[{"id": "all", "fields": names[::-1]}]))
    assert len(manifest.decode(raw).streams["messages"].fields) == 15_002


def test_a_property_may_be_called_like_a_keyword() -> None:
    names = {"$ref": {"type": "string"}, "$id": {"type": "string"}, "$schema": {}, "id": {}, "sent_at": {}, "text": {}}
    assert "$ref" in manifest.decode(schema(properties=names)).streams["messages"].fields


def test_an_id_inside_a_schema_is_refused_and_at_its_root_taken() -> None:
    manifest.decode(schema(**{"$id": "https://example.com/messages"}))
    assert "$id is allowed at the root" in refused(schema(**{"$defs": {"a": {"$id": "https://example.com/a"}}}))


def test_another_dialect_is_refused() -> None:
    manifest.decode(schema(**{"$schema": "https://json-schema.org/draft/2020-12/schema"}))
    for dialect in ("http://json-schema.org/draft-07/schema#", "https://example.com/mine", 7):
        assert "streams[0].schema.$schema" in refused(schema(**{"$schema": dialect}))


def test_the_network_is_never_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/schema"
        inner = {"a": {"properties": {"$ref": url}, "$dynamicRef": url}}
        for members in ({"$schema": url}, {"$ref": url}, {"$id": url, "$ref": "schema2"}, {"$defs": inner}):
            refused(schema(**members))
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_fields_are_found_through_references_and_all_of() -> None:
    included = {
        "$ref": "#/$defs/a~1b",
        "properties": {"id": {}},
        "allOf": [{"properties": {"text": {}}, "required": ["text"]}, {"$ref": "#/$defs/loop"}, True],
        "$defs": {
            "a/b": {"properties": {"sent_at": {}}, "required": ["sent_at"], "allOf": [{"$ref": "#"}]},
            "loop": {"$ref": "#/$defs/loop"},
        },
    }
    declared = manifest.decode(text(stream(schema=included))).streams["messages"]
    assert set(declared.fields) == {"id", "sent_at", "text"}
    assert set(declared.required) == {"sent_at", "text"}


@pytest.mark.parametrize(
    ("connector_id", "key"),
    [
        ("slack", "slack"),
        ("https://registry.pdpp.dev/connectors/slack", "slack"),
        ("https://registry.pdpp.dev/connectors/slack/", "slack"),
        ("https://REGISTRY.pdpp.dev/connectors/slack", "slack"),
        ("https://registry.pdpp.dev/connectors/", "https://registry.pdpp.dev/connectors/"),
        ("https://registry.pdpp.dev/connectors/a/b", "https://registry.pdpp.dev/connectors/a/b"),
        ("https://registry.pdpp.dev/slack", "https://registry.pdpp.dev/slack"),
        ("https://registry.pdpp.dev/connectors/slack?v=1", "https://registry.pdpp.dev/connectors/slack?v=1"),
        ("https://registry.pdpp.dev:444/connectors/slack", "https://registry.pdpp.dev:444/connectors/slack"),
        ("https://x@registry.pdpp.dev/connectors/slack", "https://x@registry.pdpp.dev/connectors/slack"),
        ("http://registry.pdpp.dev/connectors/slack", "http://registry.pdpp.dev/connectors/slack"),
        ("https://example.com/connectors/slack", "https://example.com/connectors/slack"),
        (
            "https://registry.pdpp.dev.example.com/connectors/slack",
            "https://registry.pdpp.dev.example.com/connectors/slack",
        ),
        ("urn:x:y", "urn:x:y"),
        ("https://[", "https://["),
        ("Slack é/ü", "Slack é/ü"),
    ],
)
def test_a_registered_connector_has_two_names_and_others_one(connector_id: str, key: str) -> None:
    assert manifest.connector_key(connector_id) == key
    assert manifest.connector_key(key) == key


@pytest.mark.parametrize("id", ["", "x" * 513, "a\0", "a\n", "\x7f", "\x85", "\udcff"])
def test_what_is_no_id_is_refused(id: str) -> None:
    with pytest.raises(Invalid) as raised:
        manifest.require_id(id, "stream")
    assert raised.value.param == "stream"
    assert manifest.require_id("é/ %\U0001f600" + "x" * 500, "stream")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["id", "#", "#/x", "object", "http://x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "fields", "$ref", "allOf", "properties", "name", "type"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(stream())), values, max_size=3))
def test_any_json_is_taken_or_refused(changes: dict[str, Any]) -> None:
    try:
        decoded = manifest.decode(text(stream(**changes)))
    except Invalid:
        return
    for declared in decoded.streams.values():
        assert set(declared.primary_key) <= set(declared.fields)
