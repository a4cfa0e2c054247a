"""The pages that are made from the program: where each is, and what makes it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tools import apidocs
from tools.reference import commands, errors, man, metrics, settings

_ROOT = Path(__file__).parents[2]

PAGES: Mapping[Path, Callable[[], str]] = {
    apidocs.PAGE: apidocs.render,
    _ROOT / "docs" / "reference" / "commands.md": commands.render,
    _ROOT / "docs" / "reference" / "settings.md": settings.render,
    _ROOT / "docs" / "reference" / "errors.md": errors.render,
    _ROOT / "docs" / "reference" / "metrics.md": metrics.render,
    _ROOT / "tools" / "man" / "blobstore.1": man.render,
}
