"""`doctor` names exactly the fault that was planted behind the store's back, and mends what can be mended."""

import json
import os
import random
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from blobstore.staging import Staging
from records.store import RecordStore
from tests.fakes.data_directory import (
    CONNECTOR,
    DRAFT,
    LETTER,
    PHOTO,
    WHEN,
    Stored,
    delete,
    digest_of,
    in_store,
    ingest,
    upload,
    vandal,
)
from tools.cli import main

GENERATION = "0123456789abcdef" * 2
NOTHING: list[str] = []


def test_a_sound_store_has_no_findings(stored: Stored) -> None:
    assert stored.kinds("--deep", exit_code=0) == NOTHING
    assert stored.run("doctor").output == "nothing is wrong\n"


def test_checking_changes_nothing(stored: Stored) -> None:
    stored.doctor(exit_code=0)  # it was copied, and is another host from its first opening on
    stored.records("INSERT INTO outbox (body) VALUES (?)", b"{}")
    before = {path: path.read_bytes() for path in stored.data.rglob("*") if path.is_file()}
    stored.doctor("--deep", exit_code=0)
    assert {path: path.read_bytes() for path in stored.data.rglob("*") if path.is_file()} == before


# -- bytes -------------------------------------------------------------------------------------------------------------


def flip_a_byte(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


def shorten(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, 3)


@pytest.mark.parametrize(
    ("harm", "kind", "options"),
    [
        (Path.unlink, "missing_file", ()),
        (Path.unlink, "missing_file", ("--deep",)),
        (shorten, "wrong_size", ()),
        (shorten, "wrong_size", ("--deep",)),
        (flip_a_byte, "digest_mismatch", ("--deep",)),
    ],
)
def test_wrong_bytes_are_found_quarantined_and_healed_by_uploading_again(
    stored: Stored, harm: Callable[[Path], None], kind: str, options: tuple[str, ...]
) -> None:
    harm(stored.file(PHOTO))
    [found] = stored.doctor(*options)
    assert (found["kind"], found["severity"], found["subject"]) == (kind, "error", str(digest_of(PHOTO)))
    [found] = stored.doctor(*options, "--repair")
    assert (found["kind"], found["repaired"]) == (kind, False)
    [found] = stored.doctor()
    assert (found["kind"], found["severity"], found["repair"]) == ("quarantined", "error", None)

    async def again(store: RecordStore) -> None:
        owner = await store.access.owner("ann")
        await upload(store, owner, PHOTO, "2", "photos")
        await store.collect(0)

    in_store(stored.data, again)
    assert stored.kinds("--deep", exit_code=0) == NOTHING


def test_a_flipped_byte_is_only_seen_by_hashing(stored: Stored) -> None:
    flip_a_byte(stored.file(PHOTO))
    assert stored.kinds(exit_code=0) == NOTHING


def test_a_wrong_sha256_in_the_catalogue_is_found(stored: Stored) -> None:
    stored.catalogue("UPDATE blobs SET sha256 = ? WHERE digest = ?", secrets.token_bytes(32), digest_of(PHOTO).raw)
    assert stored.kinds("--deep") == ["sha256_mismatch"]


def test_quarantined_bytes_that_nobody_needs_are_debris(stored: Stored) -> None:
    stored.catalogue("DELETE FROM claims")
    stored.catalogue("UPDATE blobs SET state = 'quarantined', orphaned_at = 1 WHERE digest = ?", digest_of(DRAFT).raw)
    [found] = stored.doctor(exit_code=0)
    assert (found["kind"], found["severity"]) == ("quarantined", "debris")


def test_a_disk_that_is_not_there_is_not_taken_for_the_loss_of_every_blob(stored: Stored) -> None:
    async def more(store: RecordStore) -> None:
        owner = await store.access.owner("ann")
        for number in range(20):
            await upload(store, owner, b"%d" % number, f"n{number}")

    in_store(stored.data, more)
    shutil.rmtree(stored.data / "blobs")
    (stored.data / "blobs").mkdir(mode=0o700)
    [found] = stored.doctor("--repair")
    assert (found["kind"], found["subject"], found["repair"]) == ("store_mismatch", "blobs", None)
    (stored.data / "blobs" / "another").mkdir()
    result = stored.run("doctor", "--repair", "--json")
    assert {each["kind"] for each in json.loads(result.stdout)} == {"missing_file"}
    assert "is the disk there?" in result.stderr
    assert set(stored.kinds()) == {"missing_file"}


# -- objects and generations -------------------------------------------------------------------------------------------


def plant(folder: Path, namespace: str, data: bytes) -> None:
    digest = digest_of(data).hex
    path = folder / "blobs" / namespace / digest[:2] / digest[2:4] / f"{digest}.{GENERATION}"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


def test_a_file_that_the_catalogue_does_not_know_is_found_and_left_alone(stored: Stored) -> None:
    plant(stored.data, stored.ann, b"whose?")
    [found] = stored.doctor("--repair")
    assert (found["kind"], found["subject"], found["repair"]) == ("unknown_file", str(digest_of(b"whose?")), None)
    assert stored.file(b"whose?").exists()


def test_blobs_of_an_unknown_owner_are_found_once(stored: Stored) -> None:
    plant(stored.data, "nobody", b"whose?")
    plant(stored.data, "nobody", b"and this?")
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("unknown_namespace", "blobs/nobody")


def test_generations_of_an_unknown_owner_are_found(stored: Stored) -> None:
    stored.catalogue(
        "INSERT INTO blobs (namespace, digest, generation, sha256, size, state, verified_at)"
        " SELECT 'nobody', digest, generation, sha256, size, state, verified_at FROM blobs WHERE namespace = ?",
        stored.ann,
    )
    assert stored.kinds("--deep") == ["unknown_namespace"]
    assert not (stored.data / "records" / "nobody.db").exists()


@pytest.mark.parametrize("name", ["notes.txt", "ann/notes.txt", "ann/aa/bb/cc"])
def test_a_foreign_file_among_the_blobs_is_found_and_left_alone(stored: Stored, name: str) -> None:
    path = stored.data / "blobs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not a blob")
    [found] = stored.doctor("--repair")
    assert (found["kind"], found["subject"], found["severity"]) == ("foreign_file", f"blobs/{name}", "error")
    assert path.read_text() == "not a blob"


