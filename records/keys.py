"""The canonical key of a record, and whether it agrees with the record's data.

A key is a string, or for a compound primary key an array of strings in the order of `primary_key`. Its canonical form
is the string, or the minified JSON array. Rules:

* A part that is a number, true, false or null stands for its JSON text: `7` and `"7"` are the same part.
* For a primary key of one field the array of one part is the same as the part.
* For a compound primary key a string must be the canonical array already.
* A canonical key has 1 to `MAX_BYTES` bytes of UTF-8.
"""

from collections.abc import Mapping, Sequence

MAX_BYTES = 1024
"""As long as an S3 key: percent-encoded in a URL and sealed in a cursor it still fits in a request line."""


def canonical(key: object, primary_key: Sequence[str]) -> str:
    """The canonical form of a key as it was decoded from JSON. Raises `Invalid` (`invalid_record_identity`)."""
    raise NotImplementedError


def of_data(data: Mapping[str, object], primary_key: Sequence[str]) -> str:
    """The canonical key that the data's own fields spell. Raises `Invalid` when one is missing or no scalar."""
    raise NotImplementedError


def require_agreement(key: str, data: Mapping[str, object], primary_key: Sequence[str]) -> None:
    """Raise `Invalid` (`invalid_record_identity`) unless the data spells this canonical key."""
    raise NotImplementedError
