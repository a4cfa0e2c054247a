"""Debian's Chromium, without a window, for whatever here wants a real browser."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright


@contextmanager
def chromium(playwright: "Playwright", program: str | Path = "/usr/bin/chromium") -> "Iterator[Browser]":
    """A browser, closed at the end."""
    options = [] if os.geteuid() else ["--no-sandbox"]  # its own sandbox needs another user than root
    browser = playwright.chromium.launch(executable_path=program, args=options)
    try:
        yield browser
    finally:
        browser.close()
