"""How claims name the places that records will fill: the blob layer's opaque slots, scopes and holders.

A holder is a connector's key, a scope the id of one of its instances, a slot the place in a record of a stream.
"""

import msgspec

WHOLE_RECORD = "@record"
"""The place when an upload names no JSON Pointer: anywhere in the record."""


def slot(instance: str, stream: str, key: str, place: str = WHOLE_RECORD) -> str:
    """The slot of a place in a record; slots of one stream, and of one record, share a beginning."""
    return msgspec.json.encode([instance, stream, key, place]).decode()


def beginning(instance: str, stream: str | None = None, key: str | None = None) -> str:
    """How the slots of an instance, of one of its streams, or of one of its records begin, and no others."""
    named = [name for name in (instance, stream, key) if name is not None]
    return msgspec.json.encode(named).decode().removesuffix("]") + ","


def parse(text: str) -> tuple[str, str, str, str]:
    """(instance, stream, key, place) of a slot."""
    return msgspec.json.decode(text, type=tuple[str, str, str, str])
