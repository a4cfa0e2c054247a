"""`blobstore spine`: an owner's audit log."""

import click

from records.central_checks import Verification, verify_spine
from records.store import RecordStore
from tools.json_array import JsonArray
from tools.looking import known_owner, run_looking
from tools.opening import Opening, store_options
from tools.output import json_option


class _Known(click.ParamType[tuple[int, bytes]]):
    """SEQ:HASH, as `verify` prints the head."""

    name = "SEQ:HASH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, bytes]:
        seq, _, digest = str(value).partition(":")
        try:
            known = int(seq), bytes.fromhex(digest)
        except ValueError:
            known = 0, b""
        if known[0] < 1 or len(known[1]) != 32:
            self.fail("a number, a colon and 64 hexadecimal digits", param, ctx)
        return known


@click.group()
def spine() -> None:
    """The append-only, hash-chained audit logs."""


@spine.command()
@store_options
@click.option("--owner", required=True, help="Whose log.")
@click.option(
    "--known",
    multiple=True,
    type=_Known(),
    help="A head that was kept elsewhere; without one, a chain that was made anew as a whole looks sound.",
)
@json_option
def verify(opening: Opening, owner: str, known: tuple[tuple[int, bytes], ...], as_json: bool) -> None:
    """Check that no event was edited, dropped, added or moved. Exit code 1 when one was."""

    async def work(store: RecordStore) -> Verification:
        return await verify_spine(store.central, await known_owner(store, owner), dict(known))

    found = run_looking(opening, work)
    _show(owner, found, as_json)
    if found.faults:
        raise click.exceptions.Exit(1)


def _show(owner: str, found: Verification, as_json: bool) -> None:
    head = found.head
    if as_json:
        array = JsonArray()
        array.add(
            {
                "owner": owner,
                "verified": not found.faults,
                "events": found.events,
                "head_seq": None if head is None else head.seq,
                "head_hash": None if head is None else head.hash.hex(),
                "head_at": None if head is None else head.at,
                "faults": [{"seq": fault.seq, "message": fault.message} for fault in found.faults],
            }
        )
        array.close()
        return
    for fault in found.faults:
        click.echo(fault.message)
    verdict = f"{len(found.faults)} faults" if found.faults else "sound"
    click.echo(f"{verdict}: {found.events:,} events of {owner}")
    if head is not None:
        click.echo(f"head {head.seq}:{head.hash.hex()} of {head.at}")
