"""What can go wrong between a program and a server.

ClientError
├── NotAnAddress       the server's address is none that can be written to
├── Unreachable        no answer came, however often it was asked
├── NotUnderstood      an answer that is none of this protocol: another server, or something between that rewrites
├── OtherBytes         the bytes that arrived are not those that were sent, or that were asked for
├── ContentChanged     what was to be sent had another length when it was read
└── ServerError        the server said no, and in its words why
    ├── Refused        this one request cannot be accepted, others may
    │   └── TooLarge   its body, a line of it or the blob exceeds a limit
    ├── Unauthorized   no token, or none that the server knows
    ├── Forbidden      the token may not do this, or the grant does not reach so far
    ├── NotFound       not there, or not for this caller
    ├── Conflict       something else is under way there, or one of several has to be named
    ├── Expired        a token of changes from before what the server remembers: begin again
    ├── NoRoom         the server's storage is full, or a quota is used up
    └── Unavailable    the server cannot now, however often it was asked

None carries a credential or an address with one.
"""

from blobstore.client.answers import Answer, ErrorAnswer
from blobstore.client.backoff import retry_after


class ClientError(Exception):
    """Base of all errors of this package."""

    retry_after: float | None = None
    """Seconds after which the server asks to be asked again."""


class NotAnAddress(ClientError, ValueError):
    """The server's address is none that can be written to."""


class Unreachable(ClientError):
    """No answer came, however often the server was asked. What was asked may have been done all the same."""


class NotUnderstood(ClientError):
    """An answer that is none of this protocol."""


class OtherBytes(ClientError):
    """The bytes that arrived are not those that were sent, or that were asked for."""


class ContentChanged(ClientError):
    """What was to be sent had another length when it was read than was announced; nothing of it was stored."""


class ServerError(ClientError):
    """The server said no. `code` and `message` are its words, empty where it had none; `parameter` what it means."""

    def __init__(self, status: int, said: ErrorAnswer) -> None:
        super().__init__(f"{status} {said}".rstrip())
        self.status = status
        self.code = said.code
        self.message = said.message
        self.parameter = said.param
        self.request_id = said.request_id


class Refused(ServerError):
    """This one request cannot be accepted, now or later; others may be. Nothing of it was kept."""


class TooLarge(Refused):
    """The body, a line of it or the blob exceeds a limit."""


class Unauthorized(ServerError):
    """No token, or none that the server knows."""


class Forbidden(ServerError):
    """The token may not do this, or the grant does not reach so far."""


class NotFound(ServerError):
    """Not there, or not for this caller."""


class Conflict(ServerError):
    """Something else is under way with what was named, or one of several has to be named."""


class Expired(ServerError):
    """A token of changes from before what the server remembers: begin again."""


class NoRoom(ServerError):
    """The server's storage is full, or a quota is used up."""


class Unavailable(ServerError):
    """The server cannot now, however often it was asked."""


_BY_STATUS: dict[int, type[ServerError]] = {
    400: Refused,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    411: Refused,
    412: Refused,
    413: TooLarge,
    415: Refused,
    416: Refused,
    422: Refused,
    423: Conflict,
    507: NoRoom,
}

AGAIN = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""


def of_answer(answer: Answer) -> ClientError:
    """What an answer means that is no success."""
    if answer.status < 400:
        return NotUnderstood(f"the server answered {answer.status}: is this the address of a blobstore server?")
    kind = Unavailable if answer.status in AGAIN else _BY_STATUS.get(answer.status, ServerError)
    error = kind(answer.status, answer.error)
    error.retry_after = retry_after(answer.headers)
    return error