def test_a_mount_point_may_have_what_its_file_system_puts_there(stored: Stored) -> None:
    (stored.data / "blobs" / "lost+found").mkdir()
    assert stored.kinds(exit_code=0) == NOTHING


def test_what_is_condemned_but_not_removed_is_debris(stored: Stored) -> None:
    stored.catalogue("DELETE FROM claims")
    stored.catalogue(
        "UPDATE blobs SET state = 'condemned', condemned_seq = 1, reason = 'garbage' WHERE digest = ?",
        digest_of(DRAFT).raw,
    )
    [found] = stored.doctor(exit_code=0)
    assert (found["kind"], found["severity"]) == ("condemned_left", "debris")


def test_an_orphan_that_nobody_counts_is_found_and_mended(stored: Stored) -> None:
    stored.catalogue("DELETE FROM claims")
    assert stored.kinds() == ["orphan_unmarked"]
    [found] = stored.doctor("--repair", exit_code=0)
    assert found["repaired"] is True
    assert stored.kinds(exit_code=0) == NOTHING
    assert "collected 1 blobs" in stored.run("gc", "--grace", "0").output


def test_a_mark_on_a_blob_that_is_used_is_found_and_mended(stored: Stored) -> None:
    stored.catalogue(
        "UPDATE blobs SET orphaned_at = 1 WHERE digest = ? AND namespace = ?", digest_of(LETTER).raw, stored.ann
    )
    assert stored.kinds() == ["orphan_mark"]
    stored.doctor("--repair", exit_code=0)
    assert stored.kinds(exit_code=0) == NOTHING


# -- what uploads leave ------------------------------------------------------------------------------------------------


def test_an_expired_claim_is_debris(stored: Stored) -> None:
    stored.catalogue("UPDATE claims SET expires_at = 1")
    [found] = stored.doctor(exit_code=0)
    assert (found["kind"], found["severity"], found["subject"]) == ("expired_claim", "debris", str(digest_of(DRAFT)))


def test_a_claim_on_a_blob_that_is_not_stored_is_found(stored: Stored) -> None:
    stored.file(DRAFT).unlink()
    stored.catalogue("DELETE FROM blobs WHERE digest = ?", digest_of(DRAFT).raw)
    assert stored.kinds() == ["claim_without_blob"]


