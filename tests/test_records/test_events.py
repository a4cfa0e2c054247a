"""Nothing that an owner stored, no key of a record and no name of an owner ever stands in an event of the spine."""

import ast
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import records
from records.audit import spine
from records.bundle.bundles import Bundles
from records.central import Owner
from records.consent import grants
from records.consent.grant_request import GrantRequest, StreamRequest
from records.consent.scope import Scope, Selector
from records.layout import Topology
from records.merging.merge import Merging, Rules
from records.model import Partition
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, delete, digest_of, ingest, upload

SECRET = "s3cr3t"
"""Stands in every text that must not be told."""

WRITERS = ("body", "note", "_note", "_write")
"""The functions that take the kind of an event."""

WHOLE = ("import", "export", "merge")
"""Kinds of one word; those of others have a dot."""


def kinds_in_the_source() -> set[str]:
    """Every kind that the package may write: texts with a dot, and `WHOLE`, in the arguments of what writes events."""
    return {
        argument.value
        for path in Path(*records.__path__).rglob("*.py")
        for call in _calls(ast.parse(path.read_text()))
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        if "." in argument.value or argument.value in WHOLE
    }


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in WRITERS:
                yield node


@pytest.fixture
async def owner(store: RecordStore) -> Owner:
    await store.access.create_owner_token(f"{SECRET} ann", timedelta(days=1))
    owner = await store.access.owner(f"{SECRET} ann")
    manifest = {
        **MANIFEST,
        "display_name": SECRET,
        "streams": [{**each, "note": SECRET} for each in MANIFEST["streams"]],
    }
    await store.registry.register(owner, json.dumps(manifest).encode())
    return owner


async def merge_another(store: RecordStore, owner: Owner) -> None:
    """Merge a directory that has a record of the same owner."""
    there = await RecordStore.open(store.directory.parent / "there")
    theirs = await there.access.owner(owner.subject)
    await there.registry.register(theirs, (await store.central.connectors(owner.id))[0].manifest)
    await ingest(there, theirs, f"{SECRET} merged", [], text=SECRET)
    await Merging(there, store, Rules()).merge(theirs)
    await there.close()


async def do_everything(store: RecordStore, owner: Owner) -> None:
    """Each thing that an event tells of, with the secret wherever a text of the owner's may stand."""
    key, selector = f"{SECRET} key", Selector(CONNECTOR)
    blob = await upload(store, owner, SECRET.encode(), key)
    await ingest(store, owner, key, [blob], text=SECRET, file_name=f"{SECRET}.txt")
    await delete(store, owner, f"{SECRET} other")
    await store.states.merge(owner, selector, {"documents": json.dumps(SECRET).encode()})
    request = GrantRequest("app", CONNECTOR, [StreamRequest("documents", resources=[key])])
    made, token = await store.consents.create(owner, request)
    scope = Scope(owner, grants.decode(made.document))
    instance = (await store.central.instances(owner.id))[0].id
    place = Partition(CONNECTOR, instance, "documents"), key
    await store.disclosures.records(scope, "documents", [place], removed=1)
    await store.disclosures.streams(scope, ["documents"])
    sending = await store.disclosures.blob(scope, digest_of(SECRET.encode()), place, [(0, 3)])
    await sending.end("whole", [(0, 3)])
    await store.disclosures.refused(scope, "not_found", "/v1/streams/{stream}/records/{key}")
    await store.consents.revoke(owner, made.id)
    await ingest(
        store, owner, f"{SECRET} unneeded", [await upload(store, owner, SECRET.encode() * 2, f"{SECRET} unneeded")]
    )
    await delete(store, owner, f"{SECRET} unneeded")
    await store.collect(0.0)
    await store.access.revoke((await store.access.tokens())[0].digest.hex())
    await store.erasures.erase(
        owner, await store.erasures.coverage.of_records(owner, selector, "documents", key), wait=5
    )
    bundles, bundle = Bundles(store), store.directory.parent / "bundle"
    await bundles.detach(owner, CONNECTOR, bundle, keep=True)
    await bundles.attach(owner, await bundles.verify(bundle), {})
    await merge_another(store, owner)
    assert store.moves is not None
    assert [each async for each in store.moves.move(owner, Topology.PER_CONNECTOR, lambda *_: None)]
    await store.erasures.erase(owner, await store.erasures.coverage.of_connector(owner, CONNECTOR), wait=5)
    assert token
    await store.erasures.erase(owner, await store.erasures.coverage.of_owner(owner), wait=5)


async def test_no_kind_of_event_tells_content_keys_or_names(store: RecordStore, owner: Owner) -> None:
    await do_everything(store, owner)
    events = await store.audit.events(owner, 0, 1000)
    assert list(spine.verify(events)) == []
    assert {json.loads(event.body)["kind"] for event in events} == kinds_in_the_source()
    assert [event.body for event in events if SECRET.encode() in event.body] == []
