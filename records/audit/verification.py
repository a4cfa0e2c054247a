"""Verifies an owner's spine as it is stored: to its end, against the checkpoints beside it and heads kept elsewhere."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from records.audit.spine import GENESIS, NOTHING_KNOWN, Fault, Verifier
from records.central import Central, Checkpoint, Owner, SpineEvent
from records.signing import NotGenuine

PAGE = 500

Vouched = Callable[[Owner, Checkpoint], Awaitable[bytes]]
"""The hash that a checkpoint vouches for. Raises `NotGenuine`."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What is there of a spine, and what is wrong with it."""

    events: int
    head: SpineEvent | None
    faults: Sequence[Fault]
    void: Sequence[Fault]
    """Stored checkpoints that prove nothing: not signed here, or changed afterwards."""


async def verify_spine(
    central: Central,
    owner: Owner,
    vouched: Vouched,
    known: Mapping[int, bytes] = NOTHING_KNOWN,
    *,
    since: int = 0,
) -> Verification:
    """Check an owner's spine to its end, a lost end included, in constant memory.

    `known`: hashes by seq that were kept elsewhere. `since`: events before this one are not looked at; its own hash
    should be known then, for what came before it is taken on trust.
    """
    # Counted first: what others chain meanwhile is not missing.
    chained = await central.chained(owner.id)
    last = max(since - 1, 0)
    page = await central.spine(owner.id, last, PAGE)
    expected = dict(known)
    verifier = Verifier(last, page[0].previous if page and last else GENESIS, expected)
    events, head, faults, void = 0, None, list[Fault](), list[Fault]()
    while True:
        # One for an event at most, so these are all of the page's; beyond the last page, those of a lost end.
        for checkpoint in await central.checkpoints(owner.id, last, PAGE):
            if not page or checkpoint.seq <= page[-1].seq:
                try:
                    expected.setdefault(checkpoint.seq, await vouched(owner, checkpoint))
                except NotGenuine as error:
                    void.append(Fault(checkpoint.seq, f"The checkpoint of event {checkpoint.seq} is void: {error}."))
        if not page:
            break
        for event in page:
            faults += verifier.feed(event)
            if event.seq not in known:
                expected.pop(event.seq, None)
        events, head, last = events + len(page), page[-1], page[-1].seq
        page = await central.spine(owner.id, last, PAGE)
    faults += verifier.finish()
    if chained > last:
        message = f"The chain ends at event {last}, but {chained} events were chained: its end was cut off."
        faults.append(Fault(last, message))
    return Verification(events, head, faults, void)
