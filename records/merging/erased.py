"""What was erased here, and when: a merge brings none of it back."""

from collections.abc import Collection
from dataclasses import dataclass, field

from records.central import ErasureJob, Owner
from records.store import RecordStore

PAGE = 500
"""Erasures that are read at once."""


@dataclass(slots=True)
class Erased:
    """When what lives again was erased here, the last time. Times as everywhere; "" where it never was."""

    owner: str = ""
    connectors: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    """By connector: its default instance."""

    def since(self, connector: str, *, is_default: bool) -> str:
        """What was collected of an instance up to this time stays out."""
        default = self.defaults.get(connector, "") if is_default else ""
        return max(self.owner, self.connectors.get(connector, ""), default)


async def erased_here(here: RecordStore, subject: str, owners: Collection[Owner], ours: Owner | None) -> Erased:
    """What was erased of whoever has this name; `ours` is the one who lives, None where nobody does."""
    found = Erased(max((_erased_at(here, each, subject) for each in owners), default=""))
    after: str | None = None
    while ours is not None and (page := await here.central.erasures(ours.id, after, PAGE)):
        for job in page:
            await _add(here, found, job)
        after = page[-1].id
    return found


def _erased_at(here: RecordStore, owner: Owner, subject: str) -> str:
    """When an owner of this name was erased; of an erased one only a digest is known."""
    if owner.erased_at is None or here.keyring.owner_digest(owner.id, subject) != owner.subject:
        return ""
    return owner.erased_at


async def _add(here: RecordStore, found: Erased, job: ErasureJob) -> None:
    if job.connector is None:
        return
    places = found.connectors
    if job.instance is not None:
        instance = await here.central.instance(job.owner, job.instance)
        if instance is None or not instance.is_default:
            return
        places = found.defaults
    places[job.connector] = max(places.get(job.connector, ""), job.requested_at)
