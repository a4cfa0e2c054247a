"""Which addresses a download may ask, and which of them may see a credential: rules without I/O.

- A file is asked for only at one of Slack's hosts over https, or at a host that the user allowed by name.
- A token goes to that first host alone. A redirect to another origin is followed without it, for good, and with what
  credential stands in its own address taken out.
- A redirect to a host that is not Slack's is followed over https only, and never into a private network: `Resolver`
  refuses such addresses at the moment of connecting, so that a name cannot change its mind in between.
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from tools.slack.source import SlackObject

SLACK_DOMAINS = ("slack.com", "slack-gov.com")
"""Slack's own, with all their subdomains."""

_CREDENTIALS = ("xox", "xapp-")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The rules, with the hosts that the user allowed beside Slack's: `host` or `host:port`, lower case."""

    allowed: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def allowing(cls, names: Iterable[str]) -> "Hosts":
        return cls(frozenset(name.strip().lower() for name in names))

    def is_allowed(self, host: str, port: int | None) -> bool:
        """The user named this host: plain http and private addresses are the user's wish."""
        host = host.lower()
        return f"{host}:{port}" in self.allowed or (host in self.allowed and port in (80, 443))

    def is_slack(self, url: URL) -> bool:
        """A token may go there."""
        host = (url.host or "").lower()
        if self.is_allowed(host, url.port):
            return url.scheme in ("http", "https")
        slack = any(host == domain or host.endswith("." + domain) for domain in SLACK_DOMAINS)
        return slack and url.scheme == "https" and url.port == 443

    def may_follow(self, url: URL) -> bool:
        """A redirect may lead there, without a credential if it is another origin."""
        if self.is_allowed(url.host or "", url.port):
            return url.scheme in ("http", "https")
        return url.scheme == "https" and _is_public(url.host or "")


def address(slack: SlackObject, hosts: Hosts) -> URL | None:
    """Where the bytes of a file are to be asked for; None when Slack names no address of its own."""
    for name in ("url_private_download", "url_private"):
        value = slack.get(name)
        if not isinstance(value, str):
            continue
        try:
            url = URL(value)
        except ValueError:
            continue
        if hosts.is_slack(url) and url.user is None and url.password is None:
            return url.with_fragment(None)
    return None


def has_credential(url: URL) -> bool:
    """A Slack token stands in the query."""
    return any(value.startswith(_CREDENTIALS) for value in url.query.values())


def without_credential(url: URL) -> URL:
    """The address without the tokens that stand in its query."""
    if not has_credential(url):
        return url
    return url.with_query([(k, v) for k, v in url.query.items() if not v.startswith(_CREDENTIALS)])


def is_sign_in(url: URL) -> bool:
    """Slack sends whom it does not know to such an address."""
    return "redir" in url.query or url.path.rstrip("/").endswith(("/signin", "/sign_in_with_password", "/ssb/signin"))


def _is_public(host: str) -> bool:
    """A name, or an address literal outside private networks."""
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return bool(host)
    if isinstance(literal, ipaddress.IPv4Address):
        return literal.is_global
    if literal in _NAT64:
        return ipaddress.IPv4Address(int(literal) & 0xFFFFFFFF).is_global
    inner = literal.ipv4_mapped or literal.sixtofour
    return literal.is_global if inner is None else inner.is_global


class PrivateAddress(OSError):
    """A host outside the allowed ones resolves into a private network."""


class Resolver(AbstractResolver):
    """Resolves names to public addresses only, except for the hosts that the user allowed."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if self._hosts.is_allowed(host, port):
            return found
        public = [one for one in found if _is_public(one["host"])]
        if not public:
            raise PrivateAddress("the host's address is private")
        return public

    async def close(self) -> None:
        await self._resolver.close()
