"""The port to the catalogue: which blobs exist, who holds them, what is on its way and what must go.

Two levels of counting meet here. Inside a connector, links are exact (the record engine keeps them). The catalogue
only says *which holders* have at least one link. The rules that keep both true without a transaction across them:

* **Hold before link.** `hold` commits before the first link does, and raises the holder's version each time.
* **Release after unlink.** A holder goes only by `release`, with the version read before its links were recounted;
  the engine raises its own release epoch in the transaction that recounts, so a writer that held before that and
  commits after it is told to hold again. A crash anywhere leaves a holder too many, never one too few.
* **A generation is live, quarantined or condemned;** at most one is live per blob; a condemned one never comes back.
* **The lease is the fence.** It is committed before the first byte; whoever takes the row away (expiry, erasure)
  has fenced the upload off, because publishing must find the row.
* **A blob moves as a new generation.** Bytes are copied under a lease, into the intake; one step makes the copy live
  where the generation that it was made of still is, and condemns that one, which is kept for those who read it.

All times are UTC seconds since the epoch. Order is the catalogue's own counter, never a clock.
"""

from typing import Protocol

from blobstore.catalogue.collection import Collecting, Condemned, Forecast, Orphan, Removal, removals
from blobstore.catalogue.deriving import Deriving
from blobstore.catalogue.holders import Holder, Holders
from blobstore.catalogue.outbox import CatalogueEvent, Numbering, Outbox
from blobstore.catalogue.pins import Pin, Pins
from blobstore.catalogue.places import Places
from blobstore.catalogue.questions import ClaimedBlob, Gone, Questions, Totals
from blobstore.catalogue.quotas import Quotas
from blobstore.catalogue.shares import Share, Shares
from blobstore.catalogue.standing import Standing, Standings
from blobstore.catalogue.stored import State, Stored
from blobstore.catalogue.uploads import Claim, Lease, Uploads

__all__ = [
    "Catalogue",
    "CatalogueEvent",
    "Claim",
    "ClaimedBlob",
    "Condemned",
    "Forecast",
    "Gone",
    "Holder",
    "Lease",
    "Numbering",
    "Orphan",
    "Pin",
    "Removal",
    "Share",
    "Standing",
    "State",
    "Stored",
    "Totals",
    "removals",
]


class Catalogue(
    Uploads, Holders, Outbox, Collecting, Pins, Places, Deriving, Questions, Shares, Quotas, Standings, Protocol
):
    """The catalogue of one store. Every method is one atomic, durable step; any number of processes may call at once.

    Raises `StorageUnavailable` when the database does not answer.
    """

    async def store_id(self) -> str:
        """The random id of this store, made when the catalogue was."""
        ...

    async def sanitize(self, timeout: float) -> bool:
        """Make what was deleted unreadable in every file of the catalogue; False when `timeout` seconds did not do."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with the catalogue's files; empty when they are sound."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. Harmless when called twice."""
        ...
