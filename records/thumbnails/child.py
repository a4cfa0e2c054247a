"""The process that makes thumbnails: bytes of a picture in, bytes of a small one out. Run by `process`.

What it decodes is hostile, and may have found a mistake of a decoder. So it has no secrets and no environment, can open
no file and no socket once it has begun, and has so much memory and so much time for each picture; it may die, for
`process` starts another one.
"""

import os
import resource
import sys
import warnings
from contextlib import suppress
from io import BytesIO

from PIL import AvifImagePlugin, Image, ImageOps

from records.thumbnails.formats import FORMATS, READY

EDGE = 256
"""Pixels that the longer edge has at most."""

PIXELS = 100_000_000
"""Of a picture that is looked at: a phone's largest; what says that it has more is a bomb."""

MEMORY = 512 << 20
"""Bytes of address space, the program's own among them: a hundred million pixels once, thirty million twice."""

CPU_SECONDS = 10
"""For one picture; a hundred million pixels take four."""


def thumbnail(data: bytes) -> bytes:
    """A WebP without any of the original's metadata; empty where none can be made."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as opened:
            return _written(_small(opened))
    except Exception:  # decoders raise anything; what it was does not matter
        return b""


def _small(opened: Image.Image) -> Image.Image:
    opened.draft("RGB", (2 * EDGE, 2 * EDGE))  # JPEG: decoded at an eighth of its size
    # Those with a palette cannot be made smaller as they are.
    image = opened.convert("RGBA") if opened.mode in ("1", "P", "PA") or "transparency" in opened.info else opened
    image.thumbnail((EDGE, EDGE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return ImageOps.exif_transpose(image)


def _written(image: Image.Image) -> bytes:
    mode = "RGBA" if image.has_transparency_data else "RGB"
    out = BytesIO()
    image.convert(mode).save(out, "WEBP", quality=75, method=2, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()


def confine() -> None:
    """Give away what making pictures does not need."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = PIXELS
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    _warm_up()
    limits = [("RLIMIT_AS", MEMORY), ("RLIMIT_NOFILE", 0), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0), ("RLIMIT_NPROC", 0)]
    for name, value in limits:
        with suppress(OSError, ValueError, AttributeError):  # a system may lack one of these
            resource.setrlimit(getattr(resource, name), (value, value))
    os.nice(5)


def _warm_up() -> None:
    """Whatever is loaded when it is first needed is loaded now: later there is no file to load it from."""
    Image.init()  # all: what a JPEG says of itself, or of others in it, is read by the modules of other formats
    for name in FORMATS:
        out = BytesIO()
        with suppress(Exception):  # a Pillow that was built without this format
            Image.new("RGB", (8, 8)).save(out, name)
            assert thumbnail(out.getvalue())


def serve() -> None:
    """Answer requests until there are no more: a length of 8 bytes, the bytes; an answer's length of 4, the answer."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(READY)
    sink.flush()
    while head := source.read(8):
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + CPU_SECONDS, hard))
        answer = thumbnail(source.read(int.from_bytes(head)))
        sink.write(len(answer).to_bytes(4) + answer)
        sink.flush()


if __name__ == "__main__":
    confine()
    serve()
