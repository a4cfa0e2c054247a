"""What the accounts of a bundle are called where they come to, and whether what is there already is from it."""

from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from blobstore.digest import derive
from blobstore.threads import to_the_end
from records.bag import layout
from records.bag.check import LONGEST
from records.bag.imports import CheckedBag
from records.bag.lines import StreamLine, read
from records.central import Owner
from records.engine import Engine
from records.errors import Conflict
from records.history import same_content
from records.model import Partition
from records.store import RecordStore

_CONTEXT = "blobstore 2026-11 attached instance"

LINES = 500
"""Records that are compared at once."""


class _Line(msgspec.Struct):
    key: str
    data: msgspec.Raw


_line = msgspec.json.Decoder(_Line)


async def names_here(store: RecordStore, owner: Owner, bag: CheckedBag, renamed: Mapping[str, str]) -> dict[str, str]:
    """What each account of the bag is called here: its own name where that is free, or was taken by this very bag.

    Another name is the same whenever the bundle is attached again. Raises `Conflict` where an account of the same
    connector has this name and holds something else.
    """
    names: dict[str, str] = {}
    for name, (connector, _) in bag.found.instances.items():
        chosen = renamed.get(name, name)
        known = await store.central.instance(owner.id, chosen)
        if known is not None and (known.connector != connector or known.erased_at is not None) and name not in renamed:
            chosen = "cin_" + derive(_CONTEXT, f"{bag.name} {owner.id} {name}".encode(), 12).hex()
        names[name] = chosen
    engine = await store.engines.find(owner.id)
    if engine is not None:
        await _require_none_else(store, engine, bag, names)
    return {**names, **renamed}


async def _require_none_else(store: RecordStore, engine: Engine, bag: CheckedBag, names: Mapping[str, str]) -> None:
    (connector,) = bag.found.manifests
    there = {place: of.records for place, of in (await engine.stats(connector)).items() if of.records}
    ours = set(names.values())
    lines = await to_the_end(store.blobs.submit(_streams, bag))
    known = {Partition(line.connector, names[line.instance], line.stream): line for line in lines}
    for place, records in there.items():
        if place.instance in ours:
            same = 0 if place not in known else await _same(store, engine, bag, place, known[place])
            if same != records:
                raise Conflict(
                    f"the account {place.instance!r} of {connector!r} is here already, and has other records: attach"
                    " the bundle for another owner, or give the account another name (--instance OLD=NEW)"
                )


async def _same(store: RecordStore, engine: Engine, bag: CheckedBag, place: Partition, line: StreamLine) -> int:
    """How many records are here as they are in the bag."""
    same = 0
    lines = bag.survey.lines(line.path, LONGEST)
    while batch := await to_the_end(store.blobs.submit(_taken, lines)):
        found = {each.key: each for each in await engine.get([place], batch.keys())}
        same += sum(key in found and same_content(found[key].data, data) for key, data in batch.items())
    return same


def _streams(bag: CheckedBag) -> list[StreamLine]:
    return [read(raw, StreamLine) for raw in bag.survey.lines(layout.STREAMS)]


def _taken(lines: Iterator[bytes]) -> dict[str, bytes]:
    """The next records by key."""
    decoded = (_line.decode(raw) for raw in islice(lines, LINES))
    return {each.key: bytes(each.data) for each in decoded}
