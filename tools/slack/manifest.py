"""The manifest that the importer registers for itself."""

from typing import Any

CONNECTOR_ID = "https://registry.pdpp.dev/connectors/slack"


def load(connector_id: str = CONNECTOR_ID) -> dict[str, Any]:
    """The manifest of the four streams, under `connector_id`."""
    raise NotImplementedError
