"""Downloads the files that a workspace names but does not hold.

Polite and suspicious: one pause for all when Slack asks for one, a bounded number of tries, resumed where a cut left
off, and nothing taken for a file that is not the whole of it. Which host may see which credential is decided in
`hosts`; no address and no credential ever stands in a message.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiofiles.tempfile
import aiohttp
from yarl import URL

from blobstore.client.backoff import delays, retry_after
from blobstore.client.session import SILENT, new_session
from tools.slack import hosts
from tools.slack.hosts import Hosts
from tools.slack.ledger import Tried
from tools.slack.sniff import is_sign_in
from tools.slack.source import FileEntry
from tools.slack.spool import Spool, SpoolError
from tools.slack.status import Status, Verdict, of_response
from tools.slack.transfer import Again, Transfer

ATTEMPTS = 7
"""Tries in a row that bring no byte before a download is left to a later run."""

LONGEST_WAIT = 300.0
"""Seconds; where Slack asks for a longer pause, the download is left to a later run."""

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class DownloadFailed(Exception):
    """The download did not succeed now and may later; the message says why. Never carries an address."""


@dataclass(slots=True)
class Downloader:
    """Fetches from Slack's hosts, with `token` where one is given, else with the credential in the file's own link.

    `attempts` and `spool_dir` (where temporary files go; the system's place when None) are for tests and operators.
    """

    session: aiohttp.ClientSession
    allowed: Hosts
    token: str | None = None
    max_size: int | None = None
    spool_dir: str | None = None
    attempts: int = ATTEMPTS
    on_bytes: Callable[[int], None] = lambda _: None
    _not_before: float = field(default=0.0, init=False)

    def means(self, entry: FileEntry) -> Tried:
        """With what a download of this file would be tried."""
        url = hosts.address(entry.described, self.allowed)
        if url is None:
            return Tried.NOTHING
        if self.token:
            return Tried.TOKEN
        return Tried.LINK if hosts.has_credential(url) else Tried.NOTHING

    @asynccontextmanager
    async def fetch(self, entry: FileEntry) -> AsyncIterator[Spool | Verdict]:
        """The bytes, complete, until the context ends; or a verdict where Slack will not give them.

        Raises `DownloadFailed` when a later run may have better luck. Only where `means` says something.
        """
        url = hosts.address(entry.described, self.allowed)
        assert url is not None
        async with aiofiles.tempfile.TemporaryFile("w+b", dir=self.spool_dir) as file:
            spool = Spool(file)
            verdict: Verdict | None = None
            for link, bearer in self._credentials(url):
                await spool.restart()
                verdict = await self._get(link, bearer, spool)
                if verdict is None or verdict.status is not Status.DENIED:
                    break
            yield verdict or spool

    def _credentials(self, url: URL) -> list[tuple[URL, str | None]]:
        """What to try in turn: each credential alone, so that a stale one does not spoil the other."""
        found: list[tuple[URL, str | None]] = []
        if self.token:
            found.append((hosts.without_credential(url), self.token))
        if hosts.has_credential(url):
            found.append((url, None))
        return found

    async def _get(self, url: URL, bearer: str | None, spool: Spool) -> Verdict | None:
        """Tries until all bytes are in the spool (None), or there is a verdict without them."""
        transfer = Transfer(spool, self.max_size, self.on_bytes)
        pauses = delays(self.attempts, first=0.5, cap=30)
        while True:
            before = spool.size
            await self._wait_until_welcome()
            try:
                verdict = await self._attempt(url, bearer, transfer)
            except SpoolError as error:
                raise DownloadFailed(str(error)) from None
            except Again as again:
                if spool.size > before:
                    pauses = delays(self.attempts, first=0.5, cap=30)
                pause = next(pauses, None)
                if pause is None or (again.wait or 0) > LONGEST_WAIT:
                    raise DownloadFailed(str(again)) from None
                self._pause(again.wait)
                await asyncio.sleep(0 if again.wait is not None else pause)
            else:
                if verdict is None and is_sign_in(spool.head):
                    return Verdict(Status.DENIED, "Slack gave its sign-in page in place of the file")
                return verdict

    async def _attempt(self, url: URL, bearer: str | None, transfer: Transfer) -> Verdict | None:
        try:
            return await self._follow(url, bearer, transfer)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, hosts.PrivateAddress):
                return Verdict(Status.DENIED, "Slack's host leads into a private network")
            raise Again("Slack's file host cannot be reached") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            # Their names say what happened; their texts can hold addresses.
            raise Again(f"the connection to Slack's file host failed ({type(error).__name__})") from None

    async def _follow(self, url: URL, bearer: str | None, transfer: Transfer) -> Verdict | None:
        for _ in range(MAX_REDIRECTS + 1):
            headers = transfer.headers() | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
            async with self.session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._judge(response, transfer)
                target = _target(url, response.headers.get("Location", ""))
            if target is None or not self.allowed.may_follow(target):
                return Verdict(Status.DENIED, "Slack's host leads to an address that may not be asked")
            if hosts.is_sign_in(target) and self.allowed.is_slack(target):
                return Verdict(Status.DENIED, "Slack asks to sign in")
            if target.origin() != url.origin():
                # For good: a way back to the first host does not bring the credential back.
                bearer, target = None, hosts.without_credential(target)
            url = target
        return Verdict(Status.DENIED, "Slack's host leads in a circle")

    async def _judge(self, response: aiohttp.ClientResponse, transfer: Transfer) -> Verdict | None:
        if response.status in (200, 206):
            return await transfer.receive(response)
        if response.status == 429:
            raise Again("Slack asks to go slower", retry_after(response.headers))
        if response.status == 416:
            await transfer.spool.restart()
            raise Again("Slack's file host changed the file meanwhile")
        verdict = of_response(response.status)
        if verdict is None:
            raise Again(f"Slack's file host answered {response.status}", retry_after(response.headers))
        return verdict

    def _pause(self, seconds: float | None) -> None:
        if seconds is not None:
            self._not_before = max(self._not_before, asyncio.get_running_loop().time() + seconds)

    async def _wait_until_welcome(self) -> None:
        """A pause that Slack asked of one download holds for all."""
        while (left := self._not_before - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110 - may be put off meanwhile
            await asyncio.sleep(left)


def _target(url: URL, location: str) -> URL | None:
    """The absolute address that a redirect names, None if it is none or carries a password."""
    try:
        target = url.join(URL(location)).with_fragment(None)
    except ValueError:
        return None
    return target if location and target.host and not target.user and not target.password else None


@asynccontextmanager
async def open_downloader(
    allowed: Hosts, *, token: str | None = None, max_size: int | None = None, attempts: int = ATTEMPTS
) -> AsyncIterator[Downloader]:
    """A downloader over a session of its own: no cookies, no proxy, no decoding, no private addresses."""
    connector = aiohttp.TCPConnector(resolver=hosts.Resolver(allowed))
    async with new_session(connect=30, silent=SILENT, connector=connector, read_bufsize=1 << 20) as session:
        yield Downloader(session, allowed, token, max_size, attempts=attempts)
