"""`blobstore grant`: let a client see some of an owner's records, list what clients may see, take it back."""

import click

from records import jsontext
from records.consent.grant_request import GrantRequest, StreamRequest, TimeRequest
from records.errors import Unknown
from records.store import RecordStore
from tools.opening import Opening, run_with_store, store_options
from tools.output import json_option, listing


@click.group()
def grant() -> None:
    """Grants: what clients may see of an owner's records."""


@grant.command()
@store_options
@click.option("--owner", required=True, help="Whose records they are.")
@click.option("--client", required=True, help="Who gets the token: any name.")
@click.option("--connector", required=True, help="Where the records come from; registered already.")
@click.option("--stream", "streams", required=True, multiple=True, help="NAME, or NAME:field,field… (repeatable).")
@click.option("--instance", "instances", multiple=True, help="Only of this account (repeatable; default: all).")
@click.option("--since", help="Only records from this time on: a date or date-time, by the consent-time field.")
@click.option("--until", help="Only records before this time.")
@click.option("--resource", "resources", multiple=True, help="Only the record with this key (repeatable).")
@click.option("--single-use", is_flag=True, help="For one collection, not for going on with.")
@click.option("--purpose", help="What for, as an absolute URI.")
@click.option("--expires", help="A date or date-time (default: until revoked).")
def create(
    opening: Opening,
    owner: str,
    client: str,
    connector: str,
    streams: tuple[str, ...],
    instances: tuple[str, ...],
    since: str | None,
    until: str | None,
    resources: tuple[str, ...],
    single_use: bool,
    purpose: str | None,
    expires: str | None,
) -> None:
    """Print a new client token, alone on stdout; it is shown only here."""
    window = None if since is None and until is None else TimeRequest(None, since, until)

    def asked(text: str) -> StreamRequest:
        name, fields = _split(text)
        return StreamRequest(name, fields, list(instances) or None, window, list(resources) or None)

    request = GrantRequest(
        client_id=client,
        connector_id=connector,
        streams=[asked(text) for text in streams],
        purpose_code=purpose,
        access_mode="single_use" if single_use else "continuous",
        expires_at=expires,
    )

    async def work(store: RecordStore) -> str:
        _, token = await store.consents.create(await store.access.owner(owner), request)
        return token

    click.echo(run_with_store(opening, work))


@grant.command("list")
@store_options
@click.option("--owner", help="Only this owner's.")
@json_option
def list_grants(opening: Opening, owner: str | None, as_json: bool) -> None:
    """List all grants, also those that have ended."""

    async def work(store: RecordStore) -> list[dict[str, object]]:
        return [
            {
                "grant_id": each.id,
                "owner": each.owner.subject,
                "client_id": each.client,
                "connector_id": each.connector,
                "status": store.consents.status(each),
                "created_at": each.created_at,
                "expires_at": each.expires_at,
                "revoked_at": each.revoked_at,
                "grant": jsontext.decode(each.document),
            }
            for of in await store.central.owners()
            if owner in (None, of.subject)
            for each in await store.consents.listed(of)
        ]

    columns = ("grant_id", "owner", "client_id", "connector_id", "status", "expires_at")
    listing(run_with_store(opening, work), as_json=as_json, columns=columns)


@grant.command()
@store_options
@click.argument("grant_id")
def revoke(opening: Opening, grant_id: str) -> None:
    """Take the grant GRANT_ID back. Its token stops working at once, also in a download that runs."""

    async def work(store: RecordStore) -> None:
        found = await store.central.grant(grant_id)
        if found is None:
            raise Unknown("no such grant; see `blobstore grant list`")
        await store.consents.revoke(found.owner, grant_id)

    run_with_store(opening, work)


def _split(stream: str) -> tuple[str, list[str] | None]:
    """The name of a stream and the fields that come after the last colon; None without one."""
    name, colon, fields = stream.rpartition(":")
    return (name, fields.split(",")) if colon else (stream, None)
