"""`blobstore token`: make owner tokens; list and revoke tokens of every kind."""

import click

from records.store import RecordStore
from records.times import duration
from tools.opening import Opening, run_with_store, store_options
from tools.output import json_option, listing


@click.group()
def token() -> None:
    """Tokens; only their digests are stored. `blobstore grant` makes those of clients."""


@token.command()
@store_options
@click.option("--owner", required=True, help="Whose data the token opens; made on first use.")
@click.option("--expires", help="For how long it is good: 90s, 12h, 30d … (default: until revoked).")
def create(opening: Opening, owner: str, expires: str | None) -> None:
    """Print a new owner token, alone on stdout."""
    try:
        lifetime = None if expires is None else duration(expires)
    except ValueError as error:
        raise click.BadParameter("a number and one of s, m, h, d, w", param_hint="--expires") from error

    async def work(store: RecordStore) -> str:
        return await store.access.create_owner_token(owner, lifetime)

    click.echo(run_with_store(opening, work, make=True))


@token.command("list")
@store_options
@json_option
def list_tokens(opening: Opening, as_json: bool) -> None:
    """List all tokens; `digest` names one, the token itself is never shown again."""

    async def work(store: RecordStore) -> list[dict[str, object]]:
        return [
            {
                "digest": each.digest.hex()[:16],
                "kind": each.kind,
                "owner": each.owner.subject,
                "grant_id": each.grant,
                "created_at": each.created_at,
                "expires_at": each.expires_at,
                "revoked_at": each.revoked_at,
            }
            for each in await store.access.tokens()
        ]

    columns = ("digest", "kind", "owner", "grant_id", "created_at", "expires_at", "revoked_at")
    listing(run_with_store(opening, work), as_json=as_json, columns=columns)


@token.command()
@store_options
@click.argument("digest")
def revoke(opening: Opening, digest: str) -> None:
    """Revoke the token with this DIGEST, as `list` shows it. It stops working at once."""

    async def work(store: RecordStore) -> bool:
        return await store.access.revoke(digest) is not None

    if not run_with_store(opening, work):
        raise click.ClickException("no single token has this digest; see `blobstore token list`")
