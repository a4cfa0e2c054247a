"""`python -m tools.reference`: writes every page that is made from the program."""

from tools.reference.pages import PAGES


def main() -> None:
    """Write the pages."""
    for path, render in PAGES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
