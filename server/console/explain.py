"""Why a blob is there, or why it is not any more."""

from aiohttp import web

from blobstore.errors import BlobNotFound, InvalidBlobId
from records.explanation import GRACE, Explanation, Fact, digest_of
from records.model import Partition
from server.console import addresses, asked
from server.console.rendering import render
from server.keys import CALLER, STORE

LINKS = 100
"""Links that are shown of a blob."""


async def page(request: web.Request) -> web.Response:
    """`GET /console/explain?blob=`: a blob's id or its alias; without one the question alone."""
    blob = asked.values(request, ("blob",)).get("blob", "").strip()
    if not blob:
        return render(request, "explain.html", {"blob": "", "wrong": None, "found": None})
    try:
        found = _shown(await _facts(request, blob))
    except (InvalidBlobId, BlobNotFound):
        wrong = "There is no such blob, and none is remembered. An id looks like blob_b3_ and 64 hexadecimal digits."
        return render(request, "explain.html", {"blob": blob, "wrong": wrong, "found": None}, status=404)
    return render(request, "explain.html", {"blob": blob, "wrong": None, "found": found})


async def _facts(request: web.Request, blob: str) -> dict[str, list[Fact]]:
    store, owner = request.app[STORE], request[CALLER].owner
    digest = await digest_of(store, owner, blob)
    if digest is None:
        raise BlobNotFound("no such blob")
    facts = await Explanation(store, owner, digest, GRACE).by_kind(LINKS + 1)
    if not facts:
        raise BlobNotFound("no such blob")
    return facts


def _shown(facts: dict[str, list[Fact]]) -> dict[str, object]:
    (summary,) = facts["blob"]
    links = facts.get("link", [])
    generations = facts.get("generation", [])
    return {
        "blob_id": summary["blob_id"],
        "verdict": summary["verdict"],
        "address": addresses.blob(summary["blob_id"]) if links or facts.get("claim") else None,
        "generation": generations[-1] if generations else None,
        "holders": [each["connector"] for each in facts.get("holder", ())],
        "links": [_place(each) for each in links[:LINKS]],
        "more_links": len(links) > LINKS,
        "claims": [_place(each) for each in facts.get("claim", ())],
        "uploads": facts.get("lease", []),
        "removals": facts.get("removed", []),
    }


def _place(fact: Fact) -> Fact:
    part = Partition(fact["connector"], fact["instance"], fact["stream"])
    return {**fact, "address": addresses.record(part, fact["key"])}
