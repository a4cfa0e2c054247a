"""What the record engines answer garbage collection: adapter of `blobstore.gc.Links`.

The catalogue may know namespaces that the central store does not, say when one of the two came back from a backup. So
the engines decide, not the list of owners: where an engine is, it counts, whoever it belongs to; where none ever was,
nothing links anything, and nobody can be about to, for a writer opens the engine before it holds. None is ever made.
"""

from collections.abc import AsyncIterator, Collection

from blobstore.catalogue import Catalogue
from blobstore.digest import Digest
from records.central import Central
from records.engine import Engines
from records.errors import Partly


class Holdings:
    """Links as the engines count them. Namespaces are owners, holders are connectors."""

    def __init__(self, central: Central, engines: Engines, catalogue: Catalogue) -> None:
        self._central = central
        self._engines = engines
        self._catalogue = catalogue

    async def recount(self, namespace: str, holder: str, digests: Collection[Digest]) -> set[Digest]:
        engine = await self._engines.find(namespace)
        return set(digests) if engine is None else await engine.recount(holder, digests)

    async def linked(self, namespace: str, digests: Collection[Digest]) -> dict[Digest, str]:
        engine = await self._engines.find(namespace)
        if engine is None:
            return {}
        try:
            return await engine.linkers(digests)
        except Partly as partly:
            # A connector that does not answer counts as linking what it held: it links nothing that it never held.
            found = dict(partly.answer)
            for connector in sorted(partly.silent):
                held = [each for each in digests if each not in found]
                found |= dict.fromkeys(await self._once_held(namespace, connector, held), connector)
            return found

    async def _once_held(self, namespace: str, holder: str, digests: Collection[Digest]) -> set[Digest]:
        held = {row.digest for row in await self._catalogue.holders(namespace, holder, digests)}
        for digest in digests:
            if digest in await self._catalogue.former(namespace, holder, _before(digest), 1):
                held.add(digest)
        return held

    async def let_go(self, namespace: str | None, limit: int) -> AsyncIterator[tuple[str, str, set[Digest]]]:
        """As the port says. Every engine is asked, also when it has nothing to tell: one that does not answer
        may link anything, so a collection must not begin without it. (Of one that answers in part, see `linked`.)
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


def _before(digest: Digest) -> Digest | None:
    """The digest that comes right before this one; None before the first."""
    number = int.from_bytes(digest.raw)
    return None if not number else Digest.from_bytes((number - 1).to_bytes(len(digest.raw)))
