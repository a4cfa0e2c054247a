"""What thumbnails are made of, what they are, and what they are kept as."""

MEDIA_TYPE = "image/webp"

THUMBNAIL = "thumbnail/1"
"""What thumbnails are kept as; another number where they are made otherwise."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF")
"""In the words of Pillow. Formats that browsers show; each more is one more decoder that hostile bytes reach."""


READY = b"ready"
"""What the process that makes them says first."""


def looks_like_one(beginning: bytes) -> bool:
    """Whether it may be one of `FORMATS`, by its first 32 bytes."""
    if beginning.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")):
        return True
    return (beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP") or (
        beginning[4:8] == b"ftyp" and (b"avif" in beginning or b"avis" in beginning)
    )


def is_thumbnail(data: bytes) -> bool:
    """Whether it begins like one, or says that there is none."""
    return not data or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
