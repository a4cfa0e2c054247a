"""What the record engines answer garbage collection: adapter of `blobstore.gc.Links`.

The catalogue may know namespaces that the central store does not, say when one of the two came back from a backup. So
the engines decide, not the list of owners: where an engine is, it counts, whoever it belongs to; where none ever was,
nothing links anything, and nobody can be about to, for a writer opens the engine before it holds. None is ever made.
"""

from collections.abc import AsyncIterator, Collection

from blobstore.digest import Digest
from records.central import Central
from records.engine import Engines


class Holdings:
    """Links as the engines count them. Namespaces are owners, holders are connectors."""

    def __init__(self, central: Central, engines: Engines) -> None:
        self._central = central
        self._engines = engines

    async def recount(self, namespace: str, holder: str, digests: Collection[Digest]) -> set[Digest]:
        engine = await self._engines.find(namespace)
        return set(digests) if engine is None else await engine.recount(holder, digests)

    async def linked(self, namespace: str, digests: Collection[Digest]) -> dict[Digest, str]:
        engine = await self._engines.find(namespace)
        return {} if engine is None else await engine.linkers(digests)

    async def let_go(self, namespace: str | None, limit: int) -> AsyncIterator[tuple[str, str, set[Digest]]]:
        """As the port says. Every engine is asked, also when it has nothing to tell: one that does not answer
        may link anything, so a collection must not begin without it.
        """
        owners = [owner.id for owner in await self._central.owners()]
        for owner in owners if namespace is None else [namespace]:
            engine = await self._engines.find(owner)
            while engine is not None and (waiting := await engine.unlinked(limit)):
                groups: dict[str, set[Digest]] = {}
                for connector, digest in waiting:
                    groups.setdefault(connector, set()).add(digest)
                for connector, digests in groups.items():
                    yield owner, connector, digests

    async def notes(self, namespace: str, holder: str, digests: Collection[Digest]) -> list[int]:
        engine = await self._engines.find(namespace)
        return [] if engine is None else await engine.notes(holder, digests)

    async def released(self, namespace: str, notes: Collection[int]) -> None:
        await (await self._engines.of(namespace)).forget_notes(notes)
