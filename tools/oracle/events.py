"""The audit logs of two servers, from where they were read last to their end.

Events of different sources come in the order in which their outboxes are fetched, so those of one kind and connector
are compared, in their order: all that was answered is there, nothing else, and each chain is sound in itself.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from records.audit.spine import GENESIS, Verifier
from records.central import SpineEvent
from tools.oracle import verdict
from tools.oracle.client import Server
from tools.oracle.matching import Matching, Unlike
from tools.oracle.request import Answer, Request

TRIES, PAUSE = 40, 0.05
"""How often, and after how many seconds, it is asked again: the end of a download is written after its last byte."""

_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class _Event:
    seq: int
    at: str
    body: Mapping[str, Any]
    previous: str
    hash: str

    @property
    def group(self) -> tuple[str, str]:
        return self.body["kind"], str(self.body.get("connector", ""))


async def require_alike(request: Request, servers: Sequence[Server]) -> list[Answer]:
    """Read on from all servers and compare each with the first. The first page of each; raises `Unlike`."""
    for last in range(TRIES, 0, -1):
        read = [await _read(request, server) for server in servers]
        if len({len(events) for _, events in read}) == 1:
            break
        if last == 1:
            raise Unlike(f"{request.how}: {[len(events) for _, events in read]} events more")
        await asyncio.sleep(PAUSE)
    (_, ours), *others = read
    for server, (_, theirs) in zip(servers[1:], others, strict=True):
        _compare(request, ours, theirs, server.matching)
    for server, (_, events) in zip(servers, read, strict=True):
        if events:
            server.heads[request.how] = events[-1].seq
    return [answer for answer, _ in read]


async def _read(request: Request, server: Server) -> tuple[Answer, list[_Event]]:
    """The first page, and the events of all pages."""
    after, events, first = server.heads[request.how], list[_Event](), None
    while True:
        query = (("after", str(after)), ("limit", str(_LIMIT)))
        answer = await server.send(
            Request("GET", request.path, request.route, request.caller, request.token, query, how=request.how)
        )
        first = first or answer
        if answer.status != 200:
            raise Unlike(f"{request.how}: {answer.status} {answer.body[:500]!r}")
        said = answer.json
        events += [
            _Event(each["seq"], each["at"], each["body"], each["previous"], each["hash"]) for each in said["data"]
        ]
        if not said["has_more"]:
            if request.how == "spine":
                _require_chain(server, events)
            return first, events
        after = events[-1].seq


def _require_chain(server: Server, events: Sequence[_Event]) -> None:
    if not events:
        return
    first = events[0]
    verifier = Verifier(first.seq - 1, bytes.fromhex(first.previous) if first.seq > 1 else GENESIS)
    for each in events:
        body = json.dumps(each.body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        event = SpineEvent(each.seq, each.at, body, bytes.fromhex(each.previous), bytes.fromhex(each.hash))
        for fault in verifier.feed(event):
            raise Unlike(f"{server.base_url}: {fault.message}")


def _compare(request: Request, ours: Sequence[_Event], theirs: Sequence[_Event], matching: Matching) -> None:
    mine, others = _grouped(ours), _grouped(theirs)
    if {group: len(each) for group, each in mine.items()} != {group: len(each) for group, each in others.items()}:
        raise Unlike(f"{request.how}: {_sizes(mine)} and {_sizes(others)}")
    for group, events in mine.items():
        for event, other in zip(events, others[group], strict=True):
            mine_text, other_text = (json.dumps(each.body).encode() for each in (event, other))
            verdict.texts(mine_text, other_text, matching, below="data.*.body.")
            matching.require_moments(event.at, other.at, f"{request.how}: {group}")
    if request.how == "spine":  # the numbers are those of all events, in whatever order
        for event, other in zip(ours, theirs, strict=True):
            if event.seq != other.seq:
                raise Unlike(f"{request.how}: event {event.seq} and {other.seq}")
            matching.pair(event.hash.encode(), other.hash.encode(), "data.*.hash")


def _grouped(events: Sequence[_Event]) -> dict[tuple[str, str], list[_Event]]:
    groups: dict[tuple[str, str], list[_Event]] = {}
    for event in events:
        groups.setdefault(event.group, []).append(event)
    return groups


def _sizes(groups: Mapping[tuple[str, str], Sequence[_Event]]) -> dict[tuple[str, str], int]:
    return {group: len(events) for group, events in sorted(groups.items())}
