"""The made-up workspace: every kind of file in every form, and what must become of each."""

import hashlib
import re
from io import BytesIO
from pathlib import Path

import filetype
import pytest
from PIL import Image

from tests.test_tools.slack.archives import verdicts
from tests.test_tools.slack.conftest import Open
from tools.slack import sample, sniff
from tools.slack.sample.archive import STRAYS
from tools.slack.sample.content import Content
from tools.slack.sample.media import PICTURE
from tools.slack.source import Source
from tools.slack.status import Status

FORMS = [
    ("workspace", "archive", True),
    *(
        (name, form, flag)
        for form in sample.FORMS[1:]
        for name, flag in (("e", True), ("e.zip", True), ("f.zip", False))
    ),
]


@pytest.mark.parametrize(("name", "form", "utf8_flag"), FORMS)
def test_each_file_gets_its_status_in_each_form(
    tmp_path: Path, opened: Open, name: str, form: sample.Form, utf8_flag: bool
) -> None:
    expected = sample.write(tmp_path / name, form=form, video_bytes=100_000, utf8_flag=utf8_flag)
    source = opened(tmp_path / name)
    assert {i: verdict.status for i, verdict in verdicts(source).items()} == {e.id: e.status for e in expected}
    digests = _digests(source)
    assert {e.id: e.sha256 for e in expected if e.sha256} == {
        e.id: digests[e.id] for e in expected if e.status is Status.HYDRATED
    }


def _digests(source: Source) -> dict[str, str]:
    digests = {}
    for entry in source.files():
        if entry.located is not None:
            with source.open(entry.located) as stream:
                digests[entry.id] = hashlib.sha256(stream.read()).hexdigest()
    return digests


@pytest.mark.parametrize("form", sample.FORMS)
def test_each_form_tells_the_same_conversations(tmp_path: Path, opened: Open, form: sample.Form) -> None:
    sample.write(tmp_path / "archive", video_bytes=1)
    if form != "archive":
        sample.write(tmp_path / form, form=form, video_bytes=1)
    said, reference = (
        [(c, m["ts"], m["text"]) for c, m in opened(tmp_path / name).messages()] for name in (form, "archive")
    )
    assert said == reference
    assert len(said) == len(set(said)) > 240
    assert {channel["id"] for channel in opened(tmp_path / form).channels()} >= {channel for channel, *_ in said}


def test_every_status_that_needs_no_network_occurs(tmp_path: Path) -> None:
    occurring = {expected.status for expected in sample.write(tmp_path / "archive", video_bytes=1)}
    assert occurring == set(Status) - {Status.DENIED, Status.GONE, Status.TOO_LARGE}


def test_some_bytes_occur_more_than_once(tmp_path: Path) -> None:
    digests = [e.sha256 for e in sample.write(tmp_path / "archive", video_bytes=1) if e.sha256]
    assert len(set(digests)) < len(digests) - 1


def test_strays_are_counted_and_no_file(tmp_path: Path, opened: Open) -> None:
    sample.write(tmp_path / "archive", video_bytes=1)
    source = opened(tmp_path / "archive")
    assert not {entry.id for entry in source.files()} & {"F999STRAY"}
    assert sorted(source.strays.examples) == sorted(STRAYS)
    assert source.strays.count == len(STRAYS)


def test_the_newest_state_of_a_file_is_told(tmp_path: Path, opened: Open) -> None:
    sample.write(tmp_path / "archive", video_bytes=1)
    (snippet,) = (e for e in opened(tmp_path / "archive").files() if e.slack.get("name") == "snippet.txt")
    assert snippet.slack["mode"] == "snippet"


@pytest.mark.parametrize("form", sample.FORMS)
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, form: sample.Form) -> None:
    trees = []
    for name in ("one", "two"):
        sample.write(tmp_path / name, form=form, video_bytes=200_000, remote=tmp_path / f"{name}.remote")
        files = [*(tmp_path / name).rglob("*"), *(tmp_path / f"{name}.remote").rglob("*")]
        trees.append({path.name: path.read_bytes() for path in files if path.is_file()})
    assert trees[0] == trees[1]


def test_an_official_export_has_a_token_in_each_address_and_the_bytes_elsewhere(tmp_path: Path, opened: Open) -> None:
    sample.write(
        tmp_path / "e.zip", form="export-official", url_base="http://127.0.0.1:1", remote=tmp_path / "r", video_bytes=9
    )
    hosted = [e for e in opened(tmp_path / "e.zip").files() if e.slack.get("mode") == "hosted"]
    assert hosted
    for entry in hosted:
        assert entry.slack["url_private_download"].startswith("http://127.0.0.1:1/files-pri/")
        assert "?t=xoxe-" in entry.slack["url_private_download"]
        assert (tmp_path / "r" / entry.id).stat().st_size >= 0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("png", "image/png"), ("jpg", "image/jpeg"), ("pdf", "application/pdf"), ("mp4", "video/mp4")],
)
def test_made_up_bytes_start_as_their_type_does(kind: str, expected: str) -> None:
    head = next(Content(kind, "seed", sniff.HEAD).pieces())
    assert filetype.guess_mime(head.ljust(sniff.HEAD, b"\0")) == expected


@pytest.mark.parametrize("size", [0, 1, 5, 1_000, 55_000, 65_536, 65_537, 200_001])
@pytest.mark.parametrize("kind", ["png", "jpg", "pdf", "mp4", "zip", "text"])
def test_made_up_bytes_have_the_size_asked_for(kind: str, size: int) -> None:
    assert sum(map(len, Content(kind, "seed", size).pieces())) == size


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_made_up_picture_can_be_looked_at_and_is_like_no_other(kind: str) -> None:
    one, other = (Image.open(BytesIO(b"".join(Content(kind, seed, 50_000).pieces()))) for seed in ("one", "other"))
    assert one.size == other.size == PICTURE
    assert one.tobytes() != other.tobytes()


def test_a_made_up_page_is_whole() -> None:
    page = b"".join(Content("pdf", "a (b) \\", 20_000).pieces())
    (length,) = re.findall(rb"5 0 obj << /Length 0*(\d+) >> stream\n", page)
    filling = page[page.index(b"5 0 obj") :].split(b"stream\n", 1)[1]
    assert filling[int(length) :] == b"\nendstream endobj\ntrailer << /Root 1 0 R /Size 6 >>\n%%EOF\n"
    assert rb"(a \(b\) \\)" in page


def test_a_made_up_film_is_boxes_to_its_end() -> None:
    film, at, boxes = b"".join(Content("mp4", "seed", 200_000).pieces()), 0, []
    while at < len(film):
        length, name = int.from_bytes(film[at : at + 4]), film[at + 4 : at + 8]
        boxes.append(name)
        at += length if length > 1 else int.from_bytes(film[at + 8 : at + 16])
    assert (boxes[0], boxes[-1], at) == (b"ftyp", b"free", len(film))
    assert {b"moov", b"mdat"} < set(boxes)
