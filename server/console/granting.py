"""Making a grant: which connector, then which streams and fields of it, for whom and how long."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web
from multidict import MultiDict

from records import jsontext
from records.consent.grant_request import GrantRequest, StreamRequest, TimeRequest
from records.errors import Conflict, Invalid
from records.manifest import Manifest
from server.console import addresses, asked
from server.console.grants import address, made_elsewhere
from server.console.guard import FORM
from server.console.rendering import render
from server.keys import CALLER, STORE

PATH = "/console/grants/make"


async def page(request: web.Request) -> web.Response:
    """`GET /console/grants/make?connector=`."""
    return await _page(request, MultiDict())


async def make(request: web.Request) -> web.Response:
    """`POST` there: the grant's token, which is shown here and nowhere else; or the form with what is wrong in it."""
    if made_elsewhere(request):
        raise Conflict("tokens are made by the authorization server: make the grant there")
    connector, form = asked.values(request, (), ("connector",))["connector"], request[FORM]
    try:
        wanted = _wanted(connector, form)
        made, token = await request.app[STORE].consents.create(request[CALLER].owner, wanted)
    except Invalid as error:
        return await _page(request, form, f"{str(error)[:1].upper()}{str(error)[1:]}.")
    known = {"client": made.client, "token": token, "address": address(made.id)}
    return render(request, "granted.html", known)


def _wanted(connector: str, form: MultiDict[str]) -> GrantRequest:
    if not form.get("client", "").strip():
        raise Invalid("say who gets the grant", param="client")
    since, until, instances = _text(form, "since"), _text(form, "until"), form.getall("instance", [])
    if not instances and "instances" in form:
        raise Invalid("choose at least one connection", param="instance")
    window = None if since is None and until is None else TimeRequest(None, since, until)
    fields = [_pair(each) for each in form.getall("field", [])]
    streams = [
        StreamRequest(name, [field for of, field in fields if of == name], instances or None, window)
        for name in form.getall("stream", [])
    ]
    if not streams:
        raise Invalid("choose at least one stream", param="stream")
    return GrantRequest(
        client_id=form["client"].strip(),
        connector_id=connector,
        streams=streams,
        purpose_code=_text(form, "purpose"),
        access_mode="single_use" if form.get("once") else "continuous",
        expires_at=_text(form, "expires"),
    )


def _text(form: MultiDict[str], name: str) -> str | None:
    return form.get(name, "").strip() or None


def _pair(value: str) -> tuple[str, str]:
    """A stream and its field, as a checkbox of the form has them."""
    try:
        stream, field = jsontext.decode(value.encode("utf-8", "surrogatepass"))
    except (ValueError, TypeError, RecursionError):
        raise Invalid("a field of the form is damaged; load the page again", param="field") from None
    return str(stream), str(field)


async def _page(request: web.Request, form: MultiDict[str], wrong: str | None = None) -> web.Response:
    store, caller = request.app[STORE], request[CALLER]
    chosen = asked.values(request, ("connector",)).get("connector")
    every = [(each.key, each.manifest.display_name) for each in await store.registry.connectors(caller.scope)]
    known: dict[str, Any] = {
        "connectors": every,
        "connector": None,
        "elsewhere": made_elsewhere(request),
        "form": form,
        "wrong": wrong,
    }
    if chosen is not None:
        registration = await store.registry.connector(caller.scope, chosen)
        instances = [each.id for each in await store.central.instances(caller.owner.id, registration.key)]
        known |= {
            "connector": registration.key,
            "name": registration.manifest.display_name,
            "streams": _streams(registration.manifest, form),
            "instances": [(each, not form or each in form.getall("instance", [])) for each in instances],
            "action": addresses.page(PATH, connector=registration.key),
        }
    return render(request, "granting.html", known, status=200 if wrong is None else 400)


def _streams(manifest: Manifest, form: MultiDict[str]) -> Sequence[dict[str, Any]]:
    """Streams and their fields, each with whether it is chosen: no stream is unasked, every field of one is."""
    streams, fields = form.getall("stream", []), form.getall("field", [])
    return [
        {
            "name": of.name,
            "chosen": of.name in streams,
            "is_timed": of.consent_time_field is not None,
            "fields": [
                (field, value, not form or value in fields, field in of.required)
                for field in of.fields
                for value in [jsontext.encode([of.name, field]).decode()]
            ],
        }
        for of in manifest.streams.values()
    ]
