"""What must hold on a disk after a power cut of the whole service, run as a command on each crash state.

The last line of CRASH_MARKS names a file with what had been acknowledged (`Acknowledged`, pickled). What the disk holds
is looked at as it is, then the service is started again on it, asked for everything, stopped, and collected.
"""

import asyncio
import os
import pickle
import random
import sys
from pathlib import Path

from click.testing import CliRunner

from records.store import RecordStore
from server.app import make_app
from server.config import Config
from server.run import listening
from tests.crash.acknowledged import Acknowledged, marks_in
from tests.crash.look import Look, clients, nothing_is_left
from tests.crash.workers import Client, OneServer
from tools.cli import main
from tools.opening import Opening, configure


async def check(data: Path, known: Acknowledged, owner: str) -> None:
    """Raise `AssertionError` for what is lost, back, or left over."""
    back = known.erased & marks_in(data)
    assert not back, f"the disk still shows what was erased: {back}"
    configure(Opening(data, None, None))
    store = await RecordStore.open(data)
    config = Config(host="127.0.0.1", port=0)
    async with listening(make_app(store, config), config) as url, clients() as session:
        for token in known.tokens:
            await Look(Client(session, OneServer(url), token, random.Random(0)), known).at_all()
    await store.close()

    async def run(*arguments: str) -> tuple[int, str]:
        return await asyncio.to_thread(_command, data, arguments)

    await nothing_is_left(run, data, known, owner if known.tokens else None)


def _command(data: Path, arguments: tuple[str, ...]) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*arguments, "--data", str(data)], catch_exceptions=False)
    if result.exit_code:
        print(result.stderr)
    return result.exit_code, result.stdout


def acknowledged() -> Acknowledged:
    """What had been acknowledged before the cut."""
    notes = Path(os.environ["CRASH_MARKS"]).read_text().splitlines()
    found: Acknowledged = pickle.loads(Path(notes[-1]).read_bytes()) if notes else Acknowledged()
    return found


if __name__ == "__main__":
    owner_name, place = sys.argv[1:]
    asyncio.run(check(Path(os.environ["CRASH_DIR"]) / place, acknowledged(), owner_name))
