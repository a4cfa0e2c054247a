"""The one way in which sessions are set up: nothing goes along that was not asked for, and bytes come as they are."""

from typing import Any

import aiohttp

SILENT = 60.0
"""Seconds without a byte after which an answer that has begun is taken for broken off."""


def new_session(*, connect: float = 10, silent: float | None = None, **more: Any) -> aiohttp.ClientSession:
    """No cookie, no proxy from the environment, no decoding; times in seconds. `more` is aiohttp's."""
    return aiohttp.ClientSession(
        headers={"Accept-Encoding": "identity", "User-Agent": "blobstore"},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=silent),
        auto_decompress=False,
        **more,
    )
