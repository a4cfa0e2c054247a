"""The run: request by request to every server, until one answers otherwise than the first."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from random import Random

from tools.oracle import events, verdict
from tools.oracle.client import Server
from tools.oracle.matching import Unlike
from tools.oracle.model import World
from tools.oracle.recipes import next_request
from tools.oracle.request import Answer, Request

PAUSE = 0.05
"""Seconds between two looks at an erasure that goes on."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server, the token of the owner that all is done for there, and those of other owners."""

    base_url: str
    token: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What was asked as which request, how the answers differ, and the answers."""

    number: int
    request: Request
    server: str
    message: str
    ours: Answer | None
    theirs: Answer | None


@dataclass(slots=True)
class Outcome:
    """How often each shape was, and the first difference."""

    shapes: Counter[str] = field(default_factory=Counter)
    difference: Difference | None = None


class _Differs(Exception):
    def __init__(self, server: str, message: str, ours: Answer | None, theirs: Answer | None) -> None:
        super().__init__(message)
        self.server, self.ours, self.theirs = server, ours, theirs


async def run(targets: Sequence[Target], seed: int, requests: int) -> Outcome:
    """Make this many requests from the seed. Raises `aiohttp.ClientError`, `OSError` where a server does not answer."""
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Server(target.base_url)) for target in targets]
        for server, target in zip(servers[1:], targets[1:], strict=True):
            for ours, theirs in zip(_tokens(targets[0]), _tokens(target), strict=True):
                server.matching.pair(ours.encode(), theirs.encode(), "token")
        # The same requests whenever the seed is the same: nothing is at stake that must not be foretold.
        world = World(Random(seed), seed, targets[0].token, list(targets[0].others))  # noqa: S311
        for number in range(requests):
            request = next_request(world)
            # Its id is the client's, so that answers with errors are the same; every tenth gets the server's own.
            if number % 10 and not any(name == "Request-Id" for name, _ in request.headers):
                request = replace(request, headers=(*request.headers, ("Request-Id", f"oracle-{seed}-{number}")))
            try:
                answer = await _asked(request, servers)
            except _Differs as differs:
                smaller = await _shrunk(request, servers)
                outcome.difference = Difference(
                    number, smaller, differs.server, str(differs), differs.ours, differs.theirs
                )
                return outcome
            request.learn(answer)
            outcome.shapes[request.shape(answer)] += 1
    return outcome


def _tokens(target: Target) -> tuple[str, ...]:
    return (target.token, *target.others)


async def _asked(request: Request, servers: Sequence[Server]) -> Answer:
    """The first server's answer, which is everybody's."""
    if request.how in ("spine", "disclosures"):
        try:
            return (await events.require_alike(request, servers))[0]
        except Unlike as unlike:
            raise _Differs(servers[-1].base_url, str(unlike), None, None) from None
    answers = await asyncio.gather(*(server.send(request) for server in servers))
    _compare(request, servers, answers)
    if request.how == "running" and answers[0].status == 202:
        ends = await asyncio.gather(*(_end(request, *pair) for pair in zip(servers, answers, strict=True)))
        _compare(replace(request, how="exact"), servers, ends)
    return answers[0]


def _compare(request: Request, servers: Sequence[Server], answers: Sequence[Answer]) -> None:
    for server, answer in zip(servers, answers, strict=True):
        if answer.status >= 500:  # also where all of them fail alike
            raise _Differs(server.base_url, f"it fails: {answer.status}", answers[0], answer)
    for server, answer in zip(servers[1:], answers[1:], strict=True):
        try:
            verdict.require_alike(request, answers[0], answer, server.matching)
        except Unlike as unlike:
            raise _Differs(server.base_url, str(unlike), answers[0], answer) from None


async def _end(request: Request, server: Server, begun: Answer) -> Answer:
    """How the erasure ended that this server began."""
    asked = Request("GET", begun.header("Location") or "", request.route, request.caller, request.token)
    while True:
        answer = await server.send(replace(asked, headers=request.headers[-1:]))
        if answer.status != 200 or answer.json["status"] != "running":
            return answer
        await asyncio.sleep(PAUSE)


async def _shrunk(request: Request, servers: Sequence[Server]) -> Request:
    """The request without the parameters and headers that do not matter: only of a read, which changes nothing."""
    if request.method != "GET" or request.how != "exact" or not await _differs(request, servers):
        return request
    for pair in request.query:
        smaller = replace(request, query=tuple(each for each in request.query if each != pair))
        request = smaller if await _differs(smaller, servers) else request
    for pair in request.headers:
        smaller = replace(request, headers=tuple(each for each in request.headers if each != pair))
        request = smaller if await _differs(smaller, servers) else request
    return request


async def _differs(request: Request, servers: Sequence[Server]) -> bool:
    try:
        await _asked(request, servers)
    except _Differs:
        return True
    return False
