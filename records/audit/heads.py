"""Heads: how far an owner's spine had come, as signed documents that others keep embed it.

Every such document (a checkpoint, an erasure's receipt, an export's) has these members at its top:

    store_id     which store's spine it is
    owner        whose: `Keyring.owner_digest`, for a kept document must not name who was erased
    spine_head   {"seq", "hash", "at"} of the newest event, `hash` in 64 hexadecimal digits; null before the first

so that whoever keeps one of any kind can hold the spine against it: `records.audit.checkpoints`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from records.central import SpineEvent
from records.signing import NotGenuine, SignedDocument


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest event of a spine at some moment."""

    seq: int
    hash: str
    at: str


class Embedded(msgspec.Struct, frozen=True):
    """What a signed document says of a spine."""

    store_id: str
    owner: str
    spine_head: Head | None


def members(store_id: str, owner: str, head: SpineEvent | None) -> dict[str, object]:
    """The members that embed a head; `owner` is a digest (`Keyring.owner_digest`)."""
    newest = None if head is None else Head(head.seq, head.hash.hex(), head.at)
    return msgspec.to_builtins(Embedded(store_id, owner, newest))  # type: ignore[no-any-return]


def embedded(document: SignedDocument) -> Embedded:
    """What the document says of a spine. Raises `NotGenuine` when it says nothing of one."""
    content: Mapping[str, Any] = document.content
    try:
        found = msgspec.convert(dict(content), Embedded)
        if found.spine_head is not None and len(bytes.fromhex(found.spine_head.hash)) != 32:
            raise ValueError("a hash has 32 bytes")
    except ValueError as error:  # msgspec's own is one
        raise NotGenuine("it says nothing of the head of a spine") from error
    return found
