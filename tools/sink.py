"""The port through which importers write: the same calls over HTTP and straight into a data directory."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class SinkError(Exception):
    """The store refused or could not be reached; the message says what to do. Never carries a credential."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What the store says it stored; `size_bytes` and `sha256` were checked against what was sent."""

    blob_id: str
    sha256: str
    size_bytes: int
    mime_type: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """One line that the store refused for good; `index` counts from 0 within the batch."""

    index: int
    code: str
    message: str


class Sink(Protocol):
    """One connector instance of one owner, as a writer sees it. Calls may run at once unless said otherwise.

    Each call retries what is worth retrying (a server that restarts, 503 with Retry-After) and raises `SinkError`
    when it gives up.
    """

    async def register(self, manifest: Mapping[str, Any]) -> None:
        """Declare the connector's streams; again is harmless."""
        ...

    async def load_state(self) -> dict[str, Any]:
        """The sync state by stream; empty when there is none."""
        ...

    async def save_state(self, state: Mapping[str, Any]) -> None:
        """Merge by stream; the value of a stream is kept to the letter. Not concurrent with itself."""
        ...

    async def upload(
        self, content: AsyncIterator[bytes], *, stream: str, record_key: str, mime_type: str
    ) -> Uploaded:
        """Store the bytes and claim them for a record to come. A retry needs a new iterator: none is made here."""
        ...

    async def ingest(self, stream: str, lines: Sequence[bytes]) -> list[Rejection]:
        """Store one batch of NDJSON lines (without their newlines) durably; give back what was refused."""
        ...

    async def close(self) -> None:
        """Harmless when called twice."""
        ...
