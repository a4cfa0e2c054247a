"""How an attachment is shown in place: only what a browser shows without running anything in it. No I/O."""

from dataclasses import dataclass

from records.writing.links import BlobRef
from server.console import addresses
from server.disposition import is_shown

TEXT_TYPES = frozenset({"application/json", "application/xml", "application/x-ndjson", "image/svg+xml"})
"""Types that are text though they do not say so. Text is shown escaped, by our own page, whatever it is."""


MAX_ENDING = 12


def way(media_type: str) -> str:
    """`image`, `video`, `audio`, `pdf`, `text`, or `none` for what can only be saved.

    >>> way("image/png"), way("image/svg+xml"), way("text/html"), way("application/zip"), way("image/tiff")
    ('image', 'text', 'text', 'none', 'image')
    """
    kind = media_type.partition("/")[0]
    if kind == "text" or media_type in TEXT_TYPES:
        return "text"
    if not is_shown(media_type):
        return "none"
    return "pdf" if media_type == "application/pdf" else kind


@dataclass(frozen=True, slots=True)
class Tile:
    """An attachment among others."""

    blob_id: str
    name: str
    media_type: str
    size: int | None = None
    record: str | None = None

    @property
    def way(self) -> str:
        """How it is shown."""
        return way(self.media_type)

    @property
    def sort(self) -> str:
        """What stands where there is no picture: the ending of its name, else what its type says.

        >>> Tile("b", "a.tar.gz", "application/zip").sort, Tile("b", "notes", "text/plain").sort
        ('gz', 'text')
        """
        _, dot, ending = self.name.rpartition(".")
        if dot and 0 < len(ending) <= MAX_ENDING and ending.isalnum():
            return ending.lower()
        kind, _, subtype = self.media_type.partition("/")
        return subtype[:MAX_ENDING] if kind == "application" else kind

    @property
    def address(self) -> str:
        """Its page."""
        return addresses.blob(self.blob_id)

    @property
    def content(self) -> str:
        """Its bytes."""
        return addresses.blob(self.blob_id, "/content")

    @property
    def thumbnail(self) -> str:
        """A small picture of it."""
        return addresses.blob(self.blob_id, "/thumbnail")


def tile_of(reference: BlobRef) -> Tile:
    """What a record shows of a blob that it names."""
    return Tile(reference.blob_id, reference.filename or reference.media_type, reference.media_type)
