"""A real Chromium, and an alarm that tells when a stranger's script ran in it."""

from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Error,
    Page,
    Playwright,
    sync_playwright,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def driving() -> Iterator[Playwright]:
    """Playwright, without a browser. An event loop runs in this thread meanwhile: asyncio.run refuses to work."""
    with sync_playwright() as playwright:
        yield playwright


class Alarm:
    """Hears what `SCRIPT` does in any page and frame of a context.

    A sandbox forbids dialogs, and a policy requests; nothing keeps a script that runs from the console.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.heard: set[str] = set()
        context.on("console", self._console)
        context.on("dialog", self._dialog)

    def wait(self, page: Page, names: Set[str]) -> None:
        """Until all of these scripts ran; fails where one never does."""
        for _ in range(400):
            if names <= self.heard:
                return
            page.wait_for_timeout(50)
        raise AssertionError(f"these did not run: {names - self.heard}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.text.startswith("ran:"):
            self.heard.add(message.text.removeprefix("ran:"))

    def _dialog(self, dialog: Dialog) -> None:
        self.heard.add(f"dialog {dialog.message}")
        with suppress(Error):  # another alarm of the same context has
            dialog.dismiss()


def script(name: str) -> str:
    """JavaScript that sets the alarm off under a name; fit for attributes in double quotes."""
    return f"console.log('ran:{name}')"
