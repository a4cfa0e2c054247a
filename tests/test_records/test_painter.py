"""Thumbnails are made of what is a picture, and what is hostile harms nobody but the process that looks at it."""

import os
import random
import sys
import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from blobstore.errors import StorageUnavailable
from records.thumbnails.formats import FORMATS
from records.thumbnails.process import Painter
from tests.fakes.pictures import bomb, picture


def seen(thumbnail: bytes | None) -> Image.Image:
    assert thumbnail is not None
    image = Image.open(BytesIO(thumbnail), formats=["WEBP"])
    image.load()
    return image


def is_red(image: Image.Image, x: int, y: int) -> bool:
    red, _, blue = image.convert("RGB").getpixel((x, y))  # type: ignore[misc]
    return red > 200 and blue < 60


def damaged(seed: int) -> list[bytes]:
    """Pictures of each format with bytes that are changed, cut off and put twice."""
    rng, found = random.Random(seed), []
    for kind in FORMATS:
        for _ in range(4):
            data = bytearray(picture(kind, (64, 48)))
            for _ in range(rng.randint(1, 6)):
                data[rng.randrange(12, len(data))] = rng.randrange(256)
            at = rng.randrange(len(data))
            found.append(bytes(data[: rng.choice([len(data), at])]) + bytes(data[at:]))
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def painter() -> AsyncIterator[Painter]:
    """One for all: each child takes half a second to start."""
    painter = Painter()
    yield painter
    await painter.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def paint(painter: Painter, data: bytes) -> bytes:
    async def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return await painter.paint(len(data), read)


@pytest.mark.parametrize("kind", FORMATS)
async def test_each_format_gives_a_small_picture(painter: Painter, kind: str) -> None:
    image = seen(await paint(painter, picture(kind)))
    assert image.size == (256, 128)
    assert is_red(image, 20, 64)
    assert not is_red(image, 236, 64)


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA")] + [("JPEG", "CMYK")]
)
async def test_whatever_way_colours_are_kept(painter: Painter, kind: str, mode: str) -> None:
    image = seen(await paint(painter, picture(kind, mode=mode)))
    assert image.size == (256, 128)


async def test_what_is_see_through_stays_so(painter: Painter) -> None:
    out = BytesIO()
    Image.new("RGBA", (400, 400), (255, 0, 0, 0)).save(out, "PNG")
    assert seen(await paint(painter, out.getvalue())).getpixel((5, 5))[3] == 0  # type: ignore[index]


async def test_it_stands_upright_and_says_nothing_of_where_it_was_taken(painter: Painter) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right: the left is above
    exif[0x8825] = {1: "N", 2: (48.0, 12.0, 0.0)}
    exif[0x010E] = "a secret description"
    image = seen(made := await paint(painter, picture("JPEG", exif=exif)))
    assert image.size == (128, 256)
    assert is_red(image, 64, 20)
    assert not image.getexif()
    assert b"secret" not in made


async def test_of_several_pictures_the_first_is_shown(painter: Painter) -> None:
    other = Image.new("RGB", (640, 320), "blue")
    for kind in ("GIF", "WEBP", "MPO", "PNG"):
        data = picture(kind, save_all=True, append_images=[other])
        assert is_red(seen(await paint(painter, data)), 20, 64)


async def test_of_what_is_small_nothing_is_made_larger(painter: Painter) -> None:
    assert seen(await paint(painter, picture(size=(20, 10)))).size == (20, 10)


async def test_what_is_hostile_gives_none_and_the_next_one_is_made(painter: Painter) -> None:
    small = picture("GIF", (4, 4))
    huge = small[:6] + b"\xff\xff\xff\xff" + small[10:]  # 65,535 × 65,535
    for data in (bomb(), huge, b"\x89PNG\r\n\x1a\n" + os.urandom(500), b"", *damaged(7)):
        await paint(painter, data)  # whatever comes of those that are damaged: an answer
    assert await paint(painter, bomb()) == await paint(painter, huge) == b""
    assert seen(await paint(painter, picture())).size == (256, 128)


async def test_a_child_that_dies_of_a_picture_gives_none_and_another_takes_its_place(painter: Painter) -> None:
    await paint(painter, picture())
    child = painter._child
    assert child is not None
    data = picture()

    async def read(offset: int, length: int) -> bytes:
        child.kill()
        await child.wait()
        return data[offset : offset + length]

    assert await painter.paint(len(data), read) == b""
    assert seen(await paint(painter, data)).size == (256, 128)
    assert painter._child is not child


async def test_what_reads_the_blob_may_fail_and_the_child_does_not_take_it_for_the_next(painter: Painter) -> None:
    async def read(offset: int, length: int) -> bytes:
        raise StorageUnavailable("no")

    with pytest.raises(StorageUnavailable):
        await painter.paint(100, read)
    assert seen(await paint(painter, picture())).size == (256, 128)


async def test_the_child_can_open_nothing_and_knows_no_secret(painter: Painter) -> None:
    await paint(painter, picture())
    assert painter._child is not None
    of = Path(f"/proc/{painter._child.pid}")
    environment = (of / "environ").read_bytes().split(b"\0")
    assert [each.partition(b"=")[0] for each in environment if each] == [b"PYTHONPATH"]
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (of / "limits").read_text().splitlines()}
    assert limits["Max open files"] == limits["Max file size"] == ["0", "0"]
    assert int(limits["Max address space"][0]) <= 512 << 20
    assert 0 < int(limits["Max cpu time"][0]) < 100


async def test_a_child_that_cannot_start_makes_nobody_believe_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StorageUnavailable, match="ask again"):
        await paint(Painter(), picture())


async def test_one_that_is_closed_leaves_no_process() -> None:
    painter = Painter()
    await paint(painter, picture())
    child = painter._child
    assert child is not None
    started = time.monotonic()
    await painter.close()
    assert child.returncode is not None
    assert time.monotonic() - started < 60
    with pytest.raises(StorageUnavailable):
        await paint(painter, picture())