def test_claims_are_all_looked_at_however_many_share_a_slot(stored: Stored) -> None:
    rows = [
        (stored.ann, CONNECTOR, slot, secrets.token_bytes(32), "x", "text/plain", time.time() + 99)
        for slot, claims in [('["x","documents","a","@record"]', 10), ('["x","documents","b","@record"]', 510)]
        for _ in range(claims)
    ]
    with vandal(stored.data / "catalogue.db") as db:
        db.executemany("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    assert stored.kinds() == ["claim_without_blob"] * 520


def lease(stored: Stored, process: str, expires_at: float) -> None:
    stored.catalogue(
        "INSERT INTO leases (id, namespace, holder, scope, process, expires_at, slot) VALUES (?, ?, ?, 'x', ?, ?, 'y')",
        *(GENERATION, stored.ann, CONNECTOR, process, expires_at),
    )


def test_an_expired_lease_is_debris(stored: Stored) -> None:
    lease(stored, "0" * 16, 1.0)
    assert [(each["kind"], each["severity"]) for each in stored.doctor(exit_code=0)] == [("expired_lease", "debris")]


def test_a_lease_of_a_dead_process_is_debris(stored: Stored) -> None:
    folder = stored.data / "staging" / ("0" * 16)
    folder.mkdir()
    (folder / GENERATION).write_bytes(b"half of")
    lease(stored, folder.name, time.time() + 99)
    assert [(each["kind"], each["severity"]) for each in stored.doctor(exit_code=0)] == [("expired_lease", "debris")]


def test_a_lease_and_a_staging_file_of_a_living_process_are_no_debris(stored: Stored) -> None:
    staging = Staging.open(stored.data / "staging")
    staging.create(GENERATION)
    lease(stored, staging.process, time.time() + 99)
    assert stored.kinds(exit_code=0) == NOTHING
    staging.close()


def test_a_staging_file_of_a_dead_process_is_debris(stored: Stored) -> None:
    folder = stored.data / "staging" / ("0" * 16)
    folder.mkdir()
    (folder / GENERATION).write_bytes(b"half of")
    [found] = stored.doctor(exit_code=0)
    expected = ("staging_debris", "debris", f"staging/{folder.name}/{GENERATION}")
    assert (found["kind"], found["severity"], found["subject"]) == expected


def test_a_folder_of_a_dead_process_is_debris(stored: Stored) -> None:
    (stored.data / "staging" / ("0" * 16)).mkdir()
    assert [(each["kind"], each["severity"]) for each in stored.doctor(exit_code=0)] == [("staging_debris", "debris")]


def test_debris_is_what_a_collection_removes(stored: Stored) -> None:
    lease(stored, "0" * 16, 1.0)
    folder = stored.data / "staging" / ("1" * 16)
    folder.mkdir()
    (folder / GENERATION[::-1]).write_bytes(b"half of")
    stored.catalogue("UPDATE claims SET expires_at = 1")
    assert len(stored.doctor(exit_code=0)) == 3
    stored.run("gc", "--grace", "0")
    assert stored.kinds(exit_code=0) == NOTHING


# -- links and holders -------------------------------------------------------------------------------------------------


def test_a_lost_holder_is_found_and_mended(stored: Stored) -> None:
    stored.catalogue("DELETE FROM holders WHERE digest = ? AND namespace = ?", digest_of(LETTER).raw, stored.ann)
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("lost_holder", str(digest_of(LETTER)))
    [found] = stored.doctor("--repair", exit_code=0)
    assert found["repaired"] is True
    assert stored.kinds(exit_code=0) == NOTHING


def hold(stored: Stored, data: bytes, confirmed: bool) -> None:
    sql = "INSERT INTO holders VALUES (?, ?, ?, 999, ?)"
    stored.catalogue(sql, stored.ann, digest_of(data).raw, CONNECTOR, confirmed)


def test_a_holder_without_links_is_found_and_released(stored: Stored) -> None:
    hold(stored, DRAFT, confirmed=True)
    [found] = stored.doctor()
    assert (found["kind"], found["severity"]) == ("extra_holder", "error")
    [found] = stored.doctor("--repair", exit_code=0)
    assert found["repaired"] is True
    assert stored.kinds(exit_code=0) == NOTHING


def test_a_hold_of_an_ingest_that_died_is_debris(stored: Stored) -> None:
    hold(stored, DRAFT, confirmed=False)
    assert [(each["kind"], each["severity"]) for each in stored.doctor(exit_code=0)] == [("extra_holder", "debris")]
    stored.run("gc")
    assert stored.kinds(exit_code=0) == NOTHING


def test_blobs_of_deleted_records_wait_for_a_collection(stored: Stored) -> None:
    async def work(store: RecordStore) -> None:
        await delete(store, await store.access.owner("ann"), "2", "photos")

    in_store(stored.data, work)
    assert [(each["kind"], each["severity"]) for each in stored.doctor(exit_code=0)] == [("release_waiting", "debris")]
    stored.run("gc")
    assert stored.kinds(exit_code=0) == NOTHING


def unlink(stored: Stored, stream: str, key: str) -> None:
    """Take a record's links away as if it had never had any."""
    part = "(SELECT id FROM partitions WHERE stream = ?)"
    with vandal(stored.data / "records" / f"{stored.ann}.db") as db:
        gone = db.execute(f"DELETE FROM links WHERE part = {part} AND key = ?", (stream, key)).rowcount
        assert gone
        db.execute(f"UPDATE records SET links = 0 WHERE part = {part} AND key = ?", (stream, key))
        db.execute("UPDATE partitions SET links = links - ? WHERE stream = ?", (gone, stream))


def links_of(stored: Stored, key: str) -> list[tuple[str, bytes]]:
    with vandal(stored.data / "records" / f"{stored.ann}.db") as db:
        sql = "SELECT pointer, digest, media_type, filename FROM links WHERE key = ? ORDER BY pointer"
        return db.execute(sql, (key,)).fetchall()


def test_a_lost_link_is_found_and_its_blob_stays_held_until_it_is_mended(stored: Stored) -> None:
    before = links_of(stored, "2")
    unlink(stored, "photos", "2")
    [found] = stored.doctor()
    assert found["kind"] == "lost_link"
    assert found["subject"].startswith("ann/files/")
    assert found["subject"].endswith("/photos/2")
    assert "/attachments/0/blob_ref, /attachments/1/blob_ref" in found["message"]
    assert stored.kinds() == ["lost_link"]  # the holder of its only link was not released
    [found] = stored.doctor("--repair", exit_code=0)
    assert found["repaired"] is True
    assert links_of(stored, "2") == before
    assert stored.kinds("--deep", exit_code=0) == NOTHING


def test_a_lost_link_is_mended_in_the_record_that_lost_it_and_in_no_other(stored: Stored) -> None:
    async def work(store: RecordStore) -> None:
        owner = await store.access.owner("ann")
        await ingest(store, owner, "12", [await upload(store, owner, b"twelve", "12")])

    in_store(stored.data, work)
    before = links_of(stored, "12"), links_of(stored, "1"), links_of(stored, "2")
    unlink(stored, "documents", "12")
    stored.doctor("--repair", exit_code=0)
    assert (links_of(stored, "12"), links_of(stored, "1"), links_of(stored, "2")) == before
    assert stored.kinds("--deep", exit_code=0) == NOTHING


def test_a_lost_link_is_mended_though_its_holder_was_lost_with_it(stored: Stored) -> None:
    unlink(stored, "photos", "2")
    stored.catalogue("DELETE FROM holders WHERE digest = ?", digest_of(PHOTO).raw)
    stored.catalogue("UPDATE blobs SET orphaned_at = 1 WHERE digest = ?", digest_of(PHOTO).raw)
    assert stored.kinds() == ["lost_link"]
    stored.doctor("--repair", exit_code=0)
    assert stored.kinds(exit_code=0) == NOTHING
    assert "collected 0 blobs" in stored.run("gc", "--grace", "0").output


def test_a_lost_link_to_a_blob_that_is_not_stored_is_not_mended(stored: Stored) -> None:
    unlink(stored, "photos", "2")
    stored.file(PHOTO).unlink()
    stored.catalogue("DELETE FROM blobs WHERE digest = ?", digest_of(PHOTO).raw)
    [found] = stored.doctor("--repair")
    assert (found["kind"], found["repair"], found["repaired"]) == ("lost_link", None, False)
    assert "upload the blob again" in found["message"]
    assert links_of(stored, "2") == []


def test_a_lost_link_by_an_alias_is_found(stored: Stored) -> None:
    async def work(store: RecordStore) -> None:
        owner = await store.access.owner("ann")
        photo = await store.blobs.catalogue.find(owner.id, digest_of(PHOTO))
        assert photo is not None
        await ingest(store, owner, "5", ["blob_sha256_" + photo.sha256.hex()])

    in_store(stored.data, work)
    assert stored.kinds(exit_code=0) == NOTHING
    before = links_of(stored, "5")
    unlink(stored, "documents", "5")
    assert stored.kinds() == ["lost_link"]
    stored.doctor("--repair", exit_code=0)
    assert links_of(stored, "5") == before


def test_an_extra_link_is_found_and_taken_away(stored: Stored) -> None:
    with vandal(stored.data / "records" / f"{stored.ann}.db") as db:
        db.execute(
            "INSERT INTO links SELECT part, '3', '/x', connector, digest, media_type, filename, size FROM links"
            " WHERE key = '1' AND pointer LIKE '%0%'"
        )
        db.execute("UPDATE records SET links = 1 WHERE key = '3'")
        db.execute("UPDATE partitions SET links = links + 1 WHERE stream = 'documents'")
    [found] = stored.doctor()
    assert found["kind"] == "extra_link"
    assert "at /x" in found["message"]
    [found] = stored.doctor("--repair", exit_code=0)
    assert found["repaired"] is True
    assert links_of(stored, "3") == []
    assert stored.kinds(exit_code=0) == NOTHING


def test_a_link_to_another_blob_than_the_data_names_is_lost_and_extra(stored: Stored) -> None:
    stored.records("UPDATE links SET digest = ? WHERE key = '2' AND pointer LIKE '%1%'", digest_of(PHOTO).raw)
    assert stored.kinds() == ["lost_link", "extra_link"]
    [found] = stored.doctor("--repair", exit_code=0)  # one step mends both
    assert (found["kind"], found["repaired"]) == ("lost_link", True)
    assert stored.kinds(exit_code=0) == NOTHING


def test_a_link_to_a_blob_that_is_not_stored_is_found(stored: Stored) -> None:
    stored.file(PHOTO).unlink()
    stored.catalogue("DELETE FROM blobs WHERE digest = ?", digest_of(PHOTO).raw)
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("link_without_blob", str(digest_of(PHOTO)))


def test_data_that_is_not_what_was_ingested_is_found(stored: Stored) -> None:
    stored.records("UPDATE records SET data = '[' || substr(data, 2) WHERE key = '2'")
    assert stored.kinds() == ["damaged_record"]


def test_counters_that_disagree_with_rows_are_found(stored: Stored) -> None:
    for column in ("records", "bytes", "links"):
        stored.records(f"UPDATE partitions SET {column} = {column} + 1 WHERE stream = 'photos'")
    found = stored.doctor()
    assert [(each["kind"], each["subject"]) for each in found] == [("damaged_records", f"records/{stored.ann}")] * 3


# -- the central store -------------------------------------------------------------------------------------------------


def test_an_edited_event_is_found(stored: Stored) -> None:
    stored.central("UPDATE spine SET body = CAST(body || ' ' AS BLOB) WHERE owner = ? AND seq = 2", stored.ann)
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("spine_broken", "spine of ann")
    assert "Event 2 was edited" in found["message"]


def test_a_dropped_event_is_found(stored: Stored) -> None:
    stored.central("DELETE FROM spine WHERE owner = ? AND seq = 2", stored.ann)
    [found] = stored.doctor()
    assert (found["kind"], found["message"]) == ("spine_broken", "Event 2 is missing before event 3.")


def test_events_that_changed_places_are_found(stored: Stored) -> None:
    with vandal(stored.data / "central.db") as db:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            db.execute("UPDATE spine SET seq = ? WHERE owner = ? AND seq = ?", (new, stored.ann, old))
    assert set(stored.kinds()) == {"spine_broken"}


def test_a_spine_whose_end_was_cut_off_is_found(stored: Stored) -> None:
    stored.central("DELETE FROM spine WHERE owner = ? AND seq > 3", stored.ann)
    [found] = stored.doctor()
    assert found["kind"] == "spine_broken"
    assert "its end was cut off" in found["message"]


def test_a_spine_that_does_not_pass_through_its_checkpoints_is_found(stored: Stored) -> None:
    assert stored.run("spine", "checkpoint", "--owner", "ann").exit_code == 0
    assert stored.kinds(exit_code=0) == NOTHING
    with vandal(stored.data / "central.db") as db:
        db.execute("DELETE FROM spine WHERE owner = ? AND seq > 3", (stored.ann,))
        db.execute("UPDATE owners SET events = 3 WHERE id = ?", (stored.ann,))
    [found] = stored.doctor()
    assert found["kind"] == "spine_broken"
    assert "the chain ends at 3" in found["message"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("replace(CAST(document AS TEXT), '\"seq\":', '\"seq\":1')", "its signature does not fit"),
        ("'{}'", "it has no signature"),
    ],
)
def test_a_checkpoint_that_was_changed_is_found(stored: Stored, sql: str, message: str) -> None:
    assert stored.run("spine", "checkpoint", "--owner", "ann").exit_code == 0
    stored.central(f"UPDATE checkpoints SET document = CAST({sql} AS BLOB)")
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("checkpoint_void", "spine of ann")
    assert message in found["message"]
    [row] = json.loads(stored.run("spine", "checkpoints", "--owner", "ann", "--json").stdout)
    assert row["document"] is None


