"""Files, names and texts of an attacker: each runs a script in a browser that is not kept from it.

`tests/test_console/test_hostile_blobs.py` proves that of each file, so that none of them is a dud.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fakes.browser import script

XHTML = "http://www.w3.org/1999/xhtml"
SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True)
class Hostile:
    """A file as it is uploaded. `taken_for` is the type that a careless server says, or None where it says none."""

    name: str
    media_type: str
    data: bytes
    taken_for: str | None


def files() -> Sequence[Hostile]:
    """One of each kind; the script of each tells its name."""
    made = [
        _each("text/html", "text/html", _HTML),
        _each("image/svg+xml", "image/svg+xml", _SVG),
        *(_each(media_type, media_type, {media_type.rpartition("/")[2]: _XML}) for media_type in _XML_TYPES),
        # Types that are shown in place, and bytes that a browser which guesses takes for a page.
        *(_each(media_type, None, {media_type: _HTML["script"]}) for media_type in _GUESSED),
        _each("text/html", "text/html", _POLYGLOTS),
        *(_each(declared, "text/html", {f"{declared} {name}": make}) for name, declared, make in _DISGUISED),
    ]
    return [one for each in made for one in each]


def texts(name: str) -> list[str]:
    """What stands in names and records: each would leave the place that a page gives it."""
    js = script(name)
    return [
        f"<script>{js}</script>",
        f"</script><script>{js}</script>",
        f'</textarea></title></style><img src=x onerror="{js}">',
        f'"><svg onload="{js}">',
        f"' autofocus onfocus='{js.replace(chr(39), chr(34))}' x='",
        f"javascript:{js}",
        f'<a href="javascript:{js}" autofocus onfocus="{js}">x</a>',
        f'{{{{constructor.constructor("{js}")()}}}}',
        f"${{{js}}}",
        f'<iframe srcdoc="<script>{js}</script>"></iframe>',
        f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror={js}&gt;">',
        f'\u202e\ufeff<img src=x onerror="{js}">',
        "]]>--><!--" + f"<svg><script>{js}</script>",
        f"data:text/html,<script>{js}</script>",
    ]


def _each(declared: str, taken_for: str | None, makes: dict[str, Callable[[str], bytes]]) -> list[Hostile]:
    return [Hostile(name, declared, make(name), taken_for) for name, make in makes.items()]


def _text(*parts: str) -> Callable[[str], bytes]:
    """Parts with the script between them."""
    return lambda name: script(name).join(parts).encode()


_HTML: dict[str, Callable[[str], bytes]] = {
    "script": _text("<!doctype html><script>", "</script>"),
    "onerror": _text('<img src=x onerror="', '">'),
    "onload": _text('<body onload="', '">'),
    "ontoggle": _text('<details open ontoggle="', '">x</details>'),
    "javascript-frame": _text('<iframe src="javascript:', '"></iframe>'),
    "srcdoc": _text('<iframe srcdoc="<script>', '</script>"></iframe>'),
    "svg-in-html": _text("<svg><script>", "</script></svg>"),
    "broken-tag": _text("<<script x>//<\n", "</script/>"),
    "module": _text('<script type="module">', "</script>"),
    "base": _text('<base href="//attacker.invalid/"><svg/onload="', '">'),
    "utf-16": lambda name: b"\xff\xfe" + f"<script>{script(name)}</script>".encode("utf-16-le"),
    "after-blanks": lambda name: b"\n" * 2000 + f"<script>{script(name)}</script>".encode(),
}

_SVG: dict[str, Callable[[str], bytes]] = {
    "svg-script": _text(f'<svg xmlns="{SVG}"><script>', "</script></svg>"),
    "svg-onload": _text(f'<svg xmlns="{SVG}" onload="', '"/>'),
    "svg-begin": _text(f'<svg xmlns="{SVG}"><animate attributeName="x" dur="1s" onbegin="', '"/></svg>'),
    "svg-foreign": _text(
        f'<svg xmlns="{SVG}"><foreignObject><body xmlns="{XHTML}"><img src="x" onerror="',
        '"/></body></foreignObject></svg>',
    ),
    "svg-prefixed": _text(f'<?xml version="1.0"?><s:svg xmlns:s="{SVG}"><s:script>', "</s:script></s:svg>"),
    "svg-entity": lambda name: (
        f'<!DOCTYPE svg [<!ENTITY e "&#60;script&#62;{script(name)}&#60;/script&#62;">]><svg xmlns="{SVG}">&e;</svg>'
    ).encode(),
}

_XML = _text(f'<?xml version="1.0"?><x><script xmlns="{XHTML}">', "</script></x>")
_XML_TYPES = ("text/xml", "application/xml", "application/xhtml+xml")
_GUESSED = ("application/octet-stream", "application/pdf", "image/png", "image/x-icon", "video/mp4", "x/y")


def _png(name: str) -> bytes:
    """A picture of one pixel, with a page in its comment."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    comment = chunk(b"tEXt", b"Comment\0" + _HTML["script"](name))
    return b"\x89PNG\r\n\x1a\n" + head + comment + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def _gif(name: str) -> bytes:
    """A picture, a script and a page at once."""
    return b"GIF89a/*\x00\x00\x00\x00*/=0;//<script>" + script(name).encode() + b"</script>"


def _pdf(name: str) -> bytes:
    return b"%PDF-1.4\n%<script>" + script(name).encode() + b"</script>\n1 0 obj<</Type/Catalog>>endobj\n%%EOF"


def _zip(name: str) -> bytes:
    return b"PK\x05\x06" + b"\0" * 18 + _HTML["script"](name)


_POLYGLOTS: dict[str, Callable[[str], bytes]] = {"png": _png, "gif": _gif, "pdf": _pdf, "zip": _zip}

_DISGUISED: Sequence[tuple[str, str, Callable[[str], bytes]]] = [
    ("polyglot", "image/png", _png),
    ("polyglot", "image/gif", _gif),
    ("polyglot", "application/pdf", _pdf),
    ("page", "image/jpeg", _HTML["script"]),
    ("page", "text/plain", _HTML["script"]),
    ("page", "text/html; charset=utf-7", _HTML["onerror"]),
    ("page", "TEXT/HTML", _HTML["onload"]),
    ("page", "text/html ;image/png", _HTML["script"]),
    ("page", "video/webm", _HTML["script"]),
    ("page", "audio/mpeg", _HTML["script"]),
]


def pressed_pdf(target: str) -> bytes:
    """A PDF that is one button; its own script says `pressed`, sends a form to the target, and says `after`."""
    script = (
        rf"app.alert\('pressed'\); this.submitForm\({{cURL: '{target}', cSubmitAs: 'HTML'}}\); app.alert\('after'\);"
    )
    return f"""%PDF-1.7
1 0 obj<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]/NeedAppearances true>>>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 400]/Annots[4 0 R]>>endobj
4 0 obj<</Type/Annot/Subtype/Widget/F 4/FT/Btn/Ff 65536/T(b)/Rect[0 0 400 400]/A<</S/JavaScript/JS({script})>>>>endobj
trailer<</Root 1 0 R>>
%%EOF""".encode()
