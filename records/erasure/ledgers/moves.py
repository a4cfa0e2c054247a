"""Where the erasure ledger of a bucket went on, said in that bucket: else who reads it later would take it for all.

Each time that the ledger leaves, or comes back, one more note says where it is from then on.
"""

from blobstore.notes import Notes

MOVES = "ledger-moves/"

FILES = "file"
"""It went on in the files of a directory."""


def went_on(notes: Notes) -> str | None:
    """Where the ledger is now that once was here; None: it is here. Blocks."""
    where = _newest(notes)[1]
    return None if where == notes.where else where


def say(notes: Notes, where: str) -> None:
    """Say where it is now, unless that is what is said here. Blocks."""
    while True:
        last, said = _newest(notes)
        if said == where:
            return
        notes.create(_name(last + 1), where.encode())


def _newest(notes: Notes) -> tuple[int, str]:
    """The last number, and what it says."""
    listed = [int(name.removeprefix(MOVES)) for name in notes.names(MOVES)]
    number, said = max(listed, default=1), notes.where
    while (found := notes.read(_name(number))) is not None:  # a listing may lag behind
        said, number = found.decode(), number + 1
    return number - 1, said


def _name(number: int) -> str:
    return f"{MOVES}{number:010}"
