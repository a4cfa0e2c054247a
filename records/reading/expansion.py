"""Relations of records, served with them: one hop, as the manifest declares it, for owners only.

A relation's foreign key stands in the related records and names the record's key; or, where only the record's own
stream has that field, in the record, and names the related record's key.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from records import jsontext
from records.engine import Engine
from records.errors import Invalid
from records.keys import part_text
from records.manifest import Manifest, StreamDeclaration
from records.model import Order, Partition, StoredRecord
from records.reading.lens import Lens, Related, Shown
from records.reading.paging import MAX_BYTES

DEFAULT_LIMIT = 10
MAX_LIMIT = 50
"""Related records of one, where the manifest does not say how many."""

PIECE = 500


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation that is to be served; `limit` counts related records of each record."""

    name: str
    stream: str
    foreign_key: str
    many: bool
    outward: bool
    """The foreign key stands in the record itself."""
    limit: int


def relations(asked: Mapping[str, int | None], declaration: StreamDeclaration, manifest: Manifest) -> list[Relation]:
    """The relations that a request names. Raises `Invalid` (`invalid_expand`) for what is not declared, or no limit."""
    declared = {each["name"]: each for each in declaration.query.get("expand") or ()}
    related = {each["name"]: each for each in declaration.relationships}
    found = []
    for name, limit in asked.items():
        if name not in declared or name not in related or related[name]["stream"] not in manifest.streams:
            raise _invalid(f"the stream declares no relation {name!r} that can be expanded")
        found.append(_relation(related[name], declared[name], limit, declaration, manifest))
    return found


def _relation(
    related: Mapping[str, Any],
    declared: Mapping[str, Any],
    limit: int | None,
    declaration: StreamDeclaration,
    manifest: Manifest,
) -> Relation:
    name, foreign_key, many = related["name"], related["foreign_key"], related["cardinality"] == "has_many"
    most = int(declared.get("max_limit") or MAX_LIMIT)
    if limit is not None and not many:
        raise _invalid(f"{name!r} is a single record: it takes no expand_limit")
    if limit is not None and not 1 <= limit <= most:
        raise _invalid(f"expand_limit[{name}] must be 1 to {most}")
    inward = foreign_key in manifest.streams[related["stream"]].fields
    if not inward and (many or foreign_key not in declaration.fields):
        raise _invalid(f"{name!r} cannot be expanded: its foreign key is declared in neither stream")
    wanted = limit or min(int(declared.get("default_limit") or DEFAULT_LIMIT), most)
    return Relation(name, related["stream"], foreign_key, many, not inward, wanted if many else 1)


async def expand(engine: Engine, relation: Relation, records: Sequence[StoredRecord], shown: Sequence[Shown]) -> None:
    """Put the related records of each record (of one connector) beside it."""
    by_instance: dict[str, list[tuple[StoredRecord, Shown]]] = {}
    for record, of in zip(records, shown, strict=True):
        by_instance.setdefault(record.partition.instance, []).append((record, of))
    for instance, some in by_instance.items():
        place = Partition(some[0][0].partition.connector, instance, relation.stream)
        keys = [_key_of(record, relation) for record, _ in some]
        found, unfinished = await _found(engine, place, relation, {key for key in keys if key is not None})
        for key, (_, of) in zip(keys, some, strict=True):
            of.expanded = of.expanded or {}
            of.expanded[relation.name] = _related(found.get(key or "", ()), relation, key in unfinished)


def _key_of(record: StoredRecord, relation: Relation) -> str | None:
    """What related records are found by."""
    return part_text(jsontext.decode(record.data).get(relation.foreign_key)) if relation.outward else record.key


async def _found(
    engine: Engine, place: Partition, relation: Relation, keys: Collection[str]
) -> tuple[dict[str, list[StoredRecord]], Collection[str]]:
    if relation.outward:
        return {record.key: [record] for record in await engine.get([place], keys)}, ()
    return await _pointing(engine, place, relation, set(keys))


async def _pointing(
    engine: Engine, place: Partition, relation: Relation, wanting: set[str]
) -> tuple[dict[str, list[StoredRecord]], Collection[str]]:
    """Records that name one of the keys, up to one more than is wanted of each, in ascending order.

    It goes through the related stream until every key has enough, or the data is as much as a page may be: then there
    may be more of the keys that are given beside the records.
    """
    found: dict[str, list[StoredRecord]] = {}
    size, after = 0, None

    def pointed(data: bytes) -> str | None:
        return part_text(jsontext.decode(data).get(relation.foreign_key))

    def keep(_: Partition, key: str, data: bytes) -> bool:
        return pointed(data) in wanting

    while wanting and size <= MAX_BYTES:
        page = await engine.page([place], Order.ASC, after, PIECE, max_bytes=MAX_BYTES, keep=keep)
        for record in page.records:
            mine = found.setdefault(pointed(record.data) or "", [])
            if len(mine) <= relation.limit:
                mine.append(record)
                size += len(record.data)
        wanting -= {key for key, mine in found.items() if len(mine) > relation.limit}
        if page.reached is None:
            return found, ()
        after = page.reached
    return found, wanting


def _related(records: Iterable[StoredRecord], relation: Relation, unfinished: bool) -> Related:
    every = list(records)
    lens = Lens(None)
    has_more = unfinished or len(every) > relation.limit
    return Related([lens.show(each) for each in every[: relation.limit]], has_more, relation.many)


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="invalid_expand", param="expand")
