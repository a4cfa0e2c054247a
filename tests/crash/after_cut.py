"""What must hold on a disk after a power cut of the whole service, run as a command on each crash state.

With the name of a topology a move was under way: it is brought there before files are looked at.

The last line of CRASH_MARKS names a file with what had been acknowledged (`Acknowledged`, pickled). What the disk holds
is looked at as it is, then the service is started again on it, asked for everything, stopped, and collected.
"""

import asyncio
import json
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
from tests.fakes.at_rest import look_once
from tests.fakes.topologies import Storage
from tools.cli import main
from tools.opening import Opening, configure


def check(data: Path, known: Acknowledged, owner: str, to: str | None = None) -> None:
    """Raise `AssertionError` for what is lost, back, or left over."""
    look_once()
    back = known.erased & marks_in(data)
    assert not back, f"the disk still shows what was erased: {back}"
    asyncio.run(serve(data, known))
    # Not in the same run: what the server does in the background ends with it.
    if to is not None:
        assert _command(data, ("topology", "migrate", "--to", to))[0] == 0
        asyncio.run(serve(data, known))
    asyncio.run(look_at_files(data, known, owner))


async def serve(data: Path, known: Acknowledged) -> None:
    """Start again, and ask for everything."""
    configure(Opening(data, None, None))
    store = await RecordStore.open(data, topology=Opening(data, None, None).topology_there)
    config = Config(host="127.0.0.1", port=0)
    async with listening(make_app(store, config), config) as url, clients() as session:
        for token in known.tokens:
            await Look(Client(session, OneServer(url), token, random.Random(0)), known).at_all()
    await store.close()


async def look_at_files(data: Path, known: Acknowledged, owner: str) -> None:
    """What is left when no server runs, and in a backup."""

    async def run(*arguments: str) -> tuple[int, str]:
        return await asyncio.to_thread(_command, data, arguments)

    storage = Storage(Opening(data, None, None).topology_there)
    await nothing_is_left(run, data, known, owner if known.tokens else None, storage)
    if known.backups and os.environ["CRASH_MODEL"] == "strict":  # a restore takes as long as all the rest
        await restored(data.with_name("backup"), data, known)


async def restored(backup: Path, data: Path, known: Acknowledged) -> None:
    """An acknowledged backup is whole, and what was erased since does not come back with it."""
    fresh = data.with_name("restored")
    ledger = data / "erasures.ledger"
    replayed = ["--ledger", str(ledger)] if ledger.exists() else ["--without-ledger"]
    assert (await asyncio.to_thread(_command, fresh, ("restore", str(backup), *replayed)))[0] == 0
    back = known.erased & marks_in(fresh)
    assert not back, f"the backup brought back what was erased: {back}"
    code, found = await asyncio.to_thread(_command, fresh, ("doctor", "--deep", "--json"))
    errors = [each for each in json.loads(found) if each["severity"] == "error"]
    assert (code, errors) == (0, []), found


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
    owner_name, place, *wanted = sys.argv[1:]
    check(Path(os.environ["CRASH_DIR"]) / place, acknowledged(), owner_name, *wanted)
