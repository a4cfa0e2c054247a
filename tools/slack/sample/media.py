"""What a person can look at: a small picture, page or film that stands at the head of made-up bytes."""

import hashlib
from functools import cache, lru_cache
from importlib import resources
from io import BytesIO

from PIL import Image, ImageDraw

PICTURE = (320, 240)
"""Pixels."""

_PAGE = """%PDF-1.5
%\xbf\xf7\xa2\xfe
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 420 595] /Contents 4 0 R
  /Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >> endobj
4 0 obj << /Length {length} >> stream
{text}
endstream endobj
"""

_FILLING = "5 0 obj << /Length {length:012} >> stream\n"
_PAGE_END = b"\nendstream endobj\ntrailer << /Root 1 0 R /Size 6 >>\n%%EOF\n"
"""Without a table of positions: every reader of PDF rebuilds one."""


def around(kind: str, seed: str, size: int) -> tuple[bytes, bytes]:
    """What a file of a kind (`png`, `jpg`, `pdf`, `mp4`) begins and ends with: what lies between is not looked at.

    Where `size` bytes do not suffice for both, the file is cut off after as many.
    """
    match kind:
        case "png" | "jpg":
            return _picture(kind, seed), b""
        case "pdf":
            return _page(seed, size), _PAGE_END
    return _film(size), b""


@lru_cache(maxsize=256)
def _picture(kind: str, seed: str) -> bytes:
    """Hills below a sky, in colours of its own."""
    look = hashlib.blake2b(seed.encode(), digest_size=32).digest()
    picture = Image.linear_gradient("L").resize(PICTURE).convert("RGB")
    tint = Image.new("RGB", PICTURE, (look[0] // 2, look[1] // 2, 128 + look[2] // 2))
    picture = Image.blend(picture, tint, 0.6)
    draw = ImageDraw.Draw(picture)
    width, height = PICTURE
    draw.ellipse((look[3], look[4] // 4, look[3] + 40, look[4] // 4 + 40), fill=(255, 240, 200))
    for number in range(3):
        left, top = look[5 + number] - 60, height // 2 + number * 25 + look[8 + number] // 8
        draw.ellipse((left - 100, top, left + width, top + 2 * height), fill=tuple(look[11 + number : 14 + number]))
    file = BytesIO()
    picture.save(file, {"png": "PNG", "jpg": "JPEG"}[kind])
    return file.getvalue()


def _page(seed: str, size: int) -> bytes:
    shown = seed.encode("ascii", "replace").decode().replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    text = f"BT /F 24 Tf 40 520 Td ({shown}) Tj ET"
    head = _PAGE.format(length=len(text), text=text)
    filling = size - len(head) - len(_FILLING.format(length=0)) - len(_PAGE_END)
    return (head + _FILLING.format(length=max(0, filling))).encode("latin-1")


@cache
def _recording() -> bytes:
    return (resources.files(__package__) / "recording.mp4").read_bytes()


def _film(size: int) -> bytes:
    """A test card with a clock, of 30 seconds; the rest is a box that players leave out (ISO/IEC 14496-12, 8.1.2)."""
    film = _recording()
    filling = max(16, size - len(film))
    return film + (1).to_bytes(4) + b"free" + filling.to_bytes(8)
