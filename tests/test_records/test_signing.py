"""Signed documents: what was signed verifies, anything else does not, and nothing that is thrown at it is an error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.signing import NotGenuine, SignedDocument, Signer

SIGNER = Signer(bytes(range(32)))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.text().filter(lambda name: name != "signature"), values, max_size=5)


def text_of(document: object) -> bytes:
    """As another JSON library writes it, indented."""
    return json.dumps(document, indent=2).encode()


@given(documents)
def test_what_was_signed_verifies_however_it_is_written(document: dict[str, Any]) -> None:
    found = SignedDocument.verify(text_of(SIGNER.sign(document)), SIGNER.public_key)
    assert (found.content, found.public_key) == (document, SIGNER.public_key)


@given(documents, st.text(), values)
def test_a_changed_document_does_not(document: dict[str, Any], name: str, value: object) -> None:
    changed = {**SIGNER.sign(document), name: value}
    if json.dumps(changed, sort_keys=True) != json.dumps(SIGNER.sign(document), sort_keys=True):
        with pytest.raises(NotGenuine):
            SignedDocument.verify(text_of(changed))


def test_another_signer_is_told_apart_by_its_key_alone() -> None:
    text = text_of(Signer(bytes(32)).sign({"a": 1}))
    assert SignedDocument.verify(text).public_key != SIGNER.public_key
    with pytest.raises(NotGenuine, match="another key"):
        SignedDocument.verify(text, SIGNER.public_key)


def test_a_document_is_signed_once() -> None:
    with pytest.raises(ValueError, match="already"):
        SIGNER.sign(SIGNER.sign({"a": 1}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"signature": {}}',
        b"[" * 100_000,
        text_of(SIGNER.sign({"a": 1})).replace(b"Ed25519", b"none"),
        text_of(SIGNER.sign({"a": 1})).replace(b'{\n  "a"', b'{"a": 2, "a"'),
        text_of(SIGNER.sign({"a": 1})).replace(b'"\n  }', b'=="\n  }'),
    ],
)
def test_anything_else_is_not_genuine(text: bytes) -> None:
    with pytest.raises(NotGenuine):
        SignedDocument.verify(text)