def test_events_that_wait_for_the_spine_are_noted(stored: Stored) -> None:
    stored.records("INSERT INTO outbox (body) VALUES (?)", b"{}")
    stored.catalogue("INSERT INTO outbox (namespace, body) VALUES (?, ?)", stored.ann, b"{}")
    found = stored.doctor(exit_code=0)
    expected = [(f"records/{stored.ann}", "note"), ("catalogue.db", "note")]
    assert [(each["subject"], each["severity"]) for each in found] == expected
    assert {each["kind"] for each in found} == {"outbox_waiting"}


def test_events_that_can_never_come_to_a_spine_are_found(stored: Stored) -> None:
    stored.catalogue("INSERT INTO outbox (namespace, body) VALUES ('nobody', ?)", b"{}")
    assert stored.kinds() == ["outbox_stuck"]


def test_an_erasure_that_was_cut_off_is_debris(stored: Stored) -> None:
    stored.central(
        "INSERT INTO erasures (id, owner, target, state, requested_at) VALUES ('era_1', ?, ?, 'running', ?)",
        *(stored.ann, b"{}", WHEN.replace("2026-11", "2026-01")),
    )
    [found] = stored.doctor(exit_code=0)
    assert (found["kind"], found["severity"], found["subject"]) == ("erasure_unfinished", "debris", "era_1")


