"""`erase` looks for what it left, and says where it found it: in its exit code, its output and its receipt."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from records.erasure.residue import Residues
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, Stored, in_store, ingest, upload
from tools.cli import main
from tools.opening import Opening, configure

RNG = random.Random(4)
LETTERS = {str(n): (" ".join(RNG.randbytes(4).hex() for _ in range(30)), RNG.randbytes(20_000)) for n in range(12)}


async def fill(store: RecordStore) -> str:
    """Letters of two owners: bob has some of ann's."""
    for name, letters in (("ann", LETTERS), ("bob", {key: LETTERS[key] for key in "012"})):
        owner = await store.access.owner(name)
        await store.registry.register(owner, json.dumps(MANIFEST).encode())
        for key, (text, content) in letters.items():
            await ingest(store, owner, key, [await upload(store, owner, content, key)], text=text)
    return (await store.access.owner("ann")).id


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    data = tmp_path_factory.mktemp("template") / "data"
    configure(Opening(data, None, None))
    return Stored(data, in_store(data, fill))


def erase(stored: Stored, *options: str, exit_code: int = 0) -> Mapping[str, Any]:
    result = stored.run("erase", "--owner", "ann", "--json", *options)
    assert result.exit_code == exit_code, result.output
    [report] = json.loads(result.stdout)
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize(
    "scope",
    [
        (),
        ("--connector", CONNECTOR),
        ("--connector", CONNECTOR, "--stream", "documents"),
        ("--connector", CONNECTOR, "--stream", "documents", "--key", "7"),
    ],
    ids=["owner", "connector", "stream", "record"],
)
def test_after_an_erasure_of_any_scope_no_file_shows_any_of_it(stored: Stored, scope: tuple[str, ...]) -> None:
    report = erase(stored, *scope)
    residue = report["receipt"]["residue"]
    assert (residue["result"], residue["found"], residue["unread"]) == ("clean", {}, 0)
    assert residue["samples"] > residue["shared"]
    assert residue["named"] == report["blobs"] > 0
    assert report["residue"]["bytes"] > 50_000
    assert "by name" in residue["method"]
    assert stored.kinds(exit_code=0) == []


def test_what_bob_has_too_is_shared(stored: Stored) -> None:
    residue = erase(stored, "--connector", CONNECTOR)["receipt"]["residue"]
    assert residue["result"] == "clean"
    assert residue["shared"] > 0


def test_a_copy_that_somebody_left_is_found_and_named_to_the_operator_alone(stored: Stored, tmp_path: Path) -> None:
    copy = stored.data / "scratch" / "copy-of-letters"
    copy.parent.mkdir()
    copy.write_bytes(bytes(5000) + b"".join(content for _, content in LETTERS.values()))
    report = erase(stored, "--connector", CONNECTOR, exit_code=4)
    residue = report["receipt"]["residue"]
    assert (residue["result"], residue["found"]) == ("residue", {"other": len(report["residue"]["places"])})
    for place in report["residue"]["places"]:
        assert place["path"] == "scratch/copy-of-letters"
        assert any(copy.read_bytes()[place["offset"] :][:32] in content for _, content in LETTERS.values())
    assert "scratch" not in json.dumps(report["receipt"])
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(report["receipt"]))
    told = _verified(receipt)
    assert "traces: residue" in told
    assert "left in other" in told


def test_the_place_is_told_in_words_too(stored: Stored) -> None:
    (stored.data / "notes").write_text("\n".join(text for text, _ in LETTERS.values()))
    result = stored.run("erase", "--owner", "ann", "--connector", CONNECTOR, "--stream", "documents")
    assert result.exit_code == 4
    assert "a trace in notes, at byte" in result.stderr
    assert json.loads(result.stdout)["residue"]["result"] == "residue"


def test_an_erasure_that_was_cut_off_before_the_search_looks_for_what_went_before(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Residues, "scan", _die)
        with pytest.raises(_Killed):
            stored.run("erase", "--owner", "ann", "--connector", CONNECTOR)
    (stored.data / "left").write_bytes(b"".join(content for _, content in LETTERS.values()))
    assert stored.run("gc").exit_code == 0
    receipt = _last_receipt(stored)
    assert (receipt["resumed"], receipt["residue"]["result"]) == (1, "residue")
    assert set(receipt["residue"]["found"]) == {"other"}


def test_one_that_was_cut_off_before_its_samples_were_kept_takes_them_again(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Residues, "keep", _die)
        with pytest.raises(_Killed):
            stored.run("erase", "--owner", "ann", "--connector", CONNECTOR)
    assert stored.run("gc").exit_code == 0
    residue = _last_receipt(stored)["residue"]
    assert residue["result"] == "clean"
    assert residue["samples"] > 20


def test_one_that_was_cut_off_after_the_search_does_not_forget_what_was_found(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = stored.data / "left"
    left.write_bytes(b"".join(content for _, content in LETTERS.values()))
    with monkeypatch.context() as patch:
        patch.setattr(Residues, "forget", _die)
        with pytest.raises(_Killed):
            stored.run("erase", "--owner", "ann", "--connector", CONNECTOR)
    left.unlink()
    assert stored.run("gc").exit_code == 0
    assert _last_receipt(stored)["residue"]["result"] == "residue"


def test_neither_samples_nor_their_key_are_left_when_it_is_done(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[bytes, bytes]] = []
    forget = Residues.forget

    async def noted(self: Residues, erasure: str) -> None:
        found = await self._central.samples(erasure)
        assert found is not None
        kept.append(found)
        await forget(self, erasure)

    monkeypatch.setattr(Residues, "forget", noted)
    erase(stored, "--connector", CONNECTOR)
    [(key, sealed)] = kept
    pieces = [key, *(sealed[at : at + 32] for at in range(0, len(sealed) - 31, 16))]
    contents = {path: path.read_bytes() for path in stored.data.rglob("*") if path.is_file()}
    assert [path for path, content in contents.items() if any(piece in content for piece in pieces)] == []


class _Killed(BaseException):
    """As `kill -9`: nothing catches it."""


def _die(*_: object, **__: object) -> None:
    raise _Killed


def _last_receipt(stored: Stored) -> Mapping[str, Any]:
    async def work(store: RecordStore) -> bytes:
        [done] = await store.erasures.listed(await store.access.owner("ann"), None, 5)
        assert done.receipt is not None
        return done.receipt

    receipt: Mapping[str, Any] = json.loads(in_store(stored.data, work))
    return receipt


def _verified(receipt: Path) -> str:
    result = CliRunner().invoke(main, ["receipt", "verify", str(receipt)])
    assert result.exit_code == 0, result.output
    return result.output
