"""Looking for pieces of texts in files, past whatever wrote them."""

from collections.abc import Collection
from pathlib import Path

from blobstore.sqlite.connection import connect

PIECE = 16
"""Whatever 31 bytes of a text are left somewhere, they hold one of its pieces of 16 at a multiple of 16."""


def pieces_in(folder: Path, texts: Collection[str]) -> set[str]:
    """Names of the files that show a piece of any of the texts, at any offset."""
    pieces = {
        text[start : start + PIECE].encode() for text in texts for start in range(0, len(text) - PIECE + 1, PIECE)
    }
    found = set()
    for path in folder.iterdir():
        content = path.read_bytes()
        if any(content[at : at + PIECE] in pieces for at in range(len(content) - PIECE + 1)):
            found.add(path.name)
    return found


def cut_log(database: Path) -> None:
    """Empty the write-ahead log of a database that nobody has open, and no more than that."""
    connection = connect(database)
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.close()
