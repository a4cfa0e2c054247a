"""The canonical key of a record, and whether it agrees with the record's data.

A key is a string, or for a compound primary key an array of strings in the order of `primary_key`. Its canonical form
is the string, or the minified JSON array. Rules:

* A part that is a number, true, false or null stands for its JSON text: `7` and `"7"` are the same part. A number's
  text is the shortest that reads back as the same number, so `1e2` and `100.0` are one part, `100` is another.
* For a primary key of one field the array of one part is the same as the part.
* For a compound primary key a string must be the canonical array already.
* A canonical key has 1 to `MAX_BYTES` bytes of UTF-8.
"""

from collections.abc import Mapping, Sequence

import msgspec

from records.errors import Invalid

MAX_BYTES = 1024
"""As long as an S3 key: percent-encoded in a URL and sealed in a cursor it still fits in a request line."""


def canonical(key: object, primary_key: Sequence[str]) -> str:
    """The canonical form of a key as it was decoded from JSON. Raises `Invalid` (`invalid_record_identity`)."""
    if isinstance(key, str):
        return _bounded(key if len(primary_key) == 1 else _canonical_array(key, len(primary_key)))
    if not isinstance(key, list):
        raise _invalid("the key must be a string, or an array of strings for a compound primary key")
    if len(key) != len(primary_key):
        raise _invalid(f"the key has {len(key)} parts, the primary key {len(primary_key)}")
    return _joined([_part(part, "a part of the key") for part in key])


def of_data(data: Mapping[str, object], primary_key: Sequence[str]) -> str:
    """The canonical key that the data's own fields spell. Raises `Invalid` when one is missing or no scalar."""
    for field in primary_key:
        if field not in data:
            raise _invalid(f"the data has no {field!r}, a field of the primary key")
    return _joined([_part(data[field], f"the field {field!r}") for field in primary_key])


def require_agreement(key: str, data: Mapping[str, object], primary_key: Sequence[str]) -> None:
    """Raise `Invalid` (`invalid_record_identity`) unless the data spells this canonical key."""
    if of_data(data, primary_key) != key:
        raise _invalid(f"the key does not agree with the data's {', '.join(map(repr, primary_key))}")


def require_no_contradiction(key: str, data: Mapping[str, object], primary_key: Sequence[str]) -> None:
    """Raise `Invalid` (`invalid_record_identity`) if a field that the data does have differs from the canonical key.

    For deletions, whose data need not repeat the primary key.
    """
    parts = [key] if len(primary_key) == 1 else msgspec.json.decode(key, type=list[str])
    for field, part in zip(primary_key, parts, strict=True):
        if field in data and _part(data[field], f"the field {field!r}") != part:
            raise _invalid(f"the key does not agree with the data's {field!r}")


def part_text(value: object) -> str | None:
    """What a field's value reads as a part of a key; None for null, and for what can be none."""
    return None if value is None or isinstance(value, dict | list) else _part(value, "the field")


def _part(value: object, what: str) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    raise _invalid(f"{what} must be a string, a number, true, false or null")


def _joined(parts: list[str]) -> str:
    return _bounded(parts[0] if len(parts) == 1 else msgspec.json.encode(parts).decode())


def _canonical_array(key: str, length: int) -> str:
    try:
        parts = msgspec.json.decode(key, type=list[str])
    except (ValueError, RecursionError):
        parts = []
    if len(parts) != length or msgspec.json.encode(parts).decode() != key:
        raise _invalid(f"the primary key is compound: the key must be an array of {length} strings")
    return key


def _bounded(key: str) -> str:
    if not key:
        raise _invalid("the key is empty")
    if len(key) > MAX_BYTES or len(key.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _invalid(f"the key is longer than {MAX_BYTES} bytes of UTF-8")
    return key


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="invalid_record_identity", param="key")
