"""Who is signed in: an owner's token in a cookie, and the value that the forms of this session carry."""

import hmac
from urllib.parse import unquote

from aiohttp import hdrs, web
from yarl import URL

from server.address import base_url

COOKIE = "blobstore_console"
HOME = "/console"
_FORMS = b"blobstore console forms"


def token_of(request: web.Request) -> str | None:
    """The token that the browser sent; nobody has looked yet whether it is good."""
    return request.cookies.get(COOKIE) or None


def begin(response: web.Response, request: web.Request, token: str) -> None:
    """Keep the token in the browser until it is closed: for these pages alone, out of the reach of scripts."""
    response.set_cookie(
        COOKIE, token, path=HOME, httponly=True, samesite="Strict", secure=base_url(request).startswith("https:")
    )


def end(response: web.Response) -> None:
    """Take the token out of the browser. It stays good: others may work with it."""
    response.del_cookie(COOKIE, path=HOME, httponly=True, samesite="Strict")


def form_key(token: str) -> str:
    """What the forms of a session carry: whoever does not know the token cannot make it."""
    return hmac.digest(token.encode("utf-8", "surrogatepass"), _FORMS, "sha256").hex()


def is_form_key(said: str, token: str) -> bool:
    """Whether a form is of the session with this token."""
    return hmac.compare_digest(said.encode("utf-8", "surrogatepass"), form_key(token).encode())


def comes_from_here(request: web.Request) -> bool:
    """Whether one of our own pages sent this, as the browser says; one that says nothing did not."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = _authority(request.headers.get(hdrs.ORIGIN, ""))
    # The Host is the browser's own word here, and no page can change what its browser says.
    return origin is not None and origin in (_authority(base_url(request)), _authority(f"http://{request.host}"))


def is_inside(path: str) -> bool:
    """Whether a browser may be sent there after it signed in: a path of the console, and not another's address."""
    if not path.isprintable() or "\\" in path or ".." in unquote(path.partition("?")[0]).split("/"):
        return False
    return path == HOME or path.startswith((f"{HOME}/", f"{HOME}?"))


def _authority(url: str) -> tuple[str, int | None] | None:
    """Host and port, where one is named; the scheme is left out: a proxy may have changed it."""
    try:
        parsed = URL(url)
    except ValueError:
        return None
    if parsed.host is None:
        return None
    return parsed.host.lower(), parsed.explicit_port
