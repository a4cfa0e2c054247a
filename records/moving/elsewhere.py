"""Owners whose records are in files of one directory, while what is central is in a database that others may open.

The central store says so, from before their records leave the database until they are back. To any other directory they
would look like owners without records; so none is opened meanwhile, and one that is open already answers nothing of
theirs. Nor does it take back marks that the mover of another directory sets.
"""

import asyncio
import socket
from pathlib import Path

from blobstore.errors import WrongStore
from blobstore.sqlite.outside import place_of
from blobstore.staging import host_there
from records.central import Central
from records.centre import Centre
from records.errors import Conflict
from records.layout import Topology, record_file

_FILES = "files of "
"""What the topology of such an owner begins with; then come the host, and for people where that is."""


async def say_here(central: Central, owner: str, directory: Path, host: str) -> None:
    """The owner's records are in files of this directory, which is `host`, or about to be. Raises `Conflict`."""
    there = (await central.shards(owner)).topology
    wanted = f"{_FILES}{host} {directory.resolve()} on {socket.gethostname()}"
    if there != wanted and not await central.set_topology(owner, there, wanted):
        raise Conflict("the records of this owner are being moved already")


async def say_back(central: Central, owner: str) -> None:
    """They are in the database."""
    there = (await central.shards(owner)).topology
    if there is not None and there.startswith(_FILES):
        await central.set_topology(owner, there, str(Topology.POSTGRES))


async def require_all_here(central: Central, directory: Path) -> None:
    """Raise `WrongStore` where the records of any owner are in files of another directory."""
    for owner, said in (await central.topologies()).items():
        await _require_here(central, directory, owner, said)


async def require_here(central: Central, directory: Path, owner: str) -> None:
    """The same for one owner."""
    said = (await central.shards(owner)).topology
    if said is not None:
        await _require_here(central, directory, owner, said)


async def files_are_lost(directory: Path, database_url: str, subject: str) -> bool:
    """Let the database have the last word on an owner's records, the directory that had them being no more.

    False where there is no such owner.
    """
    centre = Centre(directory, Topology.POSTGRES, database_url)
    try:
        central = await centre.central()
        owner = next((each for each in await central.owners() if each.subject == subject), None)
        if owner is not None:
            await say_back(central, owner.id)
        return owner is not None
    finally:
        await centre.close()


async def _require_here(central: Central, directory: Path, owner: str, said: str) -> None:
    if not said.startswith(_FILES):
        return
    host, _, where = said.removeprefix(_FILES).partition(" ")
    if await asyncio.to_thread(_is_here, directory, host, owner):
        return
    subject = next((each.subject for each in await central.owners() if each.id == owner), owner)
    back = f"`blobstore topology migrate --owner {subject} --to postgres`"
    raise WrongStore(
        f"the records of {subject} are in files of another directory, {where}, and from here nobody would see them:"
        f" run {back} there, or use that directory alone; where it is lost, run {back[:-1]} --files-lost` here: then"
        " the owner has what the database still has, and the rest comes from a backup or an export"
    )


def _is_here(directory: Path, host: str, owner: str) -> bool:
    """Of this host, or here all the same: the directory was moved or copied, which makes it another host."""
    file = record_file(directory, owner)
    return host == host_there(directory) or (file.exists() and place_of(file) is None)