# -- files -------------------------------------------------------------------------------------------------------------


def scribble(path: Path) -> None:
    """Overwrite some pages after the first."""
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xa5" * 500)


@pytest.mark.parametrize("name", ["central.db", "catalogue.db", "records"])
def test_a_damaged_database_is_found(stored: Stored, name: str) -> None:
    path = stored.data / name if name != "records" else stored.data / "records" / f"{stored.ann}.db"
    scribble(path)
    found = stored.doctor()
    assert {each["severity"] for each in found} == {"error"}
    subject = str(path.relative_to(stored.data))
    assert subject in {each["subject"] for each in found if each["kind"] == "damaged_file"}


@pytest.mark.parametrize("name", ["central.db", "catalogue.db", "records"])
def test_a_file_that_is_no_database_is_found(stored: Stored, name: str) -> None:
    path = stored.data / name if name != "records" else stored.data / "records" / f"{stored.ann}.db"
    path.write_bytes(b"not a database " * 1000)
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("damaged_file", str(path.relative_to(stored.data)))


@pytest.mark.parametrize("name", ["central", "catalogue", "records"])
def test_a_file_of_a_newer_version_is_found(stored: Stored, name: str) -> None:
    path = stored.data / f"{name}.db" if name != "records" else stored.data / "records" / f"{stored.ann}.db"
    with vandal(path) as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, 'm999_newer', '')", (name,)
        )
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("newer_version", str(path.relative_to(stored.data)))


