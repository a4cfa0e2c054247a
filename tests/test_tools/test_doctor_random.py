"""Random damage of every class: `doctor` names it, `--repair` mends what it can and never makes anything worse."""

import json
import random
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from records.model import Order
from records.store import RecordStore
from tests.fakes.data_directory import (
    CONNECTOR,
    DRAFT,
    LETTER,
    PHOTO,
    Stored,
    digest_of,
    in_store,
    ingest,
    make,
    upload,
    vandal,
)

GENERATION = "0123456789abcdef" * 2
RECORDS = 12
"""Records with a blob each, beside those that every directory has: each may be harmed by itself."""


def content(number: int) -> bytes:
    return b"content %d " % number * (number + 1)


async def fill(store: RecordStore) -> None:
    owner = await store.access.owner("ann")
    for number in range(RECORDS):
        await ingest(store, owner, f"r{number}", [await upload(store, owner, content(number), f"r{number}")])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    stored = make(tmp_path_factory.mktemp("template") / "data")
    in_store(stored.data, fill)
    return stored


# -- damages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Damage:
    """One way to harm the directory, what doctor calls it, and what is left of that after a repair."""

    harm: Callable[[Stored, int], None]
    kind: str
    left: str | None = None
    """What doctor still finds; None where the repair mends it."""


def flip(stored: Stored, number: int) -> None:
    path = stored.file(content(number))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(stored: Stored, number: int) -> None:
    path = stored.file(content(number))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])


def lose_holder(stored: Stored, number: int) -> None:
    stored.catalogue("DELETE FROM holders WHERE digest = ?", digest_of(content(number)).raw)


def lose_links(stored: Stored, number: int) -> None:
    with vandal(stored.data / "records" / f"{stored.ann}.db") as db:
        gone = db.execute("DELETE FROM links WHERE key = ?", (f"r{number}",)).rowcount
        db.execute("UPDATE records SET links = 0 WHERE key = ?", (f"r{number}",))
        db.execute("UPDATE partitions SET links = links - ? WHERE stream = 'documents'", (gone,))


def add_link(stored: Stored, number: int) -> None:
    with vandal(stored.data / "records" / f"{stored.ann}.db") as db:
        db.execute(
            "INSERT INTO links SELECT part, key, '/x', connector, digest, media_type, filename, size"
            " FROM links WHERE key = ?",
            (f"r{number}",),
        )
        db.execute("UPDATE records SET links = links + 1 WHERE key = ?", (f"r{number}",))
        db.execute("UPDATE partitions SET links = links + 1 WHERE stream = 'documents'")


def mark(stored: Stored, number: int) -> None:
    stored.catalogue("UPDATE blobs SET orphaned_at = 1 WHERE digest = ?", digest_of(content(number)).raw)


def unmark(stored: Stored, _: int) -> None:
    stored.catalogue("DELETE FROM claims WHERE digest = ?", digest_of(DRAFT).raw)


def miscount(stored: Stored, number: int) -> None:
    stored.catalogue("UPDATE volumes SET stored = stored + ? WHERE holder = ''", number + 1)


def stranger(stored: Stored, number: int) -> None:
    digest = digest_of(b"whose %d" % number).hex
    path = stored.data / "blobs" / stored.ann / digest[:2] / digest[2:4] / f"{digest}.{GENERATION}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"whose %d" % number)


def foreign(stored: Stored, number: int) -> None:
    (stored.data / "blobs" / f"notes-{number}.txt").write_text("mine")


def wrong_sha256(stored: Stored, number: int) -> None:
    sql = "UPDATE blobs SET sha256 = ? WHERE digest = ?"
    stored.catalogue(sql, secrets.token_bytes(32), digest_of(content(number)).raw)


def no_json(stored: Stored, number: int) -> None:
    stored.records("UPDATE records SET data = '[' || substr(data, 2) WHERE key = ?", f"r{number}")


def edit_spine(stored: Stored, number: int) -> None:
    sql = "UPDATE spine SET body = CAST(body || ' ' AS BLOB) WHERE owner = ? AND seq = ?"
    stored.central(sql, stored.ann, number + 2)


def lock_out(stored: Stored, _: int) -> None:
    (stored.data / "central.db").chmod(0o400)


def let_in(stored: Stored, _: int) -> None:
    stored.data.chmod(0o755)


def stage(stored: Stored, number: int) -> None:
    folder = stored.data / "staging" / f"{number:016x}"
    folder.mkdir()
    (folder / GENERATION).write_bytes(b"half of")


