"""Every signed document embeds a spine's head in one form."""

from typing import Any

import pytest

from records import jsontext
from records.audit import heads
from records.central import SpineEvent
from records.keyring import Keyring
from records.signing import NotGenuine, SignedDocument

KEYRING = Keyring(bytes(32))
EVENT = SpineEvent(7, "2026-11-23T10:00:00.000000Z", b"{}", bytes(32), bytes(range(32)))


def signed(**members: Any) -> SignedDocument:
    return SignedDocument.verify(jsontext.encode(KEYRING.signer().sign(members)))


def test_a_head_is_read_as_it_was_embedded() -> None:
    members = heads.members("store", "ann", EVENT)
    assert members == {
        "store_id": "store",
        "owner": "ann",
        "spine_head": {"seq": 7, "hash": bytes(range(32)).hex(), "at": "2026-11-23T10:00:00.000000Z"},
    }
    found = heads.embedded(signed(kind="any", **members))
    assert (found.store_id, found.owner) == ("store", "ann")
    assert found.spine_head == heads.Head(7, EVENT.hash.hex(), EVENT.at)


def test_before_the_first_event_there_is_no_head() -> None:
    assert heads.embedded(signed(**heads.members("store", "ann", None))).spine_head is None


@pytest.mark.parametrize(
    "spine_head",
    [
        7,
        {"seq": "7", "hash": "0" * 64, "at": EVENT.at},
        {"seq": 7, "hash": "0" * 62, "at": EVENT.at},
        {"seq": 7, "hash": "x" * 64, "at": EVENT.at},
        {"seq": 7, "at": EVENT.at},
    ],
)
def test_a_document_with_a_head_of_another_form_is_refused(spine_head: object) -> None:
    with pytest.raises(NotGenuine, match="says nothing of the head"):
        heads.embedded(signed(store_id="store", owner="ann", spine_head=spine_head))


@pytest.mark.parametrize("gone", ["store_id", "owner", "spine_head"])
def test_a_document_that_does_not_say_whose_spine_it_is_is_refused(gone: str) -> None:
    members = heads.members("store", "ann", EVENT)
    del members[gone]
    with pytest.raises(NotGenuine, match="says nothing of the head"):
        heads.embedded(signed(**members))


def test_an_owners_digest_depends_on_the_id_the_name_and_the_secret() -> None:
    digests = {
        keyring.owner_digest(id, subject)
        for keyring in (KEYRING, Keyring(bytes([1]) * 32))
        for id in ("o1", "o2")
        for subject in ("ann", "bob")
    }
    assert len(digests) == 8
    assert KEYRING.owner_digest("o1", "ann") in digests
