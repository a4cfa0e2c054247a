"""Do the parts of a data directory belong together? Asked before anything is served or deleted.

A part may come from another store, or from another time of this one: somebody restored one file alone, or none was
mounted and an empty one was made. Two things tell.

* **Names.** Central store and record files carry the store's id, record files their owner's too. The central store
  carries the mark of the secret as well: two directories that share a database have one secret.
* **Numbers.** An outbox never gives a number twice and forgets an event only when the spine has it; the spine remembers
  the last number that it took. So `drained <= delivered <= given`, always. An outbox that has given less than the spine
  took is older than the central store; one that forgot more is newer.
"""

from pathlib import Path

from blobstore.backends.where import Where
from blobstore.catalogue import Catalogue, Numbering
from blobstore.errors import WrongStore
from records.audit.outboxes import BLOBS
from records.central import Central
from records.engine import Engine
from records.keyring import Keyring
from records.layout import SECRET, STORE_ID, Topology, record_files


async def require_own_directory(
    directory: Path, topology: Topology, central: Central, where: Where, secret_file: Path | None
) -> None:
    """Raise `WrongStore` where the directory is a new one, the central store is not, and it cannot join it.

    It can where bytes live in S3 and it has a secret: whether that is the store's is for `require_one_store` to say.
    """
    # In this order: who made an owner had made the file before.
    if not await central.owners() or (directory / STORE_ID).exists():
        return
    if where.is_files:
        raise WrongStore(
            f"{topology.central} knows owners, but {directory} is new: it is another directory's, whose files are"
            " needed, too; give that one, or an empty database"
        )
    if secret_file is None and not (directory / SECRET).exists():
        raise WrongStore(
            f"{topology.central} knows owners, but {directory} is new: to join them it needs the secret that they were"
            " made with (--secret-file FILE)"
        )


async def require_one_store(
    directory: Path, topology: Topology, central: Central, store_id: str, keyring: Keyring
) -> None:
    """Raise `WrongStore` where the central store is another store's than the catalogue, or another secret's.

    Whoever is the first to ask decides whose it is. Asked before the directory is given the name of a store.
    """
    store, _, mark = (await central.bind(f"{store_id}/{keyring.mark()}")).partition("/")
    if store != store_id:
        raise WrongStore(
            f"{topology.central} is another store's than {topology.catalogue}; restore the one that belongs here"
        )
    if mark and mark != keyring.mark():  # a store of the first days has none
        raise WrongStore(
            f"secret of {directory} is not the one that {topology.central} was made with: copy the file `secret` of the"
            " directory that was the first, restore it, or name it by --secret-file; tokens of the one would mean"
            " nothing to the other"
        )


async def require_agreement(directory: Path, topology: Topology, central: Central, catalogue: Catalogue) -> None:
    """Raise `WrongStore` where central store and catalogue are not of one time."""
    if not await central.owners() and (await catalogue.walk(None, 1) or any(record_files(directory))):
        raise WrongStore(f"{topology.central} knows nobody, but there are blobs or records; restore it from a backup")
    numbering = await catalogue.numbering()
    delivered = await central.delivered_by(BLOBS)
    _require_order(topology, topology.catalogue, numbering, delivered, await catalogue.numbering())


async def require_own(
    owner: str, topology: Topology, engine: Engine, central: Central, store_id: str, shard: str | None = None
) -> None:
    """Raise `WrongStore` where these are not the records of this owner of this store, in this shard and of its time."""
    name = f"{store_id}/{owner}" if shard is None else f"{store_id}/{owner}/{shard}"
    if await engine.bind(name) != name:
        raise WrongStore(
            f"{topology.records(owner, shard)} has the records of another owner, or another store;"
            " restore the right ones"
        )
    before = await engine.numbering()
    delivered = {source: await central.delivered(owner, source) for source in before}
    after = await engine.numbering()
    for source, numbering in before.items():
        _require_order(topology, topology.records(owner, shard), numbering, delivered[source], after[source])


def _require_order(topology: Topology, part: str, before: Numbering, delivered: int, after: Numbering) -> None:
    """The outbox was looked at before and after: others drain it, and write into it, meanwhile."""
    if before.drained > delivered:
        raise WrongStore(f"{topology.central} is older than {part}: one of the two was restored alone; restore both")
    if delivered > after.given:
        raise WrongStore(f"{part} is older than {topology.central}: one of the two was restored alone; restore both")
