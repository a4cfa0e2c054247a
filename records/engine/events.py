"""Events on their way to the spine."""

from collections.abc import Mapping
from typing import Protocol

from blobstore.catalogue import Numbering
from records.model import OutboxEvent


class Events(Protocol):
    """The outboxes of an engine."""

    async def outbox(self, limit: int) -> list[OutboxEvent]:
        """The oldest events of one source that have not been drained; none just when no source has any.

        A source is an outbox: events have an order within it, and it has the same name in every process. One that does
        not answer waits, and others do not wait for it: once they have none, `SourceDown` is raised.
        """
        ...

    async def numbering(self) -> Mapping[str, Numbering]:
        """The numbers of every outbox by its source, each as they are at one moment."""
        ...

    async def bind(self, name: str) -> str:
        """The name of whose records these are: the first that is told is kept, and given back from then on."""
        ...

    async def drained(self, source: str, seq: int) -> None:
        """Events of this source up to and with `seq` are on the spine; nothing where there is no such source."""
        ...

    async def note(self, event: bytes) -> None:
        """Put an event into the outbox by itself."""
        ...