@pytest.mark.parametrize("name", ["central.db", "catalogue.db", "store-id", "secret", "blobs"])
def test_a_part_that_is_missing_is_found_and_not_made_anew(stored: Stored, name: str) -> None:
    path = stored.data / name
    path.rename(stored.data.parent / name)
    assert [(each["kind"], each["subject"]) for each in stored.doctor("--repair")] == [("missing_part", name)]
    assert not path.exists()


def test_records_that_are_missing_are_found_and_not_made_anew(stored: Stored) -> None:
    path = stored.data / "records" / f"{stored.ann}.db"
    path.unlink()
    [found] = stored.doctor("--repair")
    assert (found["kind"], found["subject"]) == ("missing_part", f"records/{stored.ann}.db")
    assert not path.exists()


def test_the_blobs_of_another_catalogue_are_found(stored: Stored) -> None:
    (stored.data / "store-id").write_text("0" * 32)
    assert stored.kinds() == ["store_mismatch"]


def test_records_of_an_unknown_owner_are_found(stored: Stored) -> None:
    shutil.copy(stored.data / "records" / f"{stored.ann}.db", stored.data / "records" / "nobody.db")
    assert [(each["kind"], each["subject"]) for each in stored.doctor()] == [("unknown_owner", "records/nobody.db")]


