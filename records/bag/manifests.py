"""Manifests of a bag held against its files, both ways and in both kinds: each is listed once, as it is."""

from records.bag import layout
from records.bag.layout import TAGS
from records.bag.lines import digest_in
from records.bag.survey import Survey
from records.errors import BadBag

_SHORT = 1000
"""Bytes of the smallest files, and characters of what a message repeats."""

_LISTED = {"blake3": 1, "sha256": 2}
"""What is said of a file that a manifest of this kind lists."""


def check_manifests(survey: Survey) -> None:
    """Raise `BadBag` unless the files are those that the manifests list, and the bag is of our format."""
    _check_tags(survey)
    for algorithm, mark in _LISTED.items():
        for path in (f"manifest-{algorithm}.txt", f"tagmanifest-{algorithm}.txt"):
            _check_manifest(survey, path, algorithm, mark)
        forgotten = survey.unmarked(layout.DATA, mark)
        forgotten = forgotten or next((tag for tag in TAGS if not survey.said(tag, mark)), None)
        if forgotten is not None:
            raise BadBag(f"no manifest of {algorithm} lists {forgotten}")


def _check_tags(survey: Survey) -> None:
    if survey.whole(layout.DECLARATION, _SHORT) != layout.DECLARED:
        raise BadBag("bagit.txt is not that of an export")
    info = survey.whole(layout.INFO, _SHORT).decode("utf-8", "replace").splitlines()
    if layout.FORMAT_LINE not in info:
        raise BadBag("it is no export of this program, or of a newer one")
    count, size = survey.totals(layout.DATA)
    if layout.oxum(size, count) not in info:
        raise BadBag("its files are not as many, or not as long, as bag-info.txt says")


def _check_manifest(survey: Survey, manifest: str, algorithm: str, mark: int) -> None:
    for line in survey.lines(manifest):
        digest, gap, path = line.decode("utf-8", "replace").partition("  ")
        if not gap:
            raise BadBag(f"{manifest} has a line that lists nothing")
        if path.startswith(layout.DATA) is manifest.startswith("tag") or (
            path not in TAGS and manifest.startswith("tag")
        ):
            raise BadBag(f"{manifest} lists {path[:_SHORT]!r}, which does not belong there")
        if digest_in(algorithm, survey.content(path)) != digest:
            raise BadBag(f"{path} is not what {manifest} lists")
        if not survey.mark(path, mark):
            raise BadBag(f"{manifest} lists {path} twice")
