"""What is called what: the other directory's connectors and accounts, and how they are called here."""

from collections.abc import Mapping
from dataclasses import dataclass

from records import times
from records.central import Central, Connector, Instance, Owner
from records.errors import Conflict
from records.manifest import Manifest, decode
from records.registry import Registry


@dataclass(frozen=True, slots=True)
class Match:
    """A connector of the other directory: the manifest that is good here, and what its instances are called here."""

    connector: str
    manifest: Manifest
    raw: bytes
    is_registered: bool
    names: Mapping[str, str]
    """By what they are called there. A default instance is the default one here, whatever it is called."""

    fresh: tuple[Instance, ...]
    """Instances that are not here yet."""


class Places:
    """Matches connectors and instances. Nothing is written before `settle`."""

    def __init__(self, there: Central, here: Central, registry: Registry) -> None:
        self._there = there
        self._here = here
        self._registry = registry

    async def match(self, theirs: Owner, ours: Owner | None, *, newer: bool) -> list[Match]:
        """Every living connector of the other directory's owner. `ours` is None for one who is not here yet.

        Of two manifests the one that was registered last is taken where `newer` says so. Raises `Conflict` otherwise,
        and for an instance that is another connector's here, or was erased.
        """
        found = []
        for each in await self._there.connectors(theirs.id):
            if each.erased_at is None:
                known = None if ours is None else await self._here.connector(ours.id, each.id)
                known = None if known is None or known.erased_at is not None else known
                raw = _manifest(each, known, newer=newer)
                names, fresh = await self._instances(theirs, ours, each.id)
                registered = known is not None and known.manifest == raw
                found.append(Match(each.id, decode(raw), raw, registered, names, fresh))
        return found

    async def settle(self, owner: Owner, match: Match) -> None:
        """Register what is not here yet. Again is harmless."""
        if not match.is_registered:
            await self._registry.register(owner, match.raw)
        for instance in match.fresh:
            await self._here.add_instance(owner.id, instance)

    async def _instances(
        self, theirs: Owner, ours: Owner | None, connector: str
    ) -> tuple[dict[str, str], tuple[Instance, ...]]:
        living = [] if ours is None else await self._here.instances(ours.id, connector)
        default = next((each.id for each in living if each.is_default), None)
        names: dict[str, str] = {}
        fresh: list[Instance] = []
        for each in await self._there.instances(theirs.id, connector):
            if each.is_default and default is not None:
                names[each.id] = default
                continue
            names[each.id] = each.id
            known = None if ours is None else await self._here.instance(ours.id, each.id)
            if known is None:
                fresh.append(Instance(each.id, connector, each.is_default, times.now(), None))
            elif known.connector != connector or known.erased_at is not None:
                raise Conflict(f"the instance {each.id!r} is another connector's here, or was erased")
        return names, tuple(fresh)


def _manifest(there: Connector, here: Connector | None, *, newer: bool) -> bytes:
    if here is None or here.manifest == there.manifest:
        return there.manifest
    if not newer:
        raise Conflict(f"{there.id!r} is registered with another manifest here")
    return max(here, there, key=lambda each: each.registered_at).manifest
