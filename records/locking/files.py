"""Locks between the processes of one machine: files in the data directory, which the system unlocks when one dies."""

import asyncio
from contextlib import ExitStack, suppress
from pathlib import Path

from blobstore.errors import translated
from blobstore.locked import try_file_lock
from records.locks import Held


class FileLocks:
    """Adapter of `records.locks.Locks`. A file's text is the lock's detail."""

    shared = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: set[Held] = set()

    async def take(self, name: str, detail: bytes = b"") -> Held | None:
        with ExitStack() as taking:
            if not taking.enter_context(try_file_lock(self._folder / name)):
                return None
            if detail:
                with translated("locks"):
                    (self._folder / name).write_bytes(detail)
            kept = taking.pop_all()

        async def let_go() -> None:
            self._held.discard(held)
            kept.close()

        held = Held(name, let_go)
        self._held.add(held)
        return held

    async def is_held(self, name: str, age: float = 0.0) -> bool:
        path = self._folder / name
        return path.exists() and _is_held(path)

    async def held(self, *prefixes: str) -> dict[str, bytes]:
        return await asyncio.to_thread(self._look, prefixes)

    async def close(self) -> None:
        for held in list(self._held):
            await held.release()

    def _look(self, prefixes: tuple[str, ...]) -> dict[str, bytes]:
        with translated("locks"):
            paths = [path for path in self._folder.iterdir() if path.name.startswith(prefixes)]
        found = {}
        for path in paths:
            text = b""
            with translated("locks"), suppress(FileNotFoundError):
                text = path.read_bytes()
            if _is_held(path):
                found[path.name] = text
        return found


def _is_held(path: Path) -> bool:
    """Whether anybody has it, or has taken it in this moment."""
    with try_file_lock(path) as abandoned:  # the file goes with this lock
        return not abandoned and path.exists()
