"""JSON arrays of any length, one item at a time."""

import io
import json
import tracemalloc
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.slack import jsonstream

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Trickle(io.BytesIO):
    """Gives a few bytes at a time, so that every place is a place to be cut at."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self._step = step

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._step)


@given(st.lists(values, max_size=6), st.integers(1, 7), st.booleans(), st.sampled_from([None, 2]))
def test_items_are_those_of_the_array_however_it_arrives(
    expected: list[Any], step: int, ascii_only: bool, indent: int | None
) -> None:
    content = json.dumps(expected, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    if b"\xed" not in content or ascii_only:
        assert list(jsonstream.items(Trickle(content, step))) == expected


@given(st.dictionaries(st.text(), values, max_size=3), st.lists(values, max_size=4), st.integers(1, 7))
def test_members_before_the_array_are_told(before: dict[str, Any], expected: list[Any], step: int) -> None:
    before.pop("messages", None)
    content = json.dumps({**before, "messages": expected, "after": 1}).encode()
    found, items = jsonstream.members_and_items(Trickle(content, step), "messages")
    assert found == before
    assert list(items) == expected


def test_an_object_without_the_array_has_no_items() -> None:
    found, items = jsonstream.members_and_items(io.BytesIO(b'{"a": 1, "messages": null}'), "messages")
    assert found == {"a": 1, "messages": None}
    assert list(items) == []


@pytest.mark.parametrize("text", [b"", b"[", b"[1", b"[1,", b"{}", b"nonsense", b'["a', b"[1}"])
def test_what_is_no_array_is_an_error(text: bytes) -> None:
    with pytest.raises(jsonstream.Malformed):
        list(jsonstream.items(io.BytesIO(text)))


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert list(jsonstream.items(io.BytesIO(b"\xef\xbb\xbf[1]"))) == [1]


def test_an_item_without_end_is_refused_before_it_fills_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonstream, "_LARGEST_ITEM", 1_000_000)
    with pytest.raises(jsonstream.Malformed, match="too large"):
        list(jsonstream.items(io.BytesIO(b'["' + b"x" * 3_000_000)))


def test_memory_does_not_grow_with_the_array() -> None:
    class Long(io.RawIOBase):
        left = 401

        def read(self, size: int = -1, /) -> bytes:
            self.left -= 1
            if self.left == 400:
                return b"["
            return b'{"text": "x"},' * 500 if self.left > 0 else b"]" if self.left == 0 else b""

    tracemalloc.start()
    count = sum(1 for _ in jsonstream.items(cast(BinaryIO, Long())))  # all that is asked of a stream
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 399 * 500
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a": "\\ud83d"}', {"a": "\ufffd"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"\\udc00": ["\\udc00", 1]}', {"\ufffd": ["\ufffd", 1]}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        ('{"a": "é"}', {"a": "é"}),
        (b'{"a": "tab\there"}', {"a": "tab\there"}),
    ],
)
def test_decoding_forgives_text_that_is_no_unicode(raw: bytes | str, expected: Any) -> None:
    assert jsonstream.decode(raw) == expected


@pytest.mark.parametrize("raw", [b"", b"{", b"nonsense", b"[" * 100_000])
def test_decoding_refuses_what_is_no_json(raw: bytes) -> None:
    with pytest.raises(jsonstream.Malformed):
        jsonstream.decode(raw)
