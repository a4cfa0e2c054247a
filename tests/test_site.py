"""The site of the documents, and the pages that are made from the program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.api.errors import FAILURES
from tools.cli import main
from tools.reference.errors import DO
from tools.reference.pages import PAGES

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_that_is_made_from_the_program_is_current(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page](), "make it anew: python -m tools.reference"


def test_every_error_says_what_to_do() -> None:
    assert DO.keys() == FAILURES.keys()


def test_the_site_has_every_page_and_no_link_into_nothing_and_fetches_nothing_from_others(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    fetched = re.compile(r"""<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="?(https?:[^" >]*)""")
    assert {url for page in pages for url in fetched.findall(page.read_text())} == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    script = CliRunner().invoke(main, ["completion", shell])
    assert script.exit_code == 0
    assert f"_BLOBSTORE_COMPLETE={shell}_complete" in script.output
    for words, completed in (("blobstore spine ver", "verify"), ("blobstore receipt verify --k", "--key")):
        typed = {
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1 if shell != "fish" else words.split()[-1]),
        }
        told = CliRunner().invoke(
            main, prog_name="blobstore", env={**typed, "_BLOBSTORE_COMPLETE": f"{shell}_complete"}
        )
        assert completed in told.output
