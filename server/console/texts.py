"""Records as text that people read: values cut to a length, nested ones as JSON. No I/O."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from records import jsontext
from records.manifest import StreamDeclaration
from records.reading.query import filterable

SHORT = 160
"""Characters of a value in a table."""

LONG = 20_000
"""Characters of a value on its record's page."""

MAX_COLUMNS = 5
MAX_WHOLE = 40
_WHOLE = re.compile(r"[0-9T:.,+\-]+Z?")
_PREFERRED = ("name", "title", "subject", "text", "filename", "summary", "content", "body")


@dataclass(frozen=True, slots=True)
class Value:
    """A field as it is shown; `is_nested` for JSON, `is_cut` where there is more."""

    name: str
    text: str
    is_nested: bool = False
    is_cut: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is one thing that a line should not be broken in: a moment or a number."""
        return len(self.text) <= MAX_WHOLE and _WHOLE.fullmatch(self.text) is not None


def value(name: str, of: object, limit: int) -> Value:
    """A field's value, up to `limit` characters.

    >>> value("a", "text", 3), value("b", None, 9).text, value("c", [1, {"d": True}], 99).text
    (Value(name='a', text='tex', is_nested=False, is_cut=True), '–', '[1,{"d":true}]')
    """
    match of:
        case None:
            text = "–"
        case bool():
            text = "yes" if of else "no"
        case str():
            text = of
        case dict() | list():
            encoded = jsontext.encode(of)
            if limit >= LONG and len(encoded) <= LONG:
                encoded = msgspec.json.format(encoded, indent=2)
            text = encoded[: limit * 4 + 4].decode(errors="ignore")
            return Value(name, text[:limit], True, len(encoded) > len(text[:limit].encode()))
        case _:
            text = jsontext.encode(of).decode()
    return Value(name, text[:limit], False, len(text) > limit)


def columns(declaration: StreamDeclaration) -> list[str]:
    """The fields that tell the records of a stream apart at a glance: those that order it, names and texts, others."""
    ordering = [declaration.cursor_field, declaration.consent_time_field]
    single = dict.fromkeys(field for field, _ in filterable(declaration))
    others = [field for field in single if field not in declaration.primary_key]
    wanted = dict.fromkeys([*ordering, *_PREFERRED, *others])
    return [field for field in wanted if field in single][:MAX_COLUMNS]


def row(data: Mapping[str, Any], fields: Iterable[str]) -> list[Value]:
    """The cells of a record in a table."""
    return [value(field, data.get(field), SHORT) for field in fields]
