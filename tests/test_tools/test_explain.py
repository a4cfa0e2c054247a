"""`explain` says why a blob is there, and after its deletion what removed it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from blobstore.digest import Digest
from records.store import RecordStore
from tests.fakes.data_directory import (
    CONNECTOR,
    DRAFT,
    LETTER,
    PHOTO,
    Stored,
    delete,
    digest_of,
    in_store,
    sha256_of,
)


def explain(stored: Stored, blob: Digest | str, *options: str) -> list[Mapping[str, Any]]:
    result = stored.run("explain", str(blob), "--json", *options)
    assert result.exit_code == 0, result.output
    facts: list[Mapping[str, Any]] = json.loads(result.stdout)
    return facts


def of(facts: list[Mapping[str, Any]], what: str, owner: str = "ann") -> list[Mapping[str, Any]]:
    return [fact for fact in facts if (fact["what"], fact["owner"]) == (what, owner)]


def verdict(facts: list[Mapping[str, Any]]) -> str:
    [summary] = of(facts, "blob")
    text: str = summary["verdict"]
    return text


def delete_photo(stored: Stored) -> None:
    async def work(store: RecordStore) -> None:
        await delete(store, await store.access.owner("ann"), "2", "photos")
        await store.collector.prepare()

    in_store(stored.data, work)


def test_every_link_of_every_owner_is_shown(stored: Stored) -> None:
    facts = explain(stored, digest_of(LETTER))
    assert verdict(facts) == "kept: records link it"
    links = [(each["stream"], each["key"], each["place"], each["filename"]) for each in of(facts, "link")]
    assert links == [
        ("documents", "1", "/attachments/0/blob_ref", "x.txt"),
        ("documents", "1", "/attachments/1/blob_ref", "x.txt"),
        ("photos", "2", "/attachments/1/blob_ref", "x.txt"),
    ]
    assert [(each["connector"], each["confirmed"]) for each in of(facts, "holder")] == [(CONNECTOR, True)]
    [generation] = of(facts, "generation")
    assert (generation["state"], generation["size_bytes"], generation["sha256"]) == ("live", 8, sha256_of(LETTER))
    assert generation["collectable_at"] is None
    assert len(of(facts, "link", "bob")) == 1


def test_the_alias_names_the_same_blob(stored: Stored) -> None:
    assert explain(stored, "blob_sha256_" + sha256_of(PHOTO)) == explain(stored, digest_of(PHOTO))


def test_the_alias_is_known_also_when_the_blob_is_quarantined(stored: Stored) -> None:
    stored.catalogue("UPDATE blobs SET state = 'quarantined' WHERE digest = ?", digest_of(PHOTO).raw)
    facts = explain(stored, "blob_sha256_" + sha256_of(PHOTO))
    assert verdict(facts) == "quarantined: its bytes are damaged; uploading them again heals it"
    assert of(facts, "blob")[0]["blob_id"] == str(digest_of(PHOTO))


def test_a_claim_that_has_ended_is_told_as_ended(stored: Stored) -> None:
    stored.catalogue("UPDATE claims SET expires_at = 1")
    facts = explain(stored, digest_of(DRAFT))
    assert verdict(facts) == "kept until the next collection drops its claim, which has ended: no record came"
    assert [claim["expired"] for claim in of(facts, "claim")] == [True]
    assert "until 1970-01-01T00:00:01Z, which is over, by" in stored.run("explain", str(digest_of(DRAFT))).stdout


def test_a_claim_is_shown_with_its_place_and_expiry(stored: Stored) -> None:
    stored.catalogue("UPDATE claims SET expires_at = 4102444800")
    facts = explain(stored, digest_of(DRAFT))
    assert verdict(facts) == "kept while it is claimed: its record has not come yet"
    [claim] = of(facts, "claim")
    assert (claim["stream"], claim["key"], claim["place"]) == ("documents", "4", "@record")
    assert (claim["expires_at"], claim["expired"]) == ("2100-01-01T00:00:00Z", False)


def test_a_lease_that_will_become_the_blob_is_shown(stored: Stored) -> None:
    stored.catalogue(
        "INSERT INTO leases (id, namespace, holder, scope, process, expires_at, digest, sha256, size, slot)"
        " VALUES ('0123', ?, ?, 'cin_1', 'p', 4102444800, ?, x'00', 1, 'y')",
        *(stored.ann, CONNECTOR, digest_of(PHOTO).raw),
    )
    [lease] = of(explain(stored, digest_of(PHOTO)), "lease")
    assert (lease["connector"], lease["instance"], lease["expires_at"]) == (CONNECTOR, "cin_1", "2100-01-01T00:00:00Z")


def test_an_orphan_has_a_deadline(stored: Stored) -> None:
    delete_photo(stored)
    stored.catalogue("UPDATE blobs SET orphaned_at = 4102444800 WHERE digest = ?", digest_of(PHOTO).raw)
    facts = explain(stored, digest_of(PHOTO), "--grace", "2d")
    assert verdict(facts) == "an orphan: a collection removes it after 2100-01-03T00:00:00Z"
    [generation] = of(facts, "generation")
    times = (generation["orphaned_at"], generation["collectable_at"])
    assert times == ("2100-01-01T00:00:00Z", "2100-01-03T00:00:00Z")
    assert "2100-01-02" in verdict(explain(stored, digest_of(PHOTO)))  # the default


def test_after_a_collection_it_is_known_what_removed_the_blob(stored: Stored) -> None:
    delete_photo(stored)
    *_, summary = json.loads(stored.run("gc", "--grace", "0", "--json").stdout)
    collection = summary["collection"]
    facts = explain(stored, digest_of(PHOTO))
    assert verdict(facts) == "removed"
    [removed] = of(facts, "removed")
    assert (removed["reason"], removed["size_bytes"], removed["erasure"]) == ("garbage", len(PHOTO), None)
    assert removed["collection"] == collection
    assert "because of garbage" in stored.run("explain", str(digest_of(PHOTO))).output


def test_after_an_erasure_it_is_known_which_one_removed_the_blob(stored: Stored) -> None:
    result = stored.run("erase", "--owner", "ann", "--connector", CONNECTOR, "--stream", "photos", "--json")
    [erasure] = json.loads(result.stdout)
    [removed] = of(explain(stored, digest_of(PHOTO)), "removed")
    assert removed["reason"] == f"erasure {erasure['id']}"
    assert (removed["erasure"]["covered"]["stream"], removed["erasure"]["state"]) == ("photos", "done")


@pytest.mark.parametrize("blob", ["blob_b3_" + "0" * 64, "blob_sha256_" + "0" * 64])
def test_a_blob_that_nobody_has_is_an_error(stored: Stored, blob: str) -> None:
    result = stored.run("explain", blob)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no owner has {blob}" in result.stderr


@pytest.mark.parametrize("blob", ["", "photo.jpg", "blob_b3_12", "blob_b3_" + "G" * 64, "blob_sha256_" + "0" * 63])
def test_what_is_no_id_is_refused(stored: Stored, blob: str) -> None:
    result = stored.run("explain", blob)
    assert result.exit_code == 1
    assert "is no blob's id" in result.stderr


def test_people_get_a_short_text(stored: Stored) -> None:
    lines = stored.run("explain", str(digest_of(PHOTO))).output.splitlines()
    assert lines[:2] == [f"{digest_of(PHOTO)} of ann", "  kept: records link it"]
    assert lines[2].startswith("  live: 156.2 KiB, generation ")
    assert lines[3] == f"  held by {CONNECTOR}"
    assert lines[4].endswith(": photos 2, /attachments/0/blob_ref as text/plain, x.txt")
    assert len(lines) == 5
