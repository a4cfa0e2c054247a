"""Where in a JSON answer a value stands that the server made by itself, and what it looks like there.

Nothing else may differ between two servers. A path is as `tools.oracle.jsontext` tells it. Nothing below a record's
`data` is in any of these places: what its owner wrote is the same everywhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_HEX = r"[0-9a-f]"
_FORMS: Mapping[str, str] = {
    "instance": rf"cin_{_HEX}{{24}}",
    "grant": rf"grant_{_HEX}{{24}}",
    "token": r"bst_[A-Za-z0-9_\-]{43}",
    "erasure": rf"era_{_HEX}{{24}}",
    "disclosure": rf"dis_{_HEX}{{24}}",
    "request": rf"req_{_HEX}{{16}}",
    "collection": r"[A-Za-z0-9_\-]{12,64}",
    "bag": rf"bag_b3_{_HEX}{{64}}",
    "store": r"[A-Za-z0-9_\-]{12,64}",
    "digest": rf"{_HEX}{{64}}",
    "keyed": r"[A-Za-z0-9_:\-]{12,80}",
    "signature": r"[A-Za-z0-9_\-]{86}",
    "key": r"[A-Za-z0-9_\-]{43}",
    "cursor": r"[A-Za-z0-9_\-]{60,40000}",
    "amount": r"\d{1,15}",
    "sought": r"clean|nothing_sought",
    "moment": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z",
}

_LISTED = r"(?:data\.\*\.)?"
_RELATED = rf"{_LISTED}(?:expanded\.[^.]+\.{_LISTED})?"
_RECEIPT = rf"{_LISTED}receipt\."
_GRANT = rf"{_LISTED}grant\."

_PLACES: Mapping[str, tuple[str, ...]] = {
    "instance": (
        rf"{_RELATED}(?:connector_instance_id|connection_id)",
        r"error\.available_connections\.\*\.connection_id",
        rf"{_LISTED}connection_ids\.\*",
        rf"{_LISTED}kept_with\.\*\.connector_instance_id",
        rf"{_RECEIPT}scope\.connector_instance_ids\.\*",
        rf"{_RECEIPT}kept\.with\.\*\.connector_instance_id",
        r"(?:links|claims|uploads)\.\*\.connector_instance_id",
        rf"{_GRANT}streams\.\*\.instance_ids\.\*",
        r"authorization_details\.\*\.streams\.\*\.instance_ids\.\*",
        r"data\.\*\.body\.(?:instance|instances\.\*|streams\.\*\.instance_ids\.\*)",
        r"data\.\*\.body\.scope\.connector_instance_ids\.\*",
        r"data\.\*\.body\.kept\.with\.\*\.connector_instance_id",
    ),
    "grant": (
        rf"{_LISTED}(?:grant_id|grant\.grant_id)",
        r"pdpp\.grant_id",
        r"data\.\*\.body\.grant",
    ),
    "token": (r"token",),
    "erasure": (
        rf"{_LISTED}(?:erasure_id|receipt\.erasure_id)",
        r"removals\.\*\.erasure_id",
        r"data\.\*\.body\.(?:erasure|erasure_id)",
    ),
    "disclosure": (r"data\.\*\.body\.disclosure",),
    "request": (r"error\.request_id",),
    "collection": (r"collection_id", r"removals\.\*\.collection_id", r"data\.\*\.body\.collection"),
    "bag": (r"data\.\*\.body\.bag",),
    "store": (rf"(?:{_RECEIPT})?store_id",),
    "digest": (
        r"data\.\*\.(?:previous|hash)",
        rf"(?:{_RECEIPT})?spine_head\.hash",
        r"data\.\*\.body\.receipt",
    ),
    # Digests with a key of the server's own: of a record's key, of the owner's name, of a generation.
    "keyed": (
        rf"(?:{_RECEIPT})?owner",
        rf"{_RECEIPT}scope\.record",
        r"data\.\*\.body\.(?:record|first|last|owner|streams\.\*\.resources\.\*|scope\.record|key|generation)",
    ),
    "signature": (rf"(?:{_RECEIPT})?signature\.value",),
    "key": (rf"(?:{_RECEIPT})?signature\.public_key", r"signing_public_key"),
    # Samples are chosen by a secret of one use; which of them others show too, and whether any is left to be sought,
    # follows from the choice.
    "sought": (rf"{_LISTED}(?:receipt\.)?residue\.result",),
    "amount": (rf"{_LISTED}(?:receipt\.)?residue\.(?:samples|shared)",),
    "cursor": (r"next_cursor", r"next_changes_since"),
    "moment": (
        rf"{_LISTED}(?:created_at|revoked_at|requested_at|completed_at|updated_at|orphaned_at|at)",
        rf"{_GRANT}issued_at",
        r"pdpp\.issued_at",
        r"(?:claims|uploads)\.\*\.expires_at",
        r"removals\.\*\.removed_at",
        rf"{_RECEIPT}(?:requested_at|completed_at)",
        rf"(?:{_RECEIPT})?spine_head\.at",
        # Of a tombstone that an erasure left; that of a deletion has what its line said, which `Matching` refuses.
        r"data\.\*\.(?:deleted_at|emitted_at)",
        r"data\.\*\.body\.(?:requested_at|completed_at|removed_at|issued_at)",
    ),
}

_COMPILED = [(kind, re.compile("|".join(f"(?:{each})" for each in paths))) for kind, paths in _PLACES.items()]
_LOOKS = {kind: re.compile(form.encode()) for kind, form in _FORMS.items()}


@dataclass(frozen=True, slots=True)
class Made:
    """A kind of value that servers make."""

    kind: str

    @property
    def corresponds(self) -> bool:
        """Whether one value stands for another; else both are only what may stand there."""
        return self.kind not in ("amount", "sought")

    def fits(self, value: bytes) -> bool:
        """Whether it looks like one."""
        return _LOOKS[self.kind].fullmatch(value) is not None


@lru_cache(maxsize=4096)
def made_at(path: str) -> tuple[Made, ...]:
    """What a server may put at this place by itself; nothing almost everywhere."""
    return tuple(Made(kind) for kind, place in _COMPILED if place.fullmatch(path))
