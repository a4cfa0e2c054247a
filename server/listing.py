"""What a request asks of a list: the query of `GET …/records` and of one record, read strictly. No I/O."""

import re
from collections.abc import Sequence

from records.errors import Invalid
from records.model import Order
from records.reading.query import Filter, Listing, Operator, Shape
from server import params
from server.params import Pair

DEFAULT_LIMIT = 25
MAX_LIMIT = 100

SHAPE = ("fields", "view")
LIST = ("limit", "cursor", "order", "changes_since", *SHAPE)

_FILTER = re.compile(r"filter\[(?P<field>.*?)\](?:\[(?P<operator>[^\[\]]*)\])?\Z", re.DOTALL)
_EXPAND_LIMIT = re.compile(r"expand_limit\[(?P<relation>.*)\]\Z", re.DOTALL)
_RANGES = frozenset(Operator) - {Operator.EQ}


def split(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """The parameters whose names have brackets, and the others."""
    bracketed = [pair for pair in pairs if "[" in pair[0]]
    return bracketed, [pair for pair in pairs if "[" not in pair[0]]


def listing(bracketed: Sequence[Pair], values: dict[str, str]) -> tuple[Listing, int]:
    """One request for a page, and the limit as it was asked for. Raises `Invalid`."""
    limit = params.integer(values, "limit", DEFAULT_LIMIT, minimum=1)
    filters, rest = _filters(bracketed)
    wanted = Listing(
        limit=min(limit, MAX_LIMIT),
        order=_order(values.get("order")),
        cursor=values.get("cursor"),
        changes_since=values.get("changes_since"),
        filters=filters,
        shape=shape(rest, values),
    )
    return wanted, limit


def shape(bracketed: Sequence[Pair], values: dict[str, str]) -> Shape:
    """How the records of an answer are to look. Raises `Invalid`."""
    if "view" in values and "fields" in values:
        raise Invalid("view and fields exclude each other", param="view")
    return Shape(_fields(values.get("fields")), values.get("view"), _expand(bracketed))


def _fields(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(text.split(","))
    if not all(names):
        raise Invalid("fields are names with commas between them", param="fields")
    return names


def _filters(bracketed: Sequence[Pair]) -> tuple[list[Filter], list[Pair]]:
    """Filters, and what is none."""
    filters: dict[tuple[str, Operator], Filter] = {}
    rest = []
    for name, value in bracketed:
        found = _FILTER.match(name)
        if found is None:
            rest.append((name, value))
            continue
        if found["operator"] is not None and found["operator"] not in _RANGES:
            raise Invalid("a range is gte, gt, lte or lt", param=params.shown(name))
        asked = Filter(found["field"], Operator(found["operator"] or Operator.EQ), value)
        if (asked.field, asked.operator) in filters:
            raise Invalid("the filter is given more than once", param=params.shown(name))
        filters[asked.field, asked.operator] = asked
    return list(filters.values()), rest


def _expand(bracketed: Sequence[Pair]) -> dict[str, int | None] | None:
    relations: dict[str, int | None] = {}
    for name, value in bracketed:
        if name == "expand[]":
            if value in relations:
                raise _no_expansion("a relation is named more than once")
            relations[value] = None
        elif _EXPAND_LIMIT.match(name) is None:
            raise params.unsupported(name)
    for name, value in bracketed:
        limit = _EXPAND_LIMIT.match(name)
        if limit is not None:
            if relations.get(limit["relation"], 0) is not None:
                raise _no_expansion("an expand_limit goes with one relation that is expanded, once")
            relations[limit["relation"]] = _count(value)
    return relations or None


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise _no_expansion("expand_limit must be a whole number")
    return int(value)


def _order(text: str | None) -> Order | None:
    if text is not None and text not in tuple(Order):
        raise Invalid("order must be asc or desc", param="order")
    return None if text is None else Order(text)


def _no_expansion(message: str) -> Invalid:
    return Invalid(message, code="invalid_expand", param="expand")
