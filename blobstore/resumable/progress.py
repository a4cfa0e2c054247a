"""How a resumable upload stands."""

from dataclasses import dataclass

from blobstore.resumable.folder import About, Done


@dataclass(frozen=True, slots=True)
class Progress:
    """How a resumable upload stands. `expires_at`: UTC seconds. `done`: what became of it; `about` is gone then."""

    id: str
    length: int
    offset: int
    about: About | None = None
    expires_at: float | None = None
    done: Done | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all bytes have come, and are to be stored, but are not yet."""
        return self.about is not None and self.offset == self.length and not self.about.partial
