"""`blobstore connector detach` that is killed with no notice before or after one of its steps."""

import inspect
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from blobstore.gc import Collector
from records.bundle import detaching, folder
from records.bundle.detaching import Detaching
from records.centrals.sqlite import SqliteCentral
from records.erasure.erasing import Erasing
from tools.cli import main

STEPS: dict[str, tuple[Any, str]] = {
    "write": (Detaching, "_write"),
    "keep": (folder, "keep_erasure"),
    "publish": (detaching, "_publish"),
    "fence": (Detaching, "_fence"),
    "look": (Detaching, "_seen"),
    "begin": (SqliteCentral, "begin_erasure"),
    "remove": (Erasing, "remove"),
    "release": (Collector, "release"),
    "finish": (SqliteCentral, "finish_erasure"),
    "receipt": (folder, "keep_receipt"),
}


def killing(call: Callable[..., Any], when: str) -> Callable[..., Any]:
    """The call, and the end of this process before or after it."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if inspect.iscoroutinefunction(call):

        async def waited(*arguments: Any, **named: Any) -> Any:
            if when == "before":
                kill()
            await call(*arguments, **named)
            kill()

        return waited

    def called(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            kill()
        call(*arguments, **named)
        kill()

    return called


if __name__ == "__main__":
    place, name = STEPS[sys.argv[1]]
    setattr(place, name, killing(getattr(place, name), sys.argv[2]))
    main(sys.argv[3:])
