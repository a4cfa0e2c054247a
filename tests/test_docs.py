"""The documentation says what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFORMANCE = (ROOT / "docs" / "conformance.md").read_text()
ROW = re.compile(r"^\| (?P<number>[ABG]\d+) \|.*\| (?P<tests>[^|]+) \|$", re.MULTILINE)


def defined_tests() -> set[str]:
    """The names of all tests. To parse them takes seconds, and a class's are not set in further."""
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    texts += [path.read_text() for path in (ROOT / "tests" / "conformance").glob("*.py")]
    return {name for text in texts for name in re.findall(r"^(?:    )?(?:async )?def (test_\w+)\(", text, re.MULTILINE)}


def test_every_test_that_the_page_on_conformance_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", CONFORMANCE))
    assert len(named) > 200
    assert named - defined_tests() == set()


def test_every_behaviour_has_its_tests_or_a_reason_why_there_is_none() -> None:
    rows = {row["number"]: row["tests"] for row in ROW.finditer(CONFORMANCE)}
    numbers = [*(f"A{n}" for n in range(1, 97)), *(f"B{n}" for n in range(1, 114)), *(f"G{n}" for n in range(1, 17))]
    assert list(rows) == numbers
    for number, tests in rows.items():
        others = re.findall(r"\bA\d+\b", tests)
        assert "`test_" in tests or tests.startswith("None: ") or others, number
        assert all("`test_" in rows[other] for other in others), number


def test_every_module_that_a_page_names_exists() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    named = {path for page in pages for path in re.findall(r"`((?:[\w-]+/)+[\w-]+\.py)`", page.read_text())}
    assert len(named) > 20
    assert {path for path in named if not (ROOT / path).is_file()} == set()


def test_every_link_of_a_page_leads_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), (page.name, path)
            if anchor and target.suffix == ".md":
                headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, anchor
