"""The commands that pages show: blocks of `sh`, and transcripts in which they follow `$ `."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IN_ORDER = ("docs/tutorial.md", "docs/how-to/")
"""Pages (or folders of them) whose blocks follow each other, each of which is a script."""

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))


@dataclass(frozen=True, slots=True)
class Block:
    """The commands of one fenced block, and below which heading of which page it stands; `number` from 1."""

    page: str
    heading: str
    number: int
    commands: Sequence[str]

    def __str__(self) -> str:
        return f"{self.page}#{self.heading} {self.number}"


def blocks() -> Iterator[Block]:
    """Those of all pages that show any command."""
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        found = list(_blocks(name, page.read_text(encoding="utf-8")))
        if name.startswith(IN_ORDER):
            yield Block(name, "", 1, ["\n".join(block.commands) for block in found])
        else:
            yield from found


def mentioned() -> Iterator[tuple[str, str]]:
    """Every `blobstore …` in running text, with its page."""
    for page in PAGES:
        text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for code in re.findall(r"`(blobstore [^`]+)`", text):
            yield page.relative_to(ROOT).as_posix(), " ".join(code.split())


def _blocks(page: str, text: str) -> Iterator[Block]:
    heading, number, language = "", 0, None
    lines: list[str] = []
    for line in text.splitlines():
        fence = re.match(r" *```(\w*)", line)
        if fence and language is not None:
            if commands := _commands(language, lines):
                number += 1
                yield Block(page, heading, number, commands)
            language = None
        elif fence:
            language, lines = fence[1], []
        elif language is not None:
            lines.append(line.strip())
        elif line.startswith("#"):
            heading, number = line.lstrip("# "), 0


def _commands(language: str, lines: Sequence[str]) -> list[str]:
    if language == "":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    if language != "sh":
        return []
    whole = "\n".join(lines).replace("\\\n", " ")
    return [line for line in whole.splitlines() if line.strip() and not line.startswith("#")]
