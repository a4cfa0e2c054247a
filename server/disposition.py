"""`Content-Disposition` (RFC 6266, RFC 8187) for files whose names and types come from strangers. No I/O.

A name is data: no control character, no quote, no path separator and nothing that turns the direction of text (so that
`photo<U+202E>gpj.exe` does not look like a picture) reaches the header in a form that a client could act on.
"""

import re
import unicodedata
from urllib.parse import quote

_INLINE = frozenset(
    {
        "application/pdf",
        "audio/aac",
        "audio/flac",
        "audio/mp4",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "audio/webm",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/tiff",
        "image/webp",
        "image/x-icon",
        "text/plain",
        "video/mp4",
        "video/ogg",
        "video/quicktime",
        "video/webm",
    }
)
"""Types that a browser shows without running anything in them. HTML, SVG, XML and unknown ones are not among them."""


def is_shown(media_type: str) -> bool:
    """Whether a browser may show it, and not only save it."""
    return media_type in _INLINE


_MAX_NAME = 200  # bytes in UTF-8; file systems stop at 255, and clients add "(1)" or ".part"
_MAX_EXTENSION = 20
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 8187, beside letters and digits


def content_disposition(media_type: str, filename: str | None) -> str:
    """The header's value; without a usable name the bare disposition.

    >>> print(content_disposition("image/png", "Übersicht.png"))
    inline; filename="_bersicht.png"; filename*=UTF-8''%C3%9Cbersicht.png
    """
    disposition = "inline" if media_type in _INLINE else "attachment"
    name = _cleaned(filename or "")
    if not name:
        return disposition
    # `%` is taken out too: some clients decode %xx in the plain form.
    fallback = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    plain = f'{disposition}; filename="{fallback}"'
    return plain if fallback == name else f"{plain}; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"


def _cleaned(name: str) -> str:
    # Lone surrogates have no UTF-8; whatever separates folders on any system must not.
    name = re.sub(r"[/\\\ud800-\udfff]", "_", name)
    # Control (Cc) and format (Cf: directions, zero widths) characters, line and paragraph separators (Zl, Zp).
    name = "".join(char for char in name if unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp"))
    name = _shortened(" ".join(name.split()))
    return "" if set(name) <= {".", "_", " "} else name


def _shortened(name: str) -> str:
    """At most `_MAX_NAME` bytes, cut between characters, the extension kept."""
    encoded = name.encode()
    if len(encoded) <= _MAX_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    ending = (dot + extension).encode() if stem and len(extension.encode()) <= _MAX_EXTENSION else b""
    return encoded[: _MAX_NAME - len(ending)].decode(errors="ignore") + ending.decode()
