"""The audit log in a bag: not loaded, for it tells of another server; but what is in a bag is right."""

from collections.abc import Sequence

from records.audit.heads import embedded
from records.audit.spine import Fault, Verifier
from records.bag import layout
from records.bag.lines import SpineLine, read
from records.bag.survey import MAX_LINE, Survey
from records.errors import BadBag
from records.signing import NotGenuine, SignedDocument

MAX_EVENT = 16 << 20
"""Bytes of a line."""


def check_spine(survey: Survey) -> None:
    """Raise `BadBag` unless the log is sound from its first event to the one that the signed checkpoint tells of."""
    try:
        head = embedded(SignedDocument.verify(survey.whole(layout.CHECKPOINT, MAX_LINE))).spine_head
    except NotGenuine as error:
        raise BadBag(f"{layout.CHECKPOINT}: {error}") from None
    known = {} if head is None else {head.seq: bytes.fromhex(head.hash)}
    verifier, last = Verifier(known=known), 0
    for raw in survey.lines(layout.SPINE, MAX_EVENT):
        event = read(raw, SpineLine).event()
        _require_sound(verifier.feed(event))
        last = event.seq
    _require_sound(verifier.finish())
    if last not in known:
        raise BadBag(f"{layout.SPINE} does not end where {layout.CHECKPOINT} says")


def _require_sound(faults: Sequence[Fault]) -> None:
    if faults:
        raise BadBag(f"{layout.SPINE}: {faults[0].message}")
