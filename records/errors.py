"""What can go wrong with records.

RecordError
├── Unknown              no such owner, connector, instance, stream or record (also: not for this caller)
├── Ambiguous            several instances and none was named
├── Invalid              the request cannot be meant; carries the contract's code and the parameter
│   ├── InvalidCursor    a cursor that this server did not make for this list
│   └── BadBag           what was brought is no bag as an export makes it; nothing of it is taken
├── CursorExpired        a change token older than what is remembered
├── Forbidden            the grant does not allow it; carries the contract's code and the parameter
│   └── GrantEnded       (records.consent.access) it was revoked or has expired; carries the scope that it gave
└── Conflict             an erasure came in between, or the thing is not in the state that this needs
    ├── Fenced           the engine: the instance's epoch has moved on
    └── Released         the engine: a release came between hold and link; hold again

A disk or a database that does not answer is `blobstore.errors.StorageUnavailable` here too:

StorageUnavailable
├── SourceDown           the records of one connector do not answer; those of others do
│   └── SourceDamaged    (also a `Damaged`) and will not before somebody mends them
├── NotExported          no export is made or goes on: there are too many, or an erasure came in between
└── Partly               of several connectors some answered; carries what they said
"""

from collections.abc import Collection, Mapping, Sequence

from blobstore.digest import Digest
from blobstore.errors import Damaged, StorageUnavailable
from records.model import Partition, PartitionStats


class RecordError(Exception):
    """Base of all errors of this package; the message is fit for the caller to read."""


class SourceDown(StorageUnavailable):
    """The records of one connector do not answer; those of others do. Its cause says more, for the operator.

    `others`: what connectors that do answer hold, where all were asked for it.
    """

    others: Mapping[Partition, PartitionStats] | None = None

    def __init__(self, connector: str) -> None:
        super().__init__(f"the records of {connector} cannot be read; those of other connectors can")
        self.connector = connector


class SourceDamaged(SourceDown, Damaged):
    """As `SourceDown`, and trying again does not help."""


class NotExported(StorageUnavailable):
    """No export is made now, or it does not go on. The message is fit for the caller to read."""


class Partly(StorageUnavailable):
    """Some connectors of an owner did not answer (`silent`); `answer` is what the others said."""

    def __init__(self, answer: Mapping[Digest, str], silent: Collection[str]) -> None:
        super().__init__(f"the records of {', '.join(sorted(silent))} cannot be read")
        self.answer = answer
        self.silent = silent


class Unknown(RecordError, LookupError):
    """No such owner, connector, instance, stream or record, or none that this caller may know of."""


class Ambiguous(RecordError):
    """Several instances could be meant and none was named. `candidates` are their ids."""

    def __init__(self, message: str, candidates: Sequence[str]) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class Invalid(RecordError, ValueError):
    """The request cannot be meant. `code` is the contract's, `param` the parameter at fault."""

    def __init__(self, message: str, code: str = "invalid_request", param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class InvalidCursor(Invalid):
    """A cursor or change token that this server did not make for this list, this order and this caller."""

    def __init__(self, param: str = "cursor") -> None:
        super().__init__(f"the {param} does not belong to this list; start again without it", "invalid_cursor", param)


class BadBag(Invalid):
    """What was brought is not a bag as an export makes it, or not whole. Nothing of it was taken."""

    def __init__(self, message: str) -> None:
        super().__init__(f"the bag is refused: {message}")


class CursorExpired(RecordError):
    """A change token from before what is remembered: the client has to begin again."""


class Forbidden(RecordError):
    """The caller is known, and its grant does not allow this. `code` is the contract's, `param` what is at fault."""

    def __init__(self, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class Conflict(RecordError):
    """An erasure came in between, or the thing is not in the state that the request needs."""


class Fenced(Conflict):
    """The instance's epoch has moved on: it was erased while the request ran. Nothing was written."""


class Released(Conflict):
    """A release came between hold and link. Nothing was written; hold again and repeat."""
