"""What a list request asks for, and what its filters mean. No I/O.

A filter's value is text. It is compared with a record's field as that field's value is: a number as a number, true and
false as such; a text that names a moment (RFC 3339 date-time or date) as a moment where the value does too, one that is
a decimal number as that where the value is too, every other as text. Null, absent and nested values satisfy no filter.
"""

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from records import times
from records.consent.scope import StreamGrant
from records.errors import Forbidden, Invalid
from records.manifest import StreamDeclaration
from records.model import Order

BEGINNING = "beginning"
"""The change token of a client that has nothing yet."""

Matches = Callable[[Mapping[str, object]], bool]


class Operator(StrEnum):
    """How a filter compares."""

    EQ = "eq"
    GTE = "gte"
    GT = "gt"
    LTE = "lte"
    LT = "lt"


@dataclass(frozen=True, slots=True)
class Filter:
    """`filter[field]=text`, or with an operator `filter[field][gte]=text`."""

    field: str
    operator: Operator
    text: str

    @property
    def param(self) -> str:
        """The parameter as it was spelled."""
        suffix = "" if self.operator is Operator.EQ else f"[{self.operator}]"
        return f"filter[{self.field}]{suffix}"


@dataclass(frozen=True, slots=True)
class Shape:
    """What every record of an answer is to look like: `expand` maps relations to their limits (None: as declared)."""

    fields: tuple[str, ...] | None = None
    view: str | None = None
    expand: Mapping[str, int | None] | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One request for a page. `order` None is the default, descending.

    A search by filters ends after looking at so many `pieces`, of some thousand records each (None: at the last).
    """

    limit: int
    order: Order | None = None
    cursor: str | None = None
    changes_since: str | None = None
    filters: Sequence[Filter] = ()
    shape: Shape = Shape()
    pieces: int | None = None


def matcher(filters: Sequence[Filter], declarations: Collection[StreamDeclaration]) -> Matches | None:
    """Whether a record's data satisfies all of the filters; None where there are none.

    Raises `Invalid`: a field that none of the declarations has, that is no scalar, or has no such range declared.
    """
    for each in filters:
        declaring = [one for one in declarations if each.field in one.fields]
        if not declaring:
            raise Invalid("the stream has no such field", code="unknown_field", param=each.param)
        for one in declaring:
            _require_filterable(each, one)
    tests = [(each.field, _test(each)) for each in filters]
    if not tests:
        return None
    return lambda data: all(test(data.get(field)) for field, test in tests)


def granted_fields(fields: Sequence[str], bounds: StreamGrant, declared: StreamDeclaration | None) -> frozenset[str]:
    """What a client that asks for these fields gets: them, and the required ones among those that were granted.

    Raises `Invalid` for a field that is unknown, `Forbidden` for one that is known and was not granted.
    """
    for name in fields:
        if name in bounds.fields:
            continue
        if declared is None or name not in declared.fields:
            raise Invalid(f"the stream has no field {name!r}", code="unknown_field", param="fields")
        raise Forbidden(f"the grant does not name the field {name!r}", "field_not_granted", param="fields")
    required = () if declared is None else declared.required
    return bounds.fields & {*fields, *required}


def declared_fields(shape: Shape, declarations: Collection[StreamDeclaration]) -> list[frozenset[str]] | None:
    """What an owner asks to see of each declaration's records, required fields included; None for all.

    A field must be known to one of the declarations, a view to every one. Raises `Invalid`.
    """
    if shape.view is not None:
        if any(shape.view not in each.views for each in declarations):
            raise Invalid("the stream has no such view", param="view")
        return [frozenset({*each.views[shape.view], *each.required}) for each in declarations]
    if shape.fields is None:
        return None
    for name in shape.fields:
        if not any(name in each.fields for each in declarations):
            raise Invalid(f"the stream has no field {name!r}", code="unknown_field", param="fields")
    return [frozenset({*shape.fields, *each.required}) for each in declarations]


def filterable(declaration: StreamDeclaration) -> list[tuple[str, Operator]]:
    """What an owner may filter by, in the order of the schema: each field of a single value, with its operators."""
    ranges = declaration.query.get("range_filters") or {}
    found = []
    for field in declaration.fields:
        types = _types(declaration, field)
        if types and types <= {"object", "array"}:
            continue
        found += [(field, each) for each in Operator if each is Operator.EQ or each in ranges.get(field, ())]
    return found


def _require_filterable(asked: Filter, declaration: StreamDeclaration) -> None:
    types = _types(declaration, asked.field)
    if types and types <= {"object", "array"}:
        raise Invalid("filters are for fields with a single value", param=asked.param)
    if asked.operator is Operator.EQ:
        return
    declared = declaration.query.get("range_filters") or {}
    if asked.operator not in declared.get(asked.field, ()):
        raise Invalid("the stream declares no such range filter; see its query.range_filters", param=asked.param)
    if types and types <= {"number", "integer", "null"} and _number(asked.text) is None:
        raise Invalid("the field is a number, and the filter's value is none", param=asked.param)


def _types(declaration: StreamDeclaration, field: str) -> set[str]:
    """The types that the schema gives the field itself; nothing where it says so in another way."""
    properties = declaration.schema.get("properties")
    schema = properties.get(field) if isinstance(properties, Mapping) else None
    said = schema.get("type") if isinstance(schema, Mapping) else None
    return {said} if isinstance(said, str) else set(said or ())


def _test(asked: Filter) -> Callable[[object], bool]:
    compare = _COMPARISONS[asked.operator]
    text, number, moment = asked.text, _number(asked.text), times.moment(asked.text)

    def test(value: object) -> bool:
        if isinstance(value, bool):
            return asked.operator is Operator.EQ and text == ("true" if value else "false")
        if isinstance(value, int | float):
            return number is not None and compare(_exact(value), number)
        if not isinstance(value, str):
            return False
        if asked.operator is Operator.EQ:
            return value == text
        return compare(*_comparable(value, text, number, moment))

    return test


def _comparable(value: str, text: str, number: Decimal | None, moment: str | None) -> tuple[Any, Any]:
    if moment is not None and (of_value := times.moment(value)) is not None:
        return of_value, moment
    if number is not None and (amount := _number(value)) is not None:
        return amount, number
    return value, text


def _exact(value: int | float) -> Decimal:
    return Decimal(value) if isinstance(value, int) else Decimal(repr(value))


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and text.isascii() and text == text.strip() and "_" not in text else None


_COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQ: operator.eq,
    Operator.GTE: operator.ge,
    Operator.GT: operator.gt,
    Operator.LTE: operator.le,
    Operator.LT: operator.lt,
}
