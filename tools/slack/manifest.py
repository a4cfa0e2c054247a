"""The manifest that the importer registers for itself."""

from importlib.resources import files
from typing import Any

import msgspec

CONNECTOR_ID = "https://registry.pdpp.dev/connectors/slack"


def load(connector_id: str = CONNECTOR_ID) -> dict[str, Any]:
    """The manifest of the four streams; under another id than Slack's it does not claim to be Slack's."""
    text = files("tools.slack").joinpath("manifest.json").read_bytes()
    manifest = msgspec.json.decode(text, type=dict[str, Any])
    if connector_id != CONNECTOR_ID:
        manifest = {name: manifest[name] for name in manifest if name not in ("connector_key", "manifest_uri")}
    return {**manifest, "connector_id": connector_id}
