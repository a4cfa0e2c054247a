"""The files of the made-up workspace: ordinary ones, odd names, and each way in which a file can go wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tools.slack.sample.cast import START, TEAM, USERS
from tools.slack.sample.content import Content
from tools.slack.source import SlackObject
from tools.slack.status import Status

_TYPES = {
    "png": ("image/png", "png", "PNG"),
    "jpg": ("image/jpeg", "jpg", "JPEG"),
    "pdf": ("application/pdf", "pdf", "PDF"),
    "mp4": ("video/mp4", "mp4", "MPEG 4 Video"),
    "zip": ("application/zip", "zip", "Zip"),
    "text": ("text/plain", "text", "Plain Text"),
    "html": ("text/html", "html", "HTML"),
    "canvas": ("application/vnd.slack-docs", "quip", "Canvas"),
    "post": ("text/plain", "space", "Post"),
    "email": ("text/html", "email", "Email"),
    "gdoc": ("application/vnd.google-apps.document", "gdoc", "Google Docs"),
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One file: what Slack says, what lies on disk, and what must become of it."""

    id: str
    name: str
    type: str
    expected: Status
    truth: Content | None = None
    """The bytes as they are in Slack; None where it has none to give."""
    held: Content | None = None
    """The bytes that an archive holds."""
    declared: int | None = None
    mode: str = "hosted"
    saved_as: str | None = None
    """The name on disk where it is not Slack's."""
    before: str | None = None
    """The mode in which an earlier run of the archiver saw the file, where Slack says something else by now."""

    def form(self, *, url_base: str = "https://files.slack.com", token: str = "", first: bool = False) -> SlackObject:
        """The object as Slack gives it; `first`: as the archiver's first run saw it."""
        mode = self.before if first and self.before else self.mode
        stub: SlackObject = {"id": self.id, "mode": mode}
        match mode:
            case "tombstone":
                return stub
            case "hidden_by_limit":
                return stub | {"name": None, "size": 0, "created": 0, "url_private": ""}
            case "file_access":
                return stub | {"file_access": "check_file_info", "created": 0, "user": ""}
        return self._full(mode, url_base, f"?t={token}" if token else "")

    def _full(self, mode: str, url_base: str, query: str) -> SlackObject:
        mimetype, filetype, pretty = _TYPES[self.type]
        address = f"{url_base}/files-pri/{TEAM}-{self.id}"
        external = mode == "external"
        return {
            "id": self.id,
            "created": START + int(self.id[1:-6]),
            "timestamp": START + int(self.id[1:-6]),
            "name": self.name,
            "title": self.name,
            "mimetype": mimetype,
            "filetype": filetype,
            "pretty_type": pretty,
            "user": USERS[int(self.id[1:-6]) % len(USERS)]["id"],
            "size": self.declared if self.declared is not None else (self.truth.size if self.truth else 0),
            "mode": mode,
            "is_external": external,
            "external_type": "gdrive" if external else "",
            "is_public": True,
            "file_access": "visible",
            "url_private": f"https://docs.example.com/{self.id}" if external else f"{address}/file{query}",
            **({} if external else {"url_private_download": f"{address}/download/file{query}"}),
            "permalink": f"https://sample.slack.com/files/U001SAMPLE/{self.id}/file",
        }


def planned(video_bytes: int, more: Iterable[Content] = ()) -> list[Planned]:
    """Every file, by id; the video has `video_bytes`. `more` are ordinary files beside the odd ones."""
    everything = [*_ordinary(video_bytes), *_oddly_named(), *_odd_but_whole(), *_damaged(), *_without_bytes()]
    everything += [
        _whole(f"{content.seed}.{content.kind}", content.kind, content.size, seed=content.seed) for content in more
    ]
    return [replace(file, id=f"F{number:03d}SAMPLE") for number, file in enumerate(everything, start=1)]