@pytest.mark.parametrize("name", ["notes.txt", "records/notes.txt", "locks/notes.txt", "staging/notes.txt"])
def test_a_foreign_file_beside_ours_is_noted_and_left_alone(stored: Stored, name: str) -> None:
    (stored.data / name).write_text("mine")
    [found] = stored.doctor("--repair", exit_code=0)
    assert (found["kind"], found["severity"], found["subject"]) == ("foreign_file", "note", name)
    assert (stored.data / name).read_text() == "mine"


def test_a_directory_that_others_may_read_is_noted_and_closed(stored: Stored) -> None:
    stored.data.chmod(0o755)
    [found] = stored.doctor(exit_code=0)
    assert (found["kind"], found["severity"]) == ("open_permissions", "note")
    [found] = stored.doctor("--repair", exit_code=0)
    assert found["repaired"] is True
    assert stored.data.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["central.db", "records", "erasures.ledger", "secret"])
def test_a_part_that_its_own_user_may_not_write_is_found_and_mended(stored: Stored, name: str) -> None:
    (stored.data / name).chmod(0o500 if name == "records" else 0o400)
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("no_access", name)
    stored.doctor("--repair", exit_code=0)
    assert stored.kinds(exit_code=0) == NOTHING


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_part_that_a_command_made_as_another_user_is_found_and_mended(stored: Stored) -> None:
    path = stored.data / "records" / f"{stored.ann}.db"
    mode = path.stat().st_mode
    os.chown(path, 12345, 12345)
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("no_access", f"records/{stored.ann}.db")
    stored.doctor("--repair", exit_code=0)
    assert (path.stat().st_uid, path.stat().st_mode) == (stored.data.stat().st_uid, mode)


@pytest.mark.parametrize("option", ["--min-free=9000TiB", "--min-free-inodes=9000000000000"])
def test_a_disk_without_room_is_found(stored: Stored, option: str) -> None:
    [found] = stored.doctor(option)
    assert (found["kind"], found["subject"], found["repair"]) == ("low_space", ".", None)
    assert "must stay free" in found["message"]


@pytest.fixture
def erased(stored: Stored) -> str:
    """The id of an erasure that is done."""
    result = stored.run("erase", "--owner", "ann", "--connector", CONNECTOR, "--stream", "photos", "--json")
    assert result.exit_code == 0, result.output
    with vandal(stored.data / "central.db") as db:
        return str(db.execute("SELECT id FROM erasures").fetchone()[0])


def test_an_erasure_that_is_not_on_the_ledger_is_found_and_written_there(stored: Stored, erased: str) -> None:
    assert stored.kinds(exit_code=0) == NOTHING
    path = stored.data / "erasures.ledger"
    whole = path.read_bytes()
    path.write_bytes(whole.splitlines(True)[0])
    [found] = stored.doctor()
    assert (found["kind"], found["subject"]) == ("ledger_incomplete", erased)
    stored.doctor("--repair", exit_code=0)
    assert path.read_bytes() == whole
    assert stored.kinds(exit_code=0) == NOTHING


@pytest.mark.parametrize(
    "sql",
    ["NULL", "CAST(replace(CAST(receipt AS TEXT), '\"records\":1', '\"records\":0') AS BLOB)", "CAST('{}' AS BLOB)"],
)
def test_a_receipt_that_is_not_what_was_signed_is_found(stored: Stored, erased: str, sql: str) -> None:
    stored.central(f"UPDATE erasures SET receipt = {sql}")
    [found] = stored.doctor("--repair")
    assert (found["kind"], found["subject"], found["repair"]) == ("receipt_void", erased, None)


def test_a_damaged_ledger_is_found(stored: Stored) -> None:
    path = stored.data / "erasures.ledger"
    path.write_bytes(path.read_bytes().replace(b"ledger_of", b"ledger_if"))
    [found] = stored.doctor("--repair")
    assert (found["kind"], found["subject"], found["repair"]) == ("damaged_file", "erasures.ledger", None)


