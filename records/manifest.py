"""Connector manifests: what a connector declares of its streams, checked once when it is registered.

Unknown members are kept (the manifest is stored as it came) and ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 1 << 20
MAX_ID = 512


@dataclass(frozen=True, slots=True)
class StreamDeclaration:
    """One declared stream. `raw` is its JSON object as it came; `views` maps the name of a view to its fields."""

    name: str
    semantics: str
    schema: Mapping[str, Any]
    primary_key: tuple[str, ...]
    cursor_field: str | None
    consent_time_field: str | None
    selection: Mapping[str, Any] | None
    views: Mapping[str, tuple[str, ...]]
    relationships: tuple[Mapping[str, Any], ...]
    query: Mapping[str, Any]
    raw: Mapping[str, Any]

    @property
    def append_only(self) -> bool:
        """Whether a key that exists is left as it is."""
        return self.semantics in ("append_only", "append")

    @property
    def fields(self) -> tuple[str, ...]:
        """The top-level fields that the schema declares, in its order."""
        raise NotImplementedError

    @property
    def required(self) -> tuple[str, ...]:
        """The top-level fields that the schema requires."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Manifest:
    """A decoded manifest; streams by name, in their order."""

    connector_id: str
    version: str
    display_name: str
    streams: Mapping[str, StreamDeclaration]

    @property
    def key(self) -> str:
        """The connector's key: `connector_key(connector_id)`."""
        return connector_key(self.connector_id)


def decode(raw: bytes) -> Manifest:
    """Read and check a manifest. Raises `Invalid` with a message that tells what to change; never asks the network."""
    raise NotImplementedError


def connector_key(connector_id: str) -> str:
    """What names the connector here: `https://registry.pdpp.dev/connectors/slack` and `slack` are one.

    Every other id is its own key. Raises `Invalid` as `require_id` does.
    """
    raise NotImplementedError


def require_id(text: str, param: str) -> str:
    """The id of a connector, instance or stream: 1 to `MAX_ID` characters, no control characters. Raises `Invalid`."""
    raise NotImplementedError