def _whole(name: str, kind: str, size: int, *, seed: str | None = None, **more: object) -> Planned:
    content = Content(kind, seed or name, size)
    plan = Planned("", name, kind, Status.HYDRATED, truth=content, held=content)
    return replace(plan, **more)  # type: ignore[arg-type]  # keyword by keyword checked by the dataclass itself


def _ordinary(video_bytes: int) -> Iterator[Planned]:
    yield _whole("harbour.png", "png", 180_000)
    # The same picture three times: once more under its name, once under another.
    yield _whole("harbour.png", "png", 180_000)
    yield _whole("IMG_0042.png", "png", 180_000, seed="harbour.png")
    yield _whole("recording.mp4", "mp4", video_bytes)
    yield _whole("report.pdf", "pdf", 420_000)
    yield _whole("holiday.jpg", "jpg", 96_321)
    yield _whole("sources.zip", "zip", 65_536)
    yield _whole("notes.txt", "text", 2_048)
    yield _whole("nothing.txt", "text", 0)


def _oddly_named() -> Iterator[Planned]:
    for name, saved_as in (
        ("会議の議事録 🎉.pdf", None),
        ("re\u0301sume\u0301.pdf", None),
        ("x" * 251 + ".txt", None),
        ("../../../../escape.txt", ".._.._.._.._escape.txt"),
        ("..", "unnamed_file"),
        ("-rf.txt", None),
        (".profile", None),
        ("CON.txt", "_CON.txt"),
        ('what<is>this:"a|b*c?".txt', "what_is_this__a_b_c__.txt"),
        ("two\nlines.txt", None),
        ('"; filename=evil.exe', "_; filename=evil.exe"),
        ("trailing. ", "trailing"),
    ):
        yield _whole(name, "text", 700 + len(name), saved_as=saved_as)
    yield _whole("", "pdf", 3_000, seed="nameless", saved_as="unnamed_file")


def _odd_but_whole() -> Iterator[Planned]:
    yield _whole("minutes.html", "html", 4_096)
    yield replace(_whole("Untitled", "html", 9_000), type="canvas", mode="quip", declared=350)
    yield replace(_whole("Roadmap", "html", 2_500), type="post", mode="space", declared=9_999)
    yield replace(_whole("Re: budget", "html", 5_000), type="email", mode="email")
    yield replace(_whole("grown.txt", "text", 5_500), declared=5_000)
    yield replace(_whole("snippet.txt", "text", 1_900), mode="snippet", before="hosted")
    yield replace(_whole("hidden by now.jpg", "jpg", 7_000), mode="hidden_by_limit", before="hosted")


def _damaged() -> Iterator[Planned]:
    cut = _whole("cut off.pdf", "pdf", 50_000)
    yield replace(cut, held=Content("pdf", cut.name, 20_000), expected=Status.TRUNCATED)
    empty = _whole("emptied.jpg", "jpg", 8_000)
    yield replace(empty, held=Content("jpg", "", 0), expected=Status.EMPTY)
    page = Content("sign-in", "everywhere the same", 47_000)
    yield replace(_whole("chart.png", "png", 12_000), held=page, expected=Status.WRONG_CONTENT)


def _without_bytes() -> Iterator[Planned]:
    for name in ("never saved.pdf", "y" * 300 + ".txt"):
        yield replace(_whole(name, "pdf", 6_000), held=None, expected=Status.MISSING)
    yield replace(_whole("", "pdf", 6_000, seed="nameless, too"), held=None, expected=Status.MISSING)
    gone = Planned("", "", "pdf", Status.TOMBSTONE, mode="tombstone")
    yield gone
    # Saved, then deleted in Slack.
    yield replace(gone, name="regretted.pdf", before="hosted", held=Content("pdf", "regretted.pdf", 4_000))
    yield replace(gone, mode="hidden_by_limit", expected=Status.HIDDEN_BY_LIMIT)
    yield replace(gone, mode="file_access", expected=Status.FILE_ACCESS)
    yield replace(gone, name="Shared plan", type="gdoc", mode="external", expected=Status.EXTERNAL, declared=1_234)
