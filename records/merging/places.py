"""What is called what: the other directory's connectors and accounts, and how they are called here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from records import times
from records.central import Central, Connector, Instance, Owner
from records.errors import Conflict
from records.manifest import Manifest, decode
from records.merging.erased import Erased
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

    erased: frozenset[str]
    """By what they are called there: instances that were erased here, and of which nothing comes in."""

    erased_at: Mapping[str, str]
    """When all that was in an instance was erased here, by what it is called there: what is older stays out."""


class Places:
    """Matches connectors and instances. Nothing is written before `settle`."""

    def __init__(self, there: Central, here: Central, registry: Registry) -> None:
        self._there = there
        self._here = here
        self._registry = registry

    async def match(self, theirs: Owner, ours: Owner | None, erased: Erased, *, newer: bool) -> list[Match]:
        """Every living connector of the other directory's owner. `ours` is None for one who is not here.

        Of two manifests the one that was registered last is taken where `newer` says so. Raises `Conflict` otherwise,
        and for an instance that is another connector's here.
        """
        found = []
        for each in await self._there.connectors(theirs.id):
            if each.erased_at is None:
                known = None if ours is None else await self._here.connector(ours.id, each.id)
                if (known is not None and known.erased_at is not None) or (ours is None and erased.owner):
                    found.append(await self._left_out(theirs, each))
                else:
                    raw = _manifest(each, known, newer=newer)
                    found.append(await self._match(theirs, ours, each, known, raw, erased))
        return found

    async def _left_out(self, theirs: Owner, there: Connector) -> Match:
        """A connector that was erased here and did not come again."""
        erased = frozenset(each.id for each in await self._there.instances(theirs.id, there.id))
        return Match(there.id, decode(there.manifest), there.manifest, True, {}, (), erased, {})

    async def _match(
        self, theirs: Owner, ours: Owner | None, there: Connector, known: Connector | None, raw: bytes, erased: Erased
    ) -> Match:
        instances = await self._there.instances(theirs.id, there.id)
        names, fresh = await self._instances(instances, ours, there.id, erased)
        erased_at = {each.id: erased.since(there.id, is_default=each.is_default) for each in instances}
        return Match(
            there.id,
            decode(raw),
            raw,
            known is not None and known.manifest == raw,
            names,
            fresh,
            frozenset(each.id for each in instances) - names.keys(),
            {name: at for name, at in erased_at.items() if at},
        )

    async def settle(self, owner: Owner, match: Match) -> None:
        """Register what is not here yet. Again is harmless."""
        if not match.is_registered:
            await self._registry.register(owner, match.raw)
        for instance in match.fresh:
            await self._here.add_instance(owner.id, instance)

    async def _instances(
        self, instances: Sequence[Instance], ours: Owner | None, connector: str, erased: Erased
    ) -> tuple[dict[str, str], tuple[Instance, ...]]:
        """How those that come in are called here, and which of them are not here yet."""
        living = [] if ours is None else await self._here.instances(ours.id, connector)
        default = next((each.id for each in living if each.is_default), None)
        names: dict[str, str] = {}
        fresh: list[Instance] = []
        for each in instances:
            if each.is_default and default is not None:
                names[each.id] = default
                continue
            if each.is_default and connector in erased.defaults:
                continue
            known = None if ours is None else await self._here.instance(ours.id, each.id)
            if known is not None and known.connector != connector:
                raise Conflict(f"the instance {each.id!r} is another connector's here")
            if known is not None and known.erased_at is not None:
                continue
            names[each.id] = each.id
            if known is None:
                fresh.append(Instance(each.id, connector, each.is_default, times.now(), None))
        return names, tuple(fresh)


def _manifest(there: Connector, here: Connector | None, *, newer: bool) -> bytes:
    if here is None or here.manifest == there.manifest:
        return there.manifest
    if not newer:
        raise Conflict(f"{there.id!r} is registered with another manifest here")
    return max(here, there, key=lambda each: each.registered_at).manifest
