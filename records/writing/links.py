"""Blob references in a record's data: where they stand, what they name, and the `fetch_url` that readers get.

A reference is an object, at any depth and under any name, whose `blob_id` is the id of a blob (`blob_b3_<64 hex>`) or
its alias (`blob_sha256_<64 hex>`). Under the member name `blob_ref` an object must be a reference. A `fetch_url` in a
reference is added for readers and never stored.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from blobstore.digest import PREFIX, SHA256_PREFIX, Digest, parse_sha256_alias
from records.errors import Invalid
from records.model import Link

DEFAULT_MEDIA_TYPE = "application/octet-stream"
FETCH_PATH = "/v1/blobs/"
MAX_FILENAME = 255
"""Characters of a filename that are kept: it may be any string of the record, and goes into a header."""

MAX_POINTERS = 16 << 20
"""Characters of all the pointers of one record. As many references as a line holds fit, unless their names are huge."""

# From the inside out. A pointer is spelled out for references only: a name of megabytes may have a million children.
_Place: TypeAlias = "tuple[_Place, str] | None"

_INVALID = "invalid_record"
_BLOB_ID = re.compile(rf"(?:{PREFIX}|{SHA256_PREFIX})[0-9a-f]{{64}}\Z")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,127}"  # noqa: S105  a token of RFC 9110, no secret
_MEDIA_TYPE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})[ \t]*(?:;.*)?\Z", re.DOTALL)
_ESCAPED_LETTER = re.compile(rb"\\u00[567]")
_FILENAME_FIELDS = ("filename", "file_name", "name", "title")


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A reference as found. `pointer` is a JSON Pointer (RFC 6901) into the data."""

    pointer: str
    blob_id: str
    media_type: str
    filename: str | None

    @property
    def digest(self) -> Digest | None:
        """The blob; None for the SHA-256 alias, which the caller has to resolve."""
        return Digest.parse(self.blob_id) if self.blob_id.startswith(PREFIX) else None

    @property
    def sha256(self) -> bytes | None:
        """The 32 bytes of the alias; None when the blob is named by its own id."""
        return None if self.blob_id.startswith(PREFIX) else parse_sha256_alias(self.blob_id)

    def link(self, digest: Digest, size: int) -> Link:
        """The link that this reference becomes, once its blob is known."""
        return Link(digest, self.pointer, self.media_type, self.filename, size)


def find(data: object) -> list[BlobRef]:
    """All references in decoded data, in the order in which they stand.

    The filename is the first string among `filename`, `file_name`, `name` and `title` in the reference itself, else
    in the object around it, else in the record. A `mime_type` that is none counts as bytes of unknown type. Raises
    `Invalid` (`blob_not_stored`) for an object under `blob_ref` that is no reference, and (`invalid_record`) beyond
    `MAX_POINTERS`.
    """
    found = []
    room = MAX_POINTERS
    # (container, its place, the object around it); a stack, for legal data may be deeper than Python's own.
    stack: list[tuple[Any, _Place, Mapping[str, Any]]] = [(data, None, data if isinstance(data, dict) else {})]
    while stack:
        container, place, holder = stack.pop()
        if isinstance(container, dict):
            _require_reference(container.get("blob_ref"), place)
            if is_reference(container):
                reference = _reference(container, _pointer(place), holder, data)
                room -= len(reference.pointer)
                if room < 0:
                    raise Invalid(f"the places of its blob references need over {MAX_POINTERS} characters", _INVALID)
                found.append(reference)
            holder = container
        stack.extend((child, (place, name), holder) for name, child in _containers(container))
    return found


def may_hold(raw: bytes, member: bytes) -> bool:
    """Whether JSON text may have a member whose name begins so; false only when it surely has none.

    `member` has only small letters and `_`, which JSON can write in one other way.
    """
    return b'"' + member in raw or _ESCAPED_LETTER.search(raw) is not None


def is_reference(value: Mapping[str, Any]) -> bool:
    """Whether an object's `blob_id` has the form of a blob's id or alias."""
    blob_id = value.get("blob_id")
    return isinstance(blob_id, str) and _BLOB_ID.match(blob_id) is not None


def with_fetch_urls(data: object) -> object:
    """The data with `"fetch_url": "/v1/blobs/<blob_id>"` in each reference; the argument stays as it is."""
    copy, references = _copied(data)
    for reference in references:
        reference["fetch_url"] = FETCH_PATH + reference["blob_id"]
    return copy


def without_fetch_urls(data: object) -> object:
    """The data with no `fetch_url` in any reference; the argument itself when it has none."""
    copy, references = _copied(data)
    removed = [reference.pop("fetch_url") for reference in references if "fetch_url" in reference]
    return copy if removed else data


def top_field(pointer: str) -> str:
    """The top-level field of the data through which a reference is seen: the one that a grant must name."""
    if pointer == "":
        return "blob_id"  # the record itself is the reference
    return pointer.split("/", 2)[1].replace("~1", "/").replace("~0", "~")


def media_type(text: str) -> str:
    """`type/subtype` in lower case, parameters dropped. Raises `Invalid` (`invalid_request`, `mime_type`)."""
    found = _MEDIA_TYPE.match(text)
    if found is None:
        raise Invalid("not a media type such as image/png", param="mime_type")
    return found[1].lower()


def _pointer(place: _Place) -> str:
    names: list[str] = []
    while place is not None:
        place, name = place
        names.append(f"/{name}")
    return "".join(reversed(names))


def _require_reference(value: object, place: _Place) -> None:
    if isinstance(value, dict) and not is_reference(value):
        raise Invalid(
            f"{_pointer(place)}/blob_ref names no blob: blob_id must be the id of an uploaded blob", "blob_not_stored"
        )


def _reference(value: dict[str, Any], pointer: str, holder: Mapping[str, Any], root: Any) -> BlobRef:
    names = (_filename(place) for place in (value, holder, root) if isinstance(place, dict))
    return BlobRef(pointer, value["blob_id"], _media_type_of(value), next(filter(None, names), None))


def _media_type_of(value: dict[str, Any]) -> str:
    declared = value.get("mime_type")
    found = _MEDIA_TYPE.match(declared) if isinstance(declared, str) else None
    return DEFAULT_MEDIA_TYPE if found is None else found[1].lower()


def _filename(value: Mapping[str, Any]) -> str | None:
    for field in _FILENAME_FIELDS:
        name = value.get(field)
        if isinstance(name, str) and name:
            return name[:MAX_FILENAME]
    return None


def _containers(container: Any) -> Iterator[tuple[str, Any]]:
    """Objects and arrays directly inside, last first (a stack turns them round), with escaped names."""
    if isinstance(container, dict):
        for name, child in reversed(container.items()):
            if isinstance(child, dict | list):
                yield name.replace("~", "~0").replace("/", "~1"), child
    elif isinstance(container, list):
        for index in range(len(container) - 1, -1, -1):
            if isinstance(container[index], dict | list):
                yield str(index), container[index]


def _copied(data: object) -> tuple[Any, list[dict[str, Any]]]:
    """A copy of all objects and arrays, and the references among them."""
    if not isinstance(data, dict | list):
        return data, []
    root = data.copy()
    stack: list[Any] = [root]
    references = []
    while stack:
        container = stack.pop()
        if isinstance(container, dict) and is_reference(container):
            references.append(container)
        places = container.items() if isinstance(container, dict) else enumerate(container)
        for place, child in places:
            if isinstance(child, dict | list):
                container[place] = child.copy()
                stack.append(container[place])
    return root, references
