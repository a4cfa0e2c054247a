"""Structured logs: one JSON object a line, without personal data; what a request caused carries its id.

Nothing that a client sent goes in: no URL, no header but the request's id, no body. Exceptions appear as the names of
their types and the places in the code; their messages may quote data, so only those of the storage layer are shown.
"""

import asyncio
import logging
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import msgspec

from blobstore.errors import BlobError

log = logging.getLogger("blobstore.server")
requests = logging.getLogger("blobstore.requests")
"""One line for each request, where the operator wants that."""

CURRENT: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request for which something is done, in its tasks and threads too."""

OURS = ("blobstore", "records")
"""Loggers whose news are shown as well; of libraries what they warn of."""

MAX_FRAMES = 30


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "request_id"?, "error"?}`, and what a line of `requests` has beside."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = getattr(record, "request_id", None) or CURRENT.get()
        if request_id is not None:
            entry["request_id"] = request_id
        entry |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = describe(record.exc_info[1])
        return msgspec.json.encode(entry).decode()


def describe(error: BaseException) -> list[dict[str, object]]:
    """An exception and its causes, the outermost first, each with its type and where it came from."""
    chain: list[dict[str, object]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 5:
        frames = traceback.extract_tb(current.__traceback__)[-MAX_FRAMES:]
        kind = type(current)
        link: dict[str, object] = {
            "type": f"{kind.__module__}.{kind.__qualname__}",
            "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
        if isinstance(current, BlobError):
            link["message"] = str(current)
        chain.append(link)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain


def configure() -> None:
    """Send everything to standard error in this form; for the process that serves."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)


def request(request_id: str | None, facts: Mapping[str, object]) -> None:
    """A request came to its end."""
    requests.info("request", extra={"request_id": request_id, "facts": facts})


def unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's own handler would print what an exception quotes."""
    log.error(str(context["message"]), exc_info=context.get("exception"))


def failure(error: Exception, request_id: str, message: str = "a request failed") -> None:
    """Log what a client sees only as an internal error, or as storage that does not answer."""
    log.error(message, exc_info=error, extra={"request_id": request_id})