def expire_lease(stored: Stored, number: int) -> None:
    sql = (
        "INSERT INTO leases (id, namespace, holder, scope, slot, process, expires_at) VALUES (?, ?, ?, 'x', 's', ?, 1)"
    )
    stored.catalogue(sql, f"{number:032x}", stored.ann, CONNECTOR, "0" * 16)


DAMAGES = [
    Damage(flip, "digest_mismatch", "quarantined"),
    Damage(shorten, "wrong_size", "quarantined"),
    Damage(lambda stored, number: stored.file(content(number)).unlink(), "missing_file", "quarantined"),
    Damage(wrong_sha256, "sha256_mismatch", "quarantined"),
    Damage(lose_holder, "lost_holder"),
    Damage(lose_links, "lost_link"),
    Damage(add_link, "extra_link"),
    Damage(mark, "orphan_mark"),
    Damage(unmark, "orphan_unmarked"),
    Damage(miscount, "wrong_volume"),
    Damage(lock_out, "no_access"),
    Damage(let_in, "open_permissions"),
    Damage(stranger, "unknown_file", "unknown_file"),
    Damage(foreign, "foreign_file", "foreign_file"),
    Damage(no_json, "damaged_record", "damaged_record"),
    Damage(edit_spine, "spine_broken", "spine_broken"),
    Damage(stage, "staging_debris", "staging_debris"),
    Damage(expire_lease, "expired_lease", "expired_lease"),
]


AROUND = {"no_access", "open_permissions"}
"""What is looked at before the store is opened."""


# -- what must stay ----------------------------------------------------------------------------------------------------


def files(stored: Stored) -> dict[Path, bytes]:
    """Everything that is not a database; `host` is written anew by the first process that works on a copy."""
    paths = [
        path for path in stored.data.rglob("*") if path.is_file() and ".db" not in path.name and path.name != "host"
    ]
    return {path.relative_to(stored.data): path.read_bytes() for path in paths}


def acknowledged(stored: Stored) -> tuple[dict[str, bytes], set[tuple[str, bool]]]:
    """Every record's data, and every blob that can be read, with whether it is good."""

    async def work(store: RecordStore) -> tuple[dict[str, bytes], set[tuple[str, bool]]]:
        engine, blobs = await store.engines.of(stored.ann), set[tuple[str, bool]]()
        page = await engine.page(list(await engine.stats()), Order.ASC, None, 1000)
        for data in (LETTER, PHOTO, DRAFT, *map(content, range(RECORDS))):
            found = await store.blobs.catalogue.generations(stored.ann, digest_of(data))
            sizes = [store.blobs.backend.size(each.name) for each in found]
            blobs |= {(str(digest_of(data)), size == len(data)) for size in sizes}
        return {record.key: record.data for record in page.records}, blobs

    return in_store(stored.data, work)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_random_damage_is_named_and_mended_where_it_can_be_and_never_made_worse(
    template: Stored,
    tmp_path: Path,
    rng: random.Random,
    sized: Callable[[int, int], int],
    at_rest: None,
) -> None:
    for round in range(sized(5, 300)):
        stored = Stored(tmp_path / str(round), template.ann)
        shutil.copytree(template.data, stored.data)
        damages = rng.sample(DAMAGES, rng.randint(1, 5))
        places = rng.sample(range(RECORDS), len(damages))
        for damage, place in zip(damages, places, strict=True):
            damage.harm(stored, place)
        kinds, left = {each.kind for each in damages}, {each.left for each in damages} - {None}
        told = [each.kind for each in damages]
        if kinds - {"wrong_volume"} - AROUND:
            kinds.discard(
                "wrong_volume"
            )  # sums are told of by themselves only: what else is wrong makes them wrong, too
        there, kept = files(stored), acknowledged(stored)
        assert set(run(stored)) == kinds, told
        assert files(stored) == there, "to look changed something"
        assert set(run(stored, "--repair")) <= kinds, told  # what mends one thing may have mended another
        assert acknowledged(stored) == kept, told
        assert files(stored) == there, told
        assert set(run(stored)) == left, told
        assert set(run(stored, "--repair")) == left, told
        assert acknowledged(stored) == kept, told
        shutil.rmtree(stored.data)


def run(stored: Stored, *options: str) -> list[str]:
    result = stored.run("doctor", "--deep", "--json", *options)
    assert result.exit_code in (0, 1), result.output
    return [each["kind"] for each in json.loads(result.stdout)]
