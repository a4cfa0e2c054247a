"""The manifest of the oracle's connectors, and data that fit it, or nearly do."""

import json
from random import Random
from typing import Any

_ANY: dict[str, Any] = {}


def _text(**more: Any) -> dict[str, Any]:
    return {"type": ["string", "null"], **more}


def manifest(connector_id: str, version: int) -> dict[str, Any]:
    """The manifest; later versions declare one field more."""
    more = {f"later{each}": _text() for each in range(1, version)}
    return {
        "connector_id": connector_id,
        "version": f"1.{version}.0",
        "display_name": f"Oracle {version}",
        "streams": [
            {
                "name": "notes",
                "semantics": "mutable_state",
                "primary_key": ["id"],
                "cursor_field": "at",
                "consent_time_field": "at",
                "schema": {
                    "type": "object",
                    "properties": {
                        **{"id": _text(), "at": _ANY, "text": _text(), "n": _ANY, "price": _text(), "flag": _ANY},
                        **{"shelf": _text(), "blob_ref": _ANY, "more": _ANY, **more},
                    },
                    "required": ["id"],
                },
                "views": [{"id": "short", "fields": ["id", "text"]}],
                "query": {
                    "range_filters": {"at": ["gte", "gt", "lte", "lt"], "n": ["gte", "lt"], "price": ["gt", "lte"]},
                    "expand": [{"name": "parts", "default_limit": 2, "max_limit": 3}, {"name": "on"}],
                },
                "relationships": [
                    {"name": "parts", "stream": "parts", "foreign_key": "note", "cardinality": "has_many"},
                    {"name": "on", "stream": "shelves", "foreign_key": "shelf", "cardinality": "has_one"},
                ],
            },
            _simple("parts", "append_only", "id", "note", "text", "blob_ref"),
            _simple("shelves", "mutable_state", "id", "room", "blob_ref"),
            {**_simple("pairs", "mutable_state", "left", "right", "text"), "primary_key": ["left", "right"]},
            {**_simple("plain", "append", "id", "n", "text", "blob_ref"), "cursor_field": "n"},
        ],
    }


def _simple(name: str, semantics: str, *fields: str) -> dict[str, Any]:
    return {
        "name": name,
        "semantics": semantics,
        "primary_key": [fields[0]],
        "schema": {"type": "object", "properties": dict.fromkeys(fields, _ANY)},
    }


TEXTS = (
    "plain",
    "",
    "zwölf ≥ 12",
    "日本語",
    "nul\0inside",
    "\u202eright",
    "😀",
    'a\\b"c',
    "\ud800",
    "é",
    "e\u0301",
    "100%",
)
NUMBERS = (0, -1, 1, 2, 10, 2**53 + 1, 2.0**53, 1.5, -0.0, 1e300, True, "7", None, [1], {"a": 1})


def moment(random: Random) -> str:
    """A moment of 2024, some written in another zone, a few of them shared by many records."""
    day, hour = random.randrange(1, 28), random.randrange(24)
    zone = random.choice(("Z", "Z", "Z", "+02:00", ".5Z"))
    return f"2024-{random.randrange(1, 4):02}-{day:02}T{hour:02}:00:00{zone}"


def emitted(random: Random) -> str:
    """When a record was fetched."""
    return f"2025-01-{random.randrange(1, 28):02}T{random.randrange(24):02}:{random.randrange(60):02}:00Z"


def key(random: Random, stream: str) -> Any:
    """A key as a line spells it; there are few, so that lines meet."""
    number = random.randrange(60)
    if stream == "pairs":
        return [random.choice(("l", "ü", "/")) + str(number % 8), str(number % 11)]
    if number < 6:
        return ("a/b", "ä ö", "nul\0key", "50%", "x" * 200, 'quo"te')[number]
    return f"{stream[0]}{number:03}"


def canonical(spelled: Any) -> str:
    """The key as paths and grants have it."""
    return spelled if isinstance(spelled, str) else json.dumps(spelled, ensure_ascii=False, separators=(",", ":"))


def data(random: Random, stream: str, spelled: Any) -> dict[str, Any]:
    """Data for a record."""
    if stream == "pairs":
        return {"left": spelled[0], "right": spelled[1], "text": random.choice(TEXTS)}
    made: dict[str, Any] = {"id": spelled}
    if stream == "notes":
        if random.random() < 0.8:
            made["at"] = moment(random) if random.random() < 0.9 else random.choice(NUMBERS)
        made |= {
            "text": random.choice(TEXTS),
            "n": random.choice(NUMBERS),
            "price": random.choice(("9.50", "10.00", None)),
        }
        made |= {"shelf": f"s{random.randrange(60):03}", "flag": random.random() < 0.5}
        if random.random() < 0.2:
            made["more"] = {"deep": [{"list": [1, {"x": random.choice(TEXTS)}]}]}
    elif stream == "parts":
        made |= {"note": f"n{random.randrange(60):03}", "text": random.choice(TEXTS)}
    elif stream == "shelves":
        made["room"] = random.choice(TEXTS)
    else:
        made |= {"n": random.choice(NUMBERS), "text": random.choice(TEXTS)}
    return made
