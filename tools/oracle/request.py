"""One request as it goes to every server, and one answer as it came from one of them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

How = Literal["exact", "running", "spine", "disclosures"]
"""How the answers are held against each other: see `tools.oracle.verdict`."""

_BRACKETED = re.compile(r"\[[^\[\]]+\]")
_OPERATORS = frozenset({"[gte]", "[gt]", "[lte]", "[lt]"})


@dataclass(frozen=True, slots=True)
class Answer:
    """Status line, headers as they were spelled, in their order, and the body."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        """The body, decoded; None for what is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def kind(self) -> str:
        """The class of the answer: its status, and the code of an error."""
        said = self.json if self.status >= 400 else None
        error = said.get("error") if isinstance(said, dict) else None
        return f"{self.status} {error['code']}" if isinstance(error, dict) and "code" in error else str(self.status)


def _nothing(answer: Answer) -> None:
    """Most answers teach nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request with the values of the first server in it; the others get theirs in the same places.

    `route` and `note` say of what kind it is. `token` is the caller's (None: nobody's), `caller` what kind that is.
    `learn` is called with the first server's answer when all answered alike.
    """

    method: str
    path: str
    route: str
    caller: str
    token: str | None
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    chunked: bool = False
    note: str = ""
    how: How = "exact"
    learn: Callable[[Answer], None] = field(default=_nothing, compare=False)

    @property
    def target(self) -> str:
        """Path and query, percent-encoded."""
        return self.path + (f"?{urlencode(self.query, quote_via=quote)}" if self.query else "")

    def shape(self, answer: Answer) -> str:
        """Method, route, kinds of parameters, caller, and the class of the answer."""
        kinds = ",".join(sorted({_kind(name) for name, _ in self.query}))
        asked = f"{self.method} {self.route}" + (f" ?{kinds}" if kinds else "")
        return (
            f"{asked} | {self.note} | {self.caller} | {answer.kind}"
            if self.note
            else (f"{asked} | {self.caller} | {answer.kind}")
        )

    def __str__(self) -> str:
        lines = [
            f"{self.method} {self.target}  (as {self.caller})",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\n".join([*lines, *([] if self.body is None else [shown(self.body)])])


def shown(body: bytes, most: int = 4000) -> str:
    """A body for people."""
    text = body[:most].decode(errors="backslashreplace")
    return text if len(body) <= most else f"{text}… ({len(body)} bytes)"


def _kind(name: str) -> str:
    """A parameter without the name of the field that it is about."""
    return _BRACKETED.sub(lambda found: found[0] if found[0] in _OPERATORS else "[]", name)[:20]
