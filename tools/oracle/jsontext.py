"""Two JSON texts side by side, token by token: where they differ, by the path in the document."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.oracle.matching import Unlike

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s"{}\[\],:]+|\s+|"', re.DOTALL)
_PUNCTUATION = frozenset((b"{", b"}", b"[", b"]", b",", b":"))


@dataclass(slots=True)
class _Place:
    """Where in a document the reader is: names of members, `*` for what stands in an array."""

    names: list[str] = field(default_factory=list)
    awaits_name: list[bool] = field(default_factory=list)

    def take(self, token: bytes) -> None:
        if token in (b"{", b"["):
            self.names.append("*" if token == b"[" else "")
            self.awaits_name.append(token == b"{")
        elif token in (b"}", b"]"):
            if not self.names:
                raise Unlike("it is no JSON")
            self.names.pop()
            self.awaits_name.pop()
        elif token == b",":
            self.awaits_name[-1:] = [bool(self.names) and self.names[-1] != "*"]
        elif token == b":":
            self.awaits_name[-1:] = [False]
        elif self.awaits_name and self.awaits_name[-1] and token[:1] == b'"':
            self.names[-1] = token[1:-1].decode(errors="replace") or "(empty)"

    @property
    def path(self) -> str:
        return ".".join(self.names)


def differences(ours: bytes, theirs: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """The path of each value that differs, and the two as they are written, a string without its quotes.

    Raises `Unlike` where anything else differs: members, their order, lengths of arrays, spaces, spellings.
    """
    mine, others = _TOKEN.findall(ours), _TOKEN.findall(theirs)
    place = _Place()
    for token, other in zip(mine, others, strict=False):
        if token != other:
            yield place.path, *_values(place, token, other)
        place.take(token)
    if len(mine) != len(others):
        raise Unlike(f"one has {len(mine)} tokens, the other {len(others)}")


def _values(place: _Place, token: bytes, other: bytes) -> tuple[bytes, bytes]:
    """What differs; a name, a bracket or a space may not."""
    named = bool(place.awaits_name) and place.awaits_name[-1]
    if named or any(each in _PUNCTUATION or each.isspace() for each in (token, other)):
        raise Unlike(f"{place.path}: {token[:200]!r} and {other[:200]!r}")
    if token[:1] == other[:1] == b'"':
        return token[1:-1], other[1:-1]
    return token, other
