"""`blobstore quota`: how many bytes owners and connectors may keep."""

import click

from blobstore.quota import EVERY, WHOLE, Limit
from records.central import Owner
from records.errors import SourceDown
from records.manifest import connector_key
from records.store import RecordStore
from tools.down import tell_down
from tools.looking import known_owner, run_looking
from tools.opening import Opening, run_with_store, store_options
from tools.output import json_option, listing
from tools.sizes import SIZE

COLUMNS = ("owner", "connector", "limit_bytes", "used_bytes", "record_bytes", "blob_bytes", "reserved_bytes")

_owner = click.option("--owner", help="Whose quota (default: that of every owner who has none of their own).")
_connector = click.option("--connector", help="Of this connector alone; `*`: of each that has none of its own.")


@click.group()
def quota() -> None:
    """Quotas: the most bytes of records and blobs together. Servers that run obey at once."""


@quota.command("set")
@store_options
@_owner
@_connector
@click.argument("size")
def set_quota(opening: Opening, owner: str | None, connector: str | None, size: str) -> None:
    """Allow SIZE bytes (10GiB, 500MB, …), or `unlimited`: then no rule for all applies.

    The rule that names most counts alone. What is kept already stays, whatever it exceeds.
    """
    most = None if size == "unlimited" else SIZE.convert(size, None, None)

    async def work(store: RecordStore) -> None:
        await store.blobs.catalogue.limit(Limit(*await _named(store, owner, connector), most))

    run_with_store(opening, work)


@quota.command()
@store_options
@_owner
@_connector
def clear(opening: Opening, owner: str | None, connector: str | None) -> None:
    """Take a quota away; a rule for all applies again where there is one."""

    async def work(store: RecordStore) -> bool:
        return await store.blobs.catalogue.unlimit(*await _named(store, owner, connector))

    if not run_with_store(opening, work):
        raise click.ClickException("there is no such quota; see `blobstore quota list`")


@quota.command("list")
@store_options
@json_option
def list_quotas(opening: Opening, as_json: bool) -> None:
    """List all quotas, and what is used of those of one owner. `*` stands for each that has none of its own.

    Exit code 1: of some owners not all records can be read; what they use is left out.
    """
    down: dict[str, SourceDown] = {}
    listing(run_looking(opening, lambda store: _rows(store, down)), as_json=as_json, columns=COLUMNS)
    tell_down(down.items())


async def _rows(store: RecordStore, down: dict[str, SourceDown]) -> list[dict[str, object]]:
    owners = {owner.id: owner for owner in await store.central.owners()}
    return [await _row(store, owners, limit, down) for limit in await store.blobs.catalogue.limits()]


async def _row(
    store: RecordStore, owners: dict[str, Owner], limit: Limit, down: dict[str, SourceDown]
) -> dict[str, object]:
    owner = owners.get(limit.namespace)
    row: dict[str, object] = {
        "owner": limit.namespace if owner is None else owner.subject,
        "connector": None if limit.holder == WHOLE else limit.holder,
        "limit_bytes": limit.bytes,
    }
    if owner is not None and limit.holder != EVERY:
        try:
            use = await store.room.use(owner.id, limit.holder)
        except SourceDown as error:
            down[owner.subject] = error
            return row
        row |= {"used_bytes": use.bytes, "record_bytes": use.records, "blob_bytes": use.blobs}
        row["reserved_bytes"] = use.reserved
    return row


async def _named(store: RecordStore, owner: str | None, connector: str | None) -> tuple[str, str]:
    namespace = EVERY if owner is None else (await known_owner(store, owner)).id
    if connector is None:
        return namespace, WHOLE
    return namespace, EVERY if connector == EVERY else connector_key(connector)
