"""A workspace of any form, once its rows and its attachments are at hand: the one `Source` there is."""

from collections.abc import Callable, Iterator
from io import BufferedReader

from blobstore.sqlite import sqlite3
from tools.slack import status
from tools.slack.attachments import Attachments
from tools.slack.source import FileEntry, Located, SlackObject, Strays
from tools.slack.tables import Rows
from tools.slack.tree import Tree


def _nothing() -> None:
    """For forms that cannot change while they are read."""


class Workspace:
    """See the port `source.Source`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        tree: Tree,
        attachments: Attachments,
        *,
        unusable: Strays | None = None,
        unchanged: Callable[[], None] = _nothing,
        digest: Callable[[], bytes] | None = None,
    ) -> None:
        """`unchanged` raises `SourceError` when the source was written to since it was opened; `digest` as the port."""
        self._rows = Rows(connection)
        self._tree = tree
        self._attachments = attachments
        self._unusable = unusable or Strays()
        self._unchanged = unchanged
        self._digest = digest

    def channels(self) -> Iterator[SlackObject]:
        """As the port says, by id."""
        yield from self._rows.channels()
        self._unchanged()

    def users(self) -> Iterator[SlackObject]:
        """As the port says, by id."""
        yield from self._rows.users()
        self._unchanged()

    def messages(self) -> Iterator[tuple[str, SlackObject]]:
        """As the port says, by time."""
        yield from self._rows.messages()
        self._unchanged()

    def files(self) -> Iterator[FileEntry]:
        """As the port says, by id."""
        for forms in self._rows.files():
            yield _entry(forms, self._attachments)
        self._unchanged()

    def digest(self) -> bytes | None:
        """As the port says."""
        digest = self._digest() if self._digest else None
        self._unchanged()
        return digest

    @property
    def listed(self) -> bytes:
        """As the port says."""
        return self._attachments.listed

    def open(self, located: Located) -> BufferedReader:
        """As the port says."""
        return self._tree.open(located.where)

    @property
    def strays(self) -> Strays:
        """As the port says."""
        return self._attachments.strays()

    @property
    def unusable(self) -> Strays:
        """As the port says."""
        return self._unusable

    def close(self) -> None:
        """As the port says."""
        self._rows.close()
        self._tree.close()


def _entry(forms: list[SlackObject], attachments: Attachments) -> FileEntry:
    """One file from its forms, oldest first. A deletion is final: a form that is newer does not undo it."""
    tombstones = [form for form in forms if status.is_tombstone(form)]
    slack = (tombstones or forms)[-1]
    described = [form for form in forms if not status.is_stub(form)]
    earlier = described[-1] if described and status.is_stub(slack) else None
    located = attachments.locate(slack["id"], earlier or slack)
    return FileEntry(slack["id"], slack, located, deleted=bool(tombstones), earlier=earlier)
