"""The port through which importers write: the same calls over HTTP and straight into a data directory."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from blobstore.client.answers import Rejection, Stored
from blobstore.client.content import Content


class SinkError(Exception):
    """The store could not be reached or does not answer as it must: nothing more can be written.

    The message says what to do. Never carries a credential.
    """


class Refused(SinkError):
    """The store refused this one item for good; others may be accepted. Nothing of it was kept."""


class Sink(Protocol):
    """One connector instance of one owner, as a writer sees it. Calls may run at once unless said otherwise.

    Each call retries what is worth retrying (a server that restarts, 503 with Retry-After) and raises `SinkError`
    when it gives up. A call that returned is durable.
    """

    async def register(self, manifest: Mapping[str, Any]) -> None:
        """Declare the connector's streams; again is harmless. Before any other call that writes."""
        ...

    async def load_state(self) -> dict[str, Any]:
        """The sync state by stream; empty when there is none, also where nobody has written to the account yet."""
        ...

    async def save_state(self, state: Mapping[str, Any]) -> None:
        """Merge by stream; the value of a stream is kept to the letter. Not concurrent with itself."""
        ...

    async def upload(
        self, content: Content, *, size: int | None, stream: str, record_key: str, mime_type: str
    ) -> Stored:
        """Store the bytes and claim them for a record to come; `size` is their exact number where it is known.

        `content` is read once for each attempt. Raises `Refused` when the store does not take these bytes under
        this name: too large, a key or media type that is none.
        """
        ...

    async def ingest(self, stream: str, lines: Sequence[bytes]) -> list[Rejection]:
        """Store one batch of NDJSON lines (without their newlines); give back what was refused, in order."""
        ...
