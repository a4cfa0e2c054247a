"""The way of a newcomer, in a real browser: from `make demo` to the receipt of an erasure; timed, with pictures.

`python -m tools.walk --pictures docs/images` makes the pictures of the documents. It wants Debian's `chromium`.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console
from rich.table import Table

from tools.browser import chromium
from tools.running import blobstore

FILM = "recording.mp4"
SEEK_TO = 20.0
"""Seconds into the film."""

PATIENCE = 120_000
"""Milliseconds that a page may take: of a machine that is busy."""


@dataclass
class Walk:
    """What was done, and how long each step took in seconds; `picture` keeps what the browser shows at a step."""

    pictures: Path | None
    steps: list[tuple[str, float]] = field(default_factory=list)
    _since: float = field(default_factory=time.perf_counter)

    def done(self, step: str) -> None:
        """A step is done."""
        now = time.perf_counter()
        self.steps.append((step, now - self._since))
        self._since = now

    def picture(self, page: Page, name: str) -> None:
        """Keep what is to be seen."""
        if self.pictures is not None:
            page.screenshot(path=self.pictures / f"console-{name}.png", animations="disabled")
            self._since = time.perf_counter()


@click.command(help=__doc__)
@click.option("--pictures", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Folder for pictures.")
def main(pictures: Path | None) -> None:
    """Walk, and tell how long each step took."""
    table = Table("step", "seconds")
    for step, seconds in walk(pictures):
        table.add_row(step, f"{seconds:.1f}")
    Console().print(table)


def walk(pictures: Path | None = None) -> list[tuple[str, float]]:
    """Every step with its seconds. Raises `AssertionError`, or what the browser raises, where one does not work."""
    walked = Walk(pictures)
    with tempfile.TemporaryDirectory() as scratch, demonstration(Path(scratch) / "demo") as (url, token, data):
        walked.done("`make demo`: a workspace, a server, hydrated, one attachment proven")
        with sync_playwright() as playwright, chromium(playwright) as browser:
            page = browser.new_page(accept_downloads=True)
            page.set_default_timeout(PATIENCE)
            sign_in(page, url, token)
            walked.done("open the console, sign in")
            walked.picture(page, "overview")
            seek(page, walked)
            receipt = Path(scratch) / "receipt.json"
            erase(page, receipt, walked)
        verify(receipt, data)
        walked.done("`blobstore receipt verify`")
    return walked.steps


@contextmanager
def demonstration(directory: Path) -> Iterator[tuple[str, str, Path]]:
    """`make demo`, which goes on until this ends: the address of its console, its token, its data directory."""
    command = [sys.executable, "-m", "tools.demo", "--directory", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said: dict[str, str] = {}
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            said[word] = rest.strip()
            if word == "token":
                break
        yield said["console"], said["token"], directory / "data"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def sign_in(page: Page, url: str, token: str) -> None:
    """As its owner."""
    page.goto(url)
    page.get_by_label("Owner token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def seek(page: Page, walked: Walk) -> None:
    """Find the film, play from its middle."""
    page.get_by_role("link", name="Attachments").click()
    expect(page.get_by_role("link", name=FILM, exact=True)).to_be_visible()
    walked.picture(page, "attachments")
    page.get_by_role("link", name=FILM, exact=True).click()
    film = page.locator("video")
    film.evaluate(
        "(film, to) => new Promise((resolve, reject) => {"
        " film.onseeked = () => resolve(); film.onerror = () => reject(film.error.message);"
        " film.currentTime = to; })",
        SEEK_TO,
    )
    assert film.evaluate("film => film.currentTime") == SEEK_TO
    assert film.evaluate("film => film.readyState") >= 2, "there is no picture at that moment"
    walked.done("find a film, seek in it")
    walked.picture(page, "film")


def erase(page: Page, receipt: Path, walked: Walk) -> None:
    """Erase the source whose film it was, and save the receipt."""
    page.get_by_role("link", name="Connectors").click()
    page.locator("main").get_by_role("link", name="Erase").first.click()
    word = page.locator("#word strong").inner_text()
    walked.picture(page, "erase")
    page.get_by_label("Confirmation").fill(word)
    page.get_by_role("button", name="Erase it").click()
    expect(page.get_by_role("heading", name="Erased", exact=True)).to_be_visible(timeout=PATIENCE)
    walked.picture(page, "erased")
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the receipt").click()
    download.value.save_as(receipt)
    walked.done("erase its source, save the receipt")
    page.get_by_role("link", name="Attachments").click()
    expect(page.get_by_role("link", name=FILM, exact=True)).to_have_count(0)


def verify(receipt: Path, data: Path) -> None:
    """Check the receipt with the key of the server that gave it, as anybody can."""
    key = subprocess.run(blobstore("receipt", "key", "--data", data), check=True, capture_output=True, text=True)
    said = subprocess.run(
        blobstore("receipt", "verify", receipt, "--key", key.stdout.strip()), check=True, capture_output=True, text=True
    )
    assert said.stdout.startswith("genuine"), said.stdout


if __name__ == "__main__":
    main()
