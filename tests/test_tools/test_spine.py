"""`spine verify` tells an auditor whether the log is as it was chained."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from records import jsontext
from records.audit.spine import GENESIS, chain
from records.keyring import Keyring
from records.signing import SignedDocument, Signer
from records.store import RecordStore
from tests.fakes.data_directory import Stored, in_store, vandal


def verify(stored: Stored, *options: str, exit_code: int = 0, owner: str = "ann") -> Mapping[str, Any]:
    result = stored.run("spine", "verify", "--owner", owner, "--json", *options)
    assert result.exit_code == exit_code, result.output
    [found] = json.loads(result.stdout)
    assert isinstance(found, dict)
    assert found["verified"] is (exit_code == 0)
    return found


def test_a_sound_spine_is_verified_and_its_head_is_told(stored: Stored) -> None:
    found = verify(stored)
    assert found["events"] == found["head_seq"] > 5
    assert found["faults"] == []
    result = stored.run("spine", "verify", "--owner", "ann")
    assert result.output.splitlines() == [
        f"sound: {found['events']} events of ann",
        f"head {found['head_seq']}:{found['head_hash']} of {found['head_at']}",
    ]


def test_verifying_adds_no_event(stored: Stored) -> None:
    stored.records("INSERT INTO outbox (body) VALUES (?)", b"{}")
    assert verify(stored) == verify(stored)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("UPDATE spine SET body = CAST('{}' AS BLOB) WHERE owner = ? AND seq = 3", "Event 3 was edited"),
        ("UPDATE spine SET at = '2001-01-01T00:00:00.000000Z' WHERE owner = ? AND seq = 3", "Event 3 was edited"),
        ("DELETE FROM spine WHERE owner = ? AND seq = 3", "Event 3 is missing before event 4."),
        ("DELETE FROM spine WHERE owner = ? AND seq > 3", "its end was cut off"),
        ("DELETE FROM spine WHERE owner = ?", "its end was cut off"),
    ],
)
def test_a_spine_that_was_tampered_with_is_no_sound_one(stored: Stored, sql: str, message: str) -> None:
    stored.central(sql, stored.ann)
    found = verify(stored, exit_code=1)
    assert message in found["faults"][0]["message"]
    assert message in stored.run("spine", "verify", "--owner", "ann").output


def test_another_owners_spine_does_not_matter(stored: Stored) -> None:
    stored.central("UPDATE spine SET body = CAST('{}' AS BLOB) WHERE owner = ? AND seq = 3", stored.ann)
    verify(stored, owner="bob")


def forge(stored: Stored, length: int) -> None:
    """Chain the first `length` events anew, with other content, and hide that there were more."""
    with vandal(stored.data / "central.db") as db:
        db.execute("DELETE FROM spine WHERE owner = ? AND seq > ?", (stored.ann, length))
        db.execute("UPDATE owners SET events = ? WHERE id = ?", (length, stored.ann))
        previous = GENESIS
        sql = "SELECT seq, at FROM spine WHERE owner = ? ORDER BY seq"
        for seq, at in db.execute(sql, (stored.ann,)).fetchall():
            new = chain(previous, seq, at, b'{"kind":"forged"}')
            db.execute(
                "UPDATE spine SET body = ?, previous = ?, hash = ? WHERE owner = ? AND seq = ?",
                (b'{"kind":"forged"}', previous, new, stored.ann, seq),
            )
            previous = new


@pytest.mark.parametrize(("length", "message"), [(1000, "was replaced"), (3, "is missing: the chain ends at 3")])
def test_only_a_head_that_was_kept_elsewhere_betrays_a_chain_made_anew(
    stored: Stored, length: int, message: str
) -> None:
    before = verify(stored)
    head = f"{before['head_seq']}:{before['head_hash']}"
    forge(stored, min(length, before["events"]))
    verify(stored)
    found = verify(stored, "--known", head, exit_code=1)
    assert message in found["faults"][0]["message"]


def test_a_head_that_was_kept_elsewhere_is_confirmed(stored: Stored) -> None:
    found = verify(stored)
    verify(stored, "--known", f"{found['head_seq']}:{found['head_hash']}")


def checkpoint(stored: Stored, path: Path, owner: str = "ann") -> Path:
    """Keep the newest checkpoint in a file."""
    result = stored.run("spine", "checkpoint", "--owner", owner)
    assert result.exit_code == 0, result.output
    path.write_text(result.stdout)
    return path


def test_a_checkpoint_is_a_signed_document_alone_on_stdout(stored: Stored, tmp_path: Path) -> None:
    kept = checkpoint(stored, tmp_path / "kept.json")
    document = SignedDocument.verify(kept.read_bytes())
    found = verify(stored, "--checkpoint", str(kept))
    assert document.content["spine_head"] == {
        "seq": found["head_seq"],
        "hash": found["head_hash"],
        "at": found["head_at"],
    }


def test_checkpoints_are_listed_with_their_documents(stored: Stored, tmp_path: Path) -> None:
    first = checkpoint(stored, tmp_path / "1.json")
    assert stored.run("token", "create", "--owner", "ann").exit_code == 0
    second = checkpoint(stored, tmp_path / "2.json")
    rows = json.loads(stored.run("spine", "checkpoints", "--owner", "ann", "--json").stdout)
    assert [row["document"] for row in rows] == [json.loads(first.read_text()), json.loads(second.read_text())]
    assert [row["seq"] for row in rows] == sorted(row["document"]["spine_head"]["seq"] for row in rows)
    assert rows[1]["hash"] in stored.run("spine", "checkpoints", "--owner", "ann").output.replace("\n", "")


@pytest.mark.parametrize(
    ("length", "message"),
    [(1000, "was replaced"), (3, "is missing: the chain ends at 3")],
    ids=["made anew as a whole", "made anew and cut off"],
)
def test_a_checkpoint_that_is_kept_here_betrays_a_chain_made_anew(stored: Stored, length: int, message: str) -> None:
    stored.run("spine", "checkpoint", "--owner", "ann")
    forge(stored, min(length, verify(stored)["events"]))
    assert message in verify(stored, exit_code=1)["faults"][0]["message"]


@pytest.mark.parametrize("length", [1000, 3], ids=["made anew as a whole", "made anew and cut off"])
def test_where_those_kept_here_went_too_one_kept_elsewhere_does(stored: Stored, tmp_path: Path, length: int) -> None:
    kept = checkpoint(stored, tmp_path / "kept.json")
    forge(stored, min(length, verify(stored)["events"]))
    stored.central("DELETE FROM checkpoints")
    verify(stored)
    verify(stored, "--checkpoint", str(kept), exit_code=1)


def test_a_cut_off_end_is_found_by_a_receipt_that_was_kept_elsewhere(stored: Stored, tmp_path: Path) -> None:
    members = in_store(stored.data, lambda store: _members(store, "ann"))
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(jsontext.encode(signer(stored).sign({"kind": "any_receipt", "bytes": 7, **members})))
    verify(stored, "--checkpoint", str(receipt))
    with vandal(stored.data / "central.db") as db:
        db.execute("DELETE FROM spine WHERE owner = ? AND seq > 3", (stored.ann,))
        db.execute("UPDATE owners SET events = 3 WHERE id = ?", (stored.ann,))
    verify(stored)
    found = verify(stored, "--checkpoint", str(receipt), exit_code=1)
    assert "is missing: the chain ends at 3" in found["faults"][0]["message"]


def test_another_owners_checkpoint_is_refused(stored: Stored, tmp_path: Path) -> None:
    kept = checkpoint(stored, tmp_path / "kept.json", owner="bob")
    result = stored.run("spine", "verify", "--owner", "ann", "--checkpoint", str(kept))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "proves nothing about the log of ann: it is about another owner's spine" in result.stderr


def test_a_checkpoint_that_was_changed_is_refused(stored: Stored, tmp_path: Path) -> None:
    kept = checkpoint(stored, tmp_path / "kept.json")
    kept.write_text(kept.read_text().replace('"seq":', '"seq":1'))
    result = stored.run("spine", "verify", "--owner", "ann", "--checkpoint", str(kept))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "its signature does not fit" in result.stderr


def test_one_that_another_key_signed_is_refused_unless_that_key_is_named(stored: Stored, tmp_path: Path) -> None:
    other = Keyring(bytes(32)).signer()
    kept = tmp_path / "kept.json"
    kept.write_bytes(jsontext.encode(other.sign(in_store(stored.data, lambda store: _members(store, "ann")))))
    result = stored.run("spine", "verify", "--owner", "ann", "--checkpoint", str(kept))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"signed with another key: {other.public_key}" in result.stderr
    verify(stored, "--checkpoint", str(kept), "--public-key", other.public_key)


def test_what_was_kept_must_agree(stored: Stored, tmp_path: Path) -> None:
    kept = checkpoint(stored, tmp_path / "kept.json")
    seq = verify(stored)["head_seq"]
    result = stored.run("spine", "verify", "--owner", "ann", "--checkpoint", str(kept), "--known", f"{seq}:{'0' * 64}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"disagrees about event {seq}" in result.stderr


async def _members(store: RecordStore, subject: str) -> dict[str, object]:
    return await store.checkpoints.members(await store.access.owner(subject))


def signer(stored: Stored) -> Signer:
    """What signs for this data directory."""
    return Keyring.open(stored.data).signer()


@pytest.mark.parametrize("known", ["", "3", "3:abc", "0:" + "0" * 64, "x:" + "0" * 64])
def test_a_head_in_another_form_is_refused(stored: Stored, known: str) -> None:
    result = stored.run("spine", "verify", "--owner", "ann", "--known", known)
    assert result.exit_code == 2
    assert "64 hexadecimal digits" in result.stderr


def test_an_unknown_owner_is_an_error(stored: Stored) -> None:
    result = stored.run("spine", "verify", "--owner", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no owner 'nobody'" in result.stderr
