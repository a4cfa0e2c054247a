"""`spine verify` tells an auditor whether the log is as it was chained."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from records.spine import GENESIS, chain
from tests.fakes.data_directory import Stored, make, vandal


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return make(tmp_path_factory.mktemp("template") / "data")


@pytest.fixture
def stored(template: Stored, tmp_path: Path) -> Stored:
    shutil.copytree(template.data, tmp_path / "data")
    return Stored(tmp_path / "data", template.ann)


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


@pytest.mark.parametrize("known", ["", "3", "3:abc", "0:" + "0" * 64, "x:" + "0" * 64])
def test_a_head_in_another_form_is_refused(stored: Stored, known: str) -> None:
    result = stored.run("spine", "verify", "--owner", "ann", "--known", known)
    assert result.exit_code == 2
    assert "64 hexadecimal digits" in result.stderr


def test_an_unknown_owner_is_an_error(stored: Stored) -> None:
    result = stored.run("spine", "verify", "--owner", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no owner 'nobody'" in result.stderr