@pytest.mark.parametrize("exists", [True, False])
def test_a_directory_that_is_no_store_cannot_be_checked_and_does_not_become_one(tmp_path: Path, exists: bool) -> None:
    data = tmp_path / "data"
    if exists:
        data.mkdir()
    result = CliRunner().invoke(main, ["doctor", "--data", str(data), "--json"])
    assert (result.exit_code, result.stdout) == (2, "[]\n")
    assert "no data directory" in result.stderr
    assert not exists or list(data.iterdir()) == []


def test_people_are_told_what_it_means_and_what_mends_it(stored: Stored) -> None:
    stored.catalogue("DELETE FROM holders WHERE digest = ? AND namespace = ?", digest_of(LETTER).raw, stored.ann)
    (stored.data / "notes.txt").touch()
    result = stored.run("doctor")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert f"error: lost_holder: {digest_of(LETTER)}" in lines
    assert "    --repair would: hold it again" in lines
    assert lines[-1] == "1 errors, 0 debris, 1 notes; --repair would try to mend 1"


# -- in use ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(template: Stored, tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    """A store in which somebody uploads, ingests, deletes and collects all the time."""
    monkeypatch.setattr("records.checks.central.DRAIN_WAIT", 0.0)  # something waits always, and is a note alone
    shutil.copytree(template.data, tmp_path / "data")
    stop = threading.Event()
    failures: list[BaseException] = []

    async def bustle(store: RecordStore) -> None:
        owner = await store.access.owner("ann")
        while not stop.is_set():
            key = f"busy{rng.randrange(20)}"
            blobs = [await upload(store, owner, b"%d" % rng.randrange(40), key) for _ in range(rng.randrange(3))]
            await ingest(store, owner, key, blobs, n=rng.random())
            if rng.random() < 0.5:
                await delete(store, owner, f"busy{rng.randrange(20)}")
            if rng.random() < 0.2:
                await store.collect(0)
            if rng.random() < 0.2:
                await store.audit.drain_all()

    def run() -> None:
        try:
            in_store(tmp_path / "data", bustle)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield Stored(tmp_path / "data", template.ann)
    stop.set()
    thread.join()
    assert failures == []


def test_a_store_in_use_raises_no_false_alarm(busy: Stored, sized: Callable[[int, int], int]) -> None:
    for _ in range(sized(3, 40)):
        found = busy.doctor("--deep", exit_code=0)
        assert [each for each in found if each["severity"] == "error"] == []


def test_a_wrong_count_of_what_is_kept_is_mended(stored: Stored) -> None:
    stored.catalogue("UPDATE volumes SET stored = stored + 7 WHERE holder = ''")
    stored.catalogue("DELETE FROM volumes WHERE namespace = ? AND holder != ''", stored.ann)
    assert stored.kinds() == ["wrong_volume"]
    [finding] = stored.doctor("--repair", exit_code=0)
    assert finding["repaired"]
    assert stored.doctor(exit_code=0) == []


def test_a_wrong_total_is_mended(stored: Stored) -> None:
    stored.catalogue("UPDATE totals SET bytes = bytes + 7, shared_bytes = 1 WHERE namespace = ?", stored.ann)
    assert stored.kinds() == ["wrong_volume"]
    [finding] = stored.doctor("--repair", exit_code=0)
    assert finding["repaired"]
    assert stored.doctor(exit_code=0) == []


def test_sums_of_records_that_are_wrong_are_found(stored: Stored) -> None:
    with vandal(stored.data / "records" / f"{stored.ann}.db") as db:
        db.execute("UPDATE months SET linked = linked + 1")
    [finding] = stored.doctor("--repair", exit_code=0)
    assert (finding["kind"], "of a month" in finding["message"], finding["repaired"]) == ("wrong_sums", True, True)
    assert stored.doctor(exit_code=0) == []


def test_sums_of_links_that_have_other_sizes_than_their_blobs_are_found(stored: Stored) -> None:
    with vandal(stored.data / "records" / f"{stored.ann}.db") as db:
        db.execute("UPDATE links SET size = 0")
        db.execute("UPDATE linked SET bytes = 0, blob_bytes = 0")
        db.execute("UPDATE months SET linked = 0")
    [finding] = stored.doctor()
    assert finding["kind"] == "wrong_sums"


def test_who_repairs_is_not_told_that_repairing_would_help(stored: Stored) -> None:
    shorten(stored.file(PHOTO))
    assert "--repair would" in stored.run("doctor").stdout
    told = stored.run("doctor", "--repair").stdout
    assert "--repair would" not in told
    assert "tried, and something is left to do: quarantine it" in told
    assert told.endswith("1 of these could not be mended\n")
