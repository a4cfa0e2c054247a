"""Who holds a blob: hold before link, release after unlink."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from blobstore.digest import Digest


@dataclass(frozen=True, slots=True)
class Holder:
    """`holder` has, or may have, links to the blob. `confirmed` when links were seen committed after its last hold."""

    digest: Digest
    holder: str
    version: int
    confirmed: bool


class Holders(Protocol):
    """Who has links, or may have some."""

    async def hold(self, namespace: str, holder: str, digests: Collection[Digest], now: float) -> Mapping[Digest, int]:
        """Hold each blob that is live and that this holder already holds or claims (rule P1): the sizes of those."""
        ...

    async def settle(self, namespace: str, holder: str, links: Iterable[tuple[Digest, Sequence[str]]]) -> None:
        """Links were committed: confirm their holders and drop the claims for these slots that they fulfil.

        Where the holder's row is gone nothing is dropped.
        """
        ...

    async def holders(self, namespace: str, holder: str, digests: Collection[Digest]) -> list[Holder]:
        """The holder rows that exist, with the versions that `release` wants back."""
        ...

    async def unconfirmed(self, limit: int) -> list[tuple[str, Holder]]:
        """(namespace, holder) rows whose links were never seen committed: a writer is busy, or died there."""
        ...

    async def release(self, namespace: str, holders: Collection[Holder], now: float) -> int:
        """Drop each holder that still has the version given; how many went. An orphan does not get younger."""
        ...

    async def former(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Digest]:
        """Blobs that the holder let go of and no other holds or claims now, in the order of digests, beyond `after`.

        Who lets go of a blob (`release`, `drop_claims`, `expire`) is remembered in the same step, until no generation
        of the blob is left: so an erasure knows whose an orphan was. The holder may hold it again meanwhile.
        """
        ...

    async def forget_former(self, namespace: str, holder: str, limit: int) -> int:
        """Forget up to `limit` blobs that the holder let go of, whoever holds them now; how many."""
        ...

    async def rehold(self, namespace: str, holder: str, digests: Collection[Digest]) -> None:
        """Links to these blobs were found that no row speaks of: hold them, whatever the catalogue believed.

        Unconfirmed, as after `hold`: they were found a moment ago, and who lost them since may have been released
        before this. The next collection asks for them once more.
        """
        ...
