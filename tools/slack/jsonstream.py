"""JSON arrays of any length, one item in memory at a time; and single objects, forgiving what Slack lets through."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from tools.slack.source import SlackObject

_PIECE = 256 * 1024
_LARGEST_ITEM = 64 * 1024 * 1024
"""Characters: far more than a message can have, and a bound on memory."""
_SPACE = re.compile(r"[\s,]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(ValueError):
    """The text is not the JSON that was asked for."""


def items(stream: BinaryIO) -> Iterator[Any]:
    """The items of the array that is all of `stream`. Raises `Malformed` where it is none."""
    yield from _items(_Text(stream))


def members_and_items(stream: BinaryIO, member: str) -> tuple[SlackObject, Iterator[Any]]:
    """Of the object that is all of `stream`: the members before `member`, and the items of the array `member`.

    Raises `Malformed`, also while iterating, where `stream` has no such form.
    """
    text = _Text(stream)
    text.expect("{")
    before: SlackObject = {}
    while text.peek() == '"':
        name = text.value()
        text.expect(":")
        if name == member and text.peek() == "[":
            return before, _items(text)
        before[name] = text.value()
    text.expect("}")
    return before, iter(())


def decode(raw: bytes | str) -> Any:
    """The value in `raw`. Lone surrogates, which Slack's own cutting of emoji leaves behind, become U+FFFD.

    Raises `Malformed` where `raw` is not JSON at all.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
        try:
            return without_surrogates(json.loads(text, strict=False))
        except (ValueError, RecursionError) as error:
            raise Malformed(str(error)) from None


def without_surrogates(value: Any) -> Any:
    """`value` with lone surrogates in its strings replaced, so that it can be encoded as UTF-8."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


class _Text:
    """The text of a stream with a position in it, read in pieces as it is asked for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._characters = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._decoder = json.JSONDecoder(strict=False)
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no space or comma; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def expect(self, character: str) -> None:
        """Step over `character`. Raises `Malformed` where something else comes next."""
        if (found := self.peek()) != character:
            raise Malformed(f"expected {character!r}, found {found!r}" if found else "it ends too early")
        self._at += 1

    def value(self) -> Any:
        """The JSON value that comes next. Raises `Malformed` where none does."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise Malformed(str(error)) from None
            except ValueError as error:
                if not self._more():
                    raise Malformed(str(error)) from None
                continue
            # A number may go on in the next piece, from which "1" and "1." cannot be told apart from "1.5".
            following = self._text[end : end + 1]
            if (following and following not in "+-.eE0123456789") or not self._more():
                self._at = end
                return value

    def _more(self) -> bool:
        if self._ended:
            return False
        if len(self._text) - self._at > _LARGEST_ITEM:
            raise Malformed("one item is too large to be a message")
        piece = self._stream.read(_PIECE)
        self._ended = not piece
        rest = self._text[self._at :] + self._characters.decode(piece, final=self._ended)
        self._text, self._at = rest, 0
        return not self._ended


def _items(text: _Text) -> Iterator[Any]:
    text.expect("[")
    while text.peek() not in ("]", ""):
        yield text.value()
    text.expect("]")
