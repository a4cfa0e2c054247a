"""Wrong tokens on the way in: who sent too many has to wait, so that nobody goes on trying there.

Neither the API nor the cookie is limited so: what keeps tokens from being guessed is how long they are.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import hdrs, web

MOST = 10
"""Wrong tokens that one address may send at once."""

SECONDS = 6.0
"""After so long one of them is forgotten."""

MAX_ADDRESSES = 10_000
"""Addresses that are remembered: of more, who came last."""


class Attempts:
    """Counts by address, in this process; each worker of a server counts for itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._forgotten = OrderedDict[str, float]()  # by address: when all that it sent is forgotten

    def seconds_to_wait(self, address: str) -> int:
        """How long nothing is taken from there; 0: the next may come."""
        over = self._forgotten.get(address, 0.0) - self._clock() - (MOST - 1) * SECONDS
        return max(0, math.ceil(over))

    def count(self, address: str) -> None:
        """One comes from there. Counted before it is looked at, or any number could come at the same time."""
        now = self._clock()
        self._forgotten[address] = max(self._forgotten.pop(address, now), now) + SECONDS
        if len(self._forgotten) > MAX_ADDRESSES:
            self._forgotten.popitem(last=False)

    def forgive(self, address: str) -> None:
        """It was a good one."""
        if address in self._forgotten:
            self._forgotten[address] -= SECONDS


ATTEMPTS = web.AppKey("attempts", Attempts)
"""Those of this server."""


def address_of(request: web.Request) -> str:
    """Where the request comes from: a host, or the network that is one customer's (IPv6).

    Behind a proxy of this machine or network that is what the proxy says (the last entry of `X-Forwarded-For`); who
    asks from anywhere else is not believed.
    """
    peer = request.remote or ""
    # Some proxies add a line of their own below those that the client sent.
    said = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).rpartition(",")[2].strip()
    return _network(said) or peer if said and _is_near(peer) else _network(peer) or peer


def _is_near(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_private
    except ValueError:
        return not peer  # a socket of this machine has no address


def _network(address: str) -> str | None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
