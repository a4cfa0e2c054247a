"""Events of the audit log as people read them."""

from collections.abc import Sequence
from dataclasses import dataclass

from records import jsontext
from records.central import SpineEvent
from server.console import texts

LONG = 2000
"""Characters of a fact that are shown."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event: its number, time and kind, and its facts, none of which is content."""

    seq: int
    at: str
    kind: str
    facts: Sequence[texts.Value]
    hash: str


def told(event: SpineEvent) -> Told:
    """The event; whatever its body is: who looks for a forgery must see it."""
    try:
        facts = jsontext.decode(event.body)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        facts = {"kind": "unreadable", "body": event.body.decode(errors="replace")}
    kind = str(facts.pop("kind", "unnamed"))
    values = [texts.value(name, value, LONG) for name, value in facts.items()]
    return Told(event.seq, event.at, kind, values, event.hash.hex())
