"""What each call to S3 passes: while the store does not answer, calls fail at once instead of each waiting in turn."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from blobstore.errors import StorageUnavailable

PAUSE_SECONDS = 1.0
"""A store that did not answer is asked by one caller in so long a time, until it answers again."""

PATIENCE_SECONDS = 45.0
"""A call that has taken so long does not try again."""

_BEGAN, _GAVE_UP = "blobstore_began", "blobstore_gave_up"


class Gate:
    """Stands before all calls of one client.

    A call fails when it had no answer after all its attempts. Where nobody else had one meanwhile it is the store, not
    the call: whoever comes then fails as well, but for one now and then who finds out whether it answers again. Else
    each of hundreds of parts that queue up for a few threads would wait for its own timeouts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered = 0.0
        self._shut = False
        self._next = 0.0  # when somebody may find out
        self._closed = False

    def watch(self, events: Any) -> None:
        """Stand before the calls of the client whose events these are."""
        events.register("before-call.s3", self._begins)
        events.register("before-send.s3", self._tries)
        events.register("after-call.s3", self._answers)
        events.register("after-call-error.s3", self._fails)

    def close(self) -> None:
        """Let nobody pass any more, nor try again."""
        self._closed = True

    def _begins(self, context: dict[str, Any], **_: object) -> None:
        now = context[_BEGAN] = time.monotonic()
        with self._lock:
            if self._shut:
                if now < self._next:
                    raise StorageUnavailable("S3 did not answer a moment ago")
                self._next = now + PAUSE_SECONDS

    def _tries(self, request: Any, **_: object) -> None:
        if self._closed:
            raise StorageUnavailable("S3 is asked nothing any more: the store is being closed")
        if time.monotonic() - request.context[_BEGAN] > PATIENCE_SECONDS:
            request.context[_GAVE_UP] = True
            raise StorageUnavailable("S3 does not answer, or takes too long")

    def _answers(self, **_: object) -> None:
        with self._lock:
            self._answered, self._shut = time.monotonic(), False

    def _fails(self, exception: Exception, context: Mapping[str, Any], **_: object) -> None:
        if isinstance(exception, StorageUnavailable) and _GAVE_UP not in context:
            return  # ours: nobody was asked
        with self._lock:
            if self._answered < context[_BEGAN]:
                self._shut, self._next = True, time.monotonic() + PAUSE_SECONDS
