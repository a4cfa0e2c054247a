"""The connector's manifest."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs

from tools.slack import manifest, records


def test_it_declares_the_streams_that_are_written() -> None:
    assert tuple(stream["name"] for stream in manifest.load()["streams"]) == records.STREAMS


def test_every_schema_is_a_schema_and_every_named_field_is_in_it() -> None:
    for stream in manifest.load()["streams"]:
        jsonschema_rs.Draft202012Validator(stream["schema"])
        fields = set(stream["schema"]["properties"])
        named = {*stream["primary_key"], stream["cursor_field"], *stream["schema"]["required"]}
        named |= {*stream["query"].get("range_filters", {}), *stream["query"]["search"]["lexical_fields"]}
        named |= {relation["foreign_key"] for relation in stream.get("relationships", ())}
        assert named <= fields, stream["name"]


def test_every_relationship_leads_to_a_declared_stream() -> None:
    for stream in manifest.load()["streams"]:
        for relation in stream.get("relationships", ()):
            assert relation["stream"] in records.STREAMS


def test_under_another_id_it_is_another_connector() -> None:
    assert manifest.load()["connector_id"] == manifest.CONNECTOR_ID
    other = manifest.load("urn:example:slack")
    assert other["connector_id"] == "urn:example:slack"
    assert "connector_key" not in other


def test_it_agrees_with_the_published_manifest(shared: Path) -> None:
    published = json.loads((shared / "data" / "slack" / "hydration.manifest.json").read_bytes())
    streams = {stream["name"]: stream for stream in published["streams"]}
    for ours in manifest.load()["streams"]:
        theirs = streams[ours["name"]]
        for member in ("primary_key", "cursor_field", "consent_time_field", "semantics", "selection"):
            assert ours.get(member) == theirs.get(member)
        assert ours["query"].get("range_filters") == theirs["query"].get("range_filters")
        assert ours["schema"]["required"] == theirs["schema"]["required"]
        assert _types(ours) == _types(theirs)


def _types(stream: dict[str, Any]) -> dict[str, tuple[object, ...]]:
    return {
        name: (schema["type"], schema.get("format"), schema.get("items"), schema.get("properties"))
        for name, schema in stream["schema"]["properties"].items()
    }
