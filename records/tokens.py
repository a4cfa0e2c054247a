"""Owner and client tokens: how one looks, and the digest that stands for it wherever it is stored."""

PREFIX = "bst_"


def make() -> str:
    """A new token: the prefix and 256 random bits, URL-safe."""
    raise NotImplementedError


def digest(token: str) -> bytes:
    """The 32 bytes that name a token in the central store. Any text may be asked about."""
    raise NotImplementedError
