"""Which records link which blobs, and which blobs lost their last link."""

from collections.abc import Collection, Sequence
from typing import Protocol

from blobstore.digest import Digest
from records.model import Link, Partition, PlacedLink


class Links(Protocol):
    """Links, and notes of what is unlinked."""

    async def links_of(
        self,
        digest: Digest,
        after: tuple[Partition, str, str] | None = None,
        limit: int = 100,
        *,
        connector: str | None = None,
    ) -> list[PlacedLink]:
        """Links to a blob in the order (connector, instance, stream, key, pointer), beyond `after`.

        Where a connector is named, its own; no other is asked, or need answer.
        """
        ...

    async def linkers(self, digests: Collection[Digest]) -> dict[Digest, str]:
        """The first connector that links each of the blobs; those without any link are left out.

        Raises `Partly` where some connectors do not answer and others do.
        """
        ...

    async def links_in(self, partition: Partition, key: str) -> list[PlacedLink]:
        """The links of one record in the order of their pointers."""
        ...

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, dict[str, int]]]:
        """Blobs that the connector links, beyond `after` in the order of digests: how many links each stream has."""
        ...

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        """Replace the links of the record with this version; False, and nothing done, where there is none such.

        Nothing else of the record changes, its version neither: this mends links that are not those of its data. As
        with `apply`, blobs are held first, digests that lost their last link are noted, and `Released` is raised when
        the connector's release epoch differs.
        """
        ...

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        """Raise the connector's release epoch and give back those that have no link in it, in one transaction."""
        ...

    async def unlinked(self, limit: int, connector: str | None = None) -> list[tuple[str, Digest]]:
        """(connector, digest) noted as having lost its last link, in that order; each needs a recount and a release.

        Of one connector, where it is named.

        One that has been linked again since is among them: the recount tells.
        """
        ...

    async def notes(self, connector: str, digests: Collection[Digest]) -> list[int]:
        """The numbers of the notes that these have as unlinked.

        A digest that loses its last link again is noted again, under another number; none is ever used twice.
        """
        ...

    async def forget_notes(self, notes: Collection[int]) -> None:
        """What they asked for was done; one that was made again since is another note. Absent is no error."""
        ...
