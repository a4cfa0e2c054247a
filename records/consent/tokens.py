"""Owner and client tokens: how one looks, and the digest that stands for it wherever it is stored."""

import secrets

from blobstore.digest import derive

PREFIX = "bst_"
_CONTEXT = "blobstore 2026-11 bearer token digest"


def make() -> str:
    """A new token: the prefix and 256 random bits, URL-safe."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """The 32 bytes that name a token in the central store. Any text may be asked about."""
    # 256 random bits need no salt and no slow hash; surrogates come from headers that are not UTF-8.
    return derive(_CONTEXT, token.encode("utf-8", "surrogatepass"))
