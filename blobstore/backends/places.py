"""Blobs in more than one place: each call goes to the place that the object's name says."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from blobstore.backend import Backend, ForeignObject, ObjectName, Reader
from blobstore.errors import BlobError, StorageUnavailable, WrongStore
from blobstore.notes import Notes
from blobstore.place import Place

Ask = Callable[[], Sequence[Place]]
Open = Callable[[Place], Backend]


class Places:
    """Adapter of `blobstore.backend.Backend` above one of each place. Places are opened when a call first wants them.

    `home` is the id of the one that was opened already, `ask` tells the places that the catalogue knows at this moment
    (it blocks), `known` those that it knew before. A place whose bytes are another store's is not used: `WrongStore`.
    """

    def __init__(self, store_id: str, home: int, opened: Backend, known: Sequence[Place], ask: Ask, open: Open) -> None:
        self._store_id = store_id
        self._home = home
        self._places = known
        self._ask = ask
        self._open = open
        self._opened = {home: opened}
        self._lock = threading.Lock()

    def learn(self, known: Sequence[Place]) -> None:
        """These are the places that the catalogue knows by now."""
        self._places = known

    @property
    def threads(self) -> int:
        return max(each.threads for each in self._all_opened())

    @property
    def lacks(self) -> Sequence[str]:
        return [lacking for each in self._all_opened() for lacking in each.lacks]

    def bind(self, store_id: str) -> str:
        return self._opened[self._home].bind(store_id)

    def bound(self) -> str | None:
        """Of all places that are known the id that is not this store's, if there is one."""
        ids = [self._backend(each.id).bound() for each in self._places]
        return next((each for each in ids if each != self._store_id), self._store_id)

    def is_empty(self) -> bool:
        return all(self._backend(each.id).is_empty() for each in self._places)

    def publish(self, name: ObjectName, staged: Path) -> bool:
        return self._backend(name.place).publish(name, staged)

    def comes_late(self, name: ObjectName) -> bool:
        return self._backend(name.place).comes_late(name)

    def open(self, name: ObjectName) -> Reader:
        return self._backend(name.place).open(name)

    def size(self, name: ObjectName) -> int | None:
        return self._backend(name.place).size(name)

    def remove(self, names: Sequence[ObjectName]) -> None:
        for place, there in _by_place(names):
            self._backend(place).remove(there)

    def left(self, names: Sequence[ObjectName]) -> list[ObjectName]:
        """In any place that is known: names of what is gone do not say where it was, and it may have had copies."""
        left = {name for place in self._places for name in self._backend(place.id).left(names)}
        return [name for name in names if name in left]

    def list(self) -> Iterator[tuple[ObjectName, int] | ForeignObject]:
        for place in self._places:
            for entry in self._backend(place.id).list():
                yield entry if isinstance(entry, ForeignObject) else (replace(entry[0], place=place.id), entry[1])

    def notes(self) -> Sequence[Notes | None]:
        """Asks which place is the intake now: who keeps something there must not be late."""
        return self.notes_of(self._ask())

    def notes_of(self, known: Sequence[Place]) -> Sequence[Notes | None]:
        """The same for who has just asked the catalogue which places there are."""
        self.learn(known)
        ordered = sorted(known, key=lambda place: not place.intake)
        return [notes for place in ordered for notes in self._backend(place.id).notes()]

    def close(self) -> None:
        for each in self._all_opened():
            each.close()

    def _all_opened(self) -> Sequence[Backend]:
        with self._lock:
            return [*self._opened.values()]

    def _backend(self, id: int) -> Backend:
        found = self._opened.get(id)
        if found is not None:
            return found
        if all(each.id != id for each in self._places):
            self.learn(self._ask())
        place = next((each for each in self._places if each.id == id), None)
        if place is None:
            raise StorageUnavailable(f"bytes are in a place that is not known (number {id}): is the catalogue whole?")
        backend = self._open(place)
        try:
            if backend.bound() != self._store_id:
                raise WrongStore(f"{place.location} has the bytes of another store, or its store-id is gone")
        except BlobError:
            backend.close()
            raise
        with self._lock:
            kept = self._opened.setdefault(id, backend)
        if kept is not backend:
            backend.close()  # another thread was first
        return kept


def _by_place(names: Sequence[ObjectName]) -> list[tuple[int, Sequence[ObjectName]]]:
    ordered = sorted(names, key=lambda name: name.place)
    return [(place, list(there)) for place, there in groupby(ordered, key=lambda name: name.place)]
