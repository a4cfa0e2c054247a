"""`quota` sets limits that hold at once, and shows what is used of them."""

import json
from collections.abc import Mapping
from typing import Any

import click
import pytest

from blobstore.errors import OverQuota
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, DRAFT, LETTER, PHOTO, Stored, in_store, upload
from tools.sizes import SIZE

KEPT = len(LETTER) + len(PHOTO) + len(DRAFT)


def quota(stored: Stored, *arguments: str) -> str:
    result = stored.run("quota", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def quotas(stored: Stored) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = json.loads(quota(stored, "list", "--json"))
    return rows


async def _upload(store: RecordStore) -> None:
    await upload(store, await store.access.owner("ann"), b"x" * 1000, "5")


def test_a_quota_holds_for_the_next_upload(stored: Stored) -> None:
    quota(stored, "set", "--owner", "ann", "1KiB")
    with pytest.raises(OverQuota):
        in_store(stored.data, _upload)
    quota(stored, "clear", "--owner", "ann")
    in_store(stored.data, _upload)


@pytest.mark.parametrize("who", [(), ("--connector", "*"), ("--connector", CONNECTOR)])
def test_a_rule_for_all_gives_way_to_one_by_name(stored: Stored, who: tuple[str, ...]) -> None:
    quota(stored, "set", *who, "1000")
    with pytest.raises(OverQuota):
        in_store(stored.data, _upload)
    quota(stored, "set", "--owner", "ann", *who, "unlimited")
    in_store(stored.data, _upload)


def test_the_list_shows_what_is_used(stored: Stored) -> None:
    quota(stored, "set", "--owner", "ann", "1MB")
    quota(stored, "set", "--owner", "ann", "--connector", CONNECTOR, "2GiB")
    quota(stored, "set", "--connector", "*", "3TiB")
    every, whole, one = quotas(stored)
    assert every == {"owner": "*", "connector": "*", "limit_bytes": 3 << 40}
    assert (whole["owner"], whole["connector"], whole["limit_bytes"]) == ("ann", None, 1_000_000)
    assert (one["connector"], one["limit_bytes"]) == (CONNECTOR, 2 << 30)
    assert whole["blob_bytes"] == one["blob_bytes"] == KEPT
    assert whole["used_bytes"] == KEPT + whole["record_bytes"] + whole["reserved_bytes"]
    assert whole["record_bytes"] > 0


def test_usage_tells_an_owner_their_quota(stored: Stored) -> None:
    quota(stored, "set", "5MiB")
    quota(stored, "set", "--owner", "ann", "7MiB")
    rows = json.loads(stored.run("usage", "--json").stdout)
    told = {row["owner"]: (row["quota_bytes"], row["reserved_bytes"]) for row in rows if row["connector"] is None}
    assert told == {"ann": (7 << 20, 0), "bob": (5 << 20, 0)}


def test_what_is_not_there_is_an_error(stored: Stored) -> None:
    assert "no such quota" in stored.run("quota", "clear", "--owner", "ann").output
    assert "no owner" in stored.run("quota", "set", "--owner", "nobody", "1").output
    assert "a number" in stored.run("quota", "set", "much").output


@pytest.mark.parametrize(
    ("text", "bytes"),
    [("0", 0), ("17", 17), ("5B", 5), ("1K", 1024), ("2 MiB", 2 << 20), ("1.5g", 3 << 29), ("10GB", 10**10)],
)
def test_sizes_are_written_as_people_do(text: str, bytes: int) -> None:
    assert SIZE.convert(text, None, None) == bytes


@pytest.mark.parametrize("text", ["", "-1", "1 PiB", "1e9", "GB", "1,5G", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        SIZE.convert(text, None, None)
