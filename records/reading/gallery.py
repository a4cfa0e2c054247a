"""The attachments of a connector as an owner leafs through them: each blob once, at the first record that links it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from blobstore.catalogue import Catalogue
from blobstore.digest import Digest
from records.consent.scope import Scope, Selector
from records.engine import Engines
from records.errors import Invalid
from records.keyring import Keyring
from records.model import Partition, PlacedLink, Target
from records.reading.cursor import Binding, seal, unseal
from records.reading.reach import Reaches

PIECE = 200
"""Links that are looked at together."""

MAX_LOOKS = 4000
"""Links that are looked at for one page: a search for a rare kind ends early, and goes on with the next page."""

MAX_POINTER = 1024
"""Characters of a pointer that a cursor holds; what follows a longer one in the same record is left out."""

_BEYOND_ALL = "\U0010ffff"
"""Comes after every pointer: they begin with a slash, or are empty."""


class Kind(StrEnum):
    """What sort of attachment it says that it is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    OTHER = "other"

    @classmethod
    def of(cls, media_type: str) -> "Kind":
        """The kind of a media type."""
        first = media_type.partition("/")[0]
        return cls(first) if first in (cls.IMAGE, cls.VIDEO, cls.AUDIO) else cls.OTHER


@dataclass(frozen=True, slots=True)
class Attached:
    """A blob, and where it is linked first. `size` in bytes; None where the bytes are not there (any more)."""

    partition: Partition
    key: str
    digest: Digest
    media_type: str
    filename: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """In the order of instances, streams, keys and places. `next_cursor` is None on the last page.

    There may be fewer than were asked for, or none, and more on the next page.
    """

    attached: Sequence[Attached]
    next_cursor: str | None


class _Place(msgspec.Struct, array_like=True):
    """Where a page ended."""

    instance: str
    stream: str
    key: str
    pointer: str


class Galleries:
    """Answers owners."""

    def __init__(self, reaches: Reaches, engines: Engines, catalogue: Catalogue, keyring: Keyring) -> None:
        self._reaches = reaches
        self._engines = engines
        self._catalogue = catalogue
        self._keyring = keyring

    async def page(
        self,
        scope: Scope,
        selector: Selector,
        *,
        stream: str | None = None,
        kind: Kind | None = None,
        cursor: str | None = None,
        limit: int = 60,
    ) -> GalleryPage:
        """Up to `limit` attachments of the selected connector, of its instance or its stream where one is named.

        Raises `Unknown`, `Invalid` (`InvalidCursor` among them), `SourceDown`, and `ValueError` for a client's scope.
        """
        if scope.grant is not None:
            raise ValueError("only owners leaf through attachments")
        if selector.connector is None:
            raise Invalid("name the connector whose attachments are meant", param="connector_id")
        (connector,) = selected = await self._reaches.connectors(scope, selector)
        living = {each.id for each in await self._reaches.instances(scope, selector, selected)}
        named = {"kind": kind, "connector_id": connector, "connector_instance_id": selector.instance}
        filters = [(name, value) for name, value in named.items() if value is not None]
        binding = Binding("gallery", scope.owner.id, stream or "", "", scope.binding, filters)
        key = self._keyring.cursor_key(scope.owner.id)
        after = None
        if cursor is not None:
            at = unseal(key, binding, cursor, _Place)
            after = Partition(connector, at.instance, at.stream), at.key, at.pointer
        target = Target(connector, selector.instance, stream)
        found, last = await self._look(scope, target, after, kind, limit)
        found = [each for each in found if each.partition.instance in living]
        return GalleryPage(await self._sized(scope, found), None if last is None else seal(key, binding, _place(*last)))

    async def _look(
        self, scope: Scope, target: Target, after: tuple[Partition, str, str] | None, kind: Kind | None, limit: int
    ) -> tuple[list[PlacedLink], tuple[Partition, str, str] | None]:
        """Links of this kind, and where the search ended; None where that is the end of all."""
        engine = await self._engines.of(scope.owner.id)
        found: list[PlacedLink] = []
        for _ in range(MAX_LOOKS // PIECE):
            links = await engine.first_links(target, after, PIECE if kind else limit + 1)
            for each in links:
                if len(found) == limit:
                    return found, after
                after = each.partition, each.key, each.link.pointer
                if kind in (None, Kind.of(each.link.media_type)):
                    found.append(each)
            if len(links) < (PIECE if kind else limit + 1):
                return found, None
        return found, after

    async def _sized(self, scope: Scope, links: Sequence[PlacedLink]) -> list[Attached]:
        live = await self._catalogue.live(scope.owner.id, {each.link.digest for each in links})
        sizes = {each.name.digest: each.size for each in live}
        return [
            Attached(
                each.partition,
                each.key,
                each.link.digest,
                each.link.media_type,
                each.link.filename,
                sizes.get(each.link.digest),
            )
            for each in links
        ]


def _place(partition: Partition, key: str, pointer: str) -> _Place:
    return _Place(partition.instance, partition.stream, key, pointer if len(pointer) <= MAX_POINTER else _BEYOND_ALL)
