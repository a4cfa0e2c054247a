"""Which bytes of a source belong to which file id.

Sources keep attachments as `__uploads/<id>/<name>` (slackdump archives, Mattermost-style exports), as
`<channel>/attachments/<id>-<name>` (standard exports) or as `<channel>/<id>-<name>` (dumps). Names on disk differ from
Slack's: characters that some file system refuses were replaced, files were renamed in Slack later. So ids come from the
listing, never paths from ids, and a name only decides between several files of one id.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from tools.slack.source import Located, SlackObject, Strays

Claim = Callable[[str], tuple[str, str] | None]
"""From a path to (file id, name) where the path is that of an attachment, else None."""

UPLOADS = "__uploads/"
_REPLACED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\.|$)", re.IGNORECASE)
_DEBRIS = re.compile(r"\._.*|\.DS_Store|Thumbs\.db|desktop\.ini", re.IGNORECASE)
_PREFIXED = re.compile(r"([A-Z0-9]+)-(.*)", re.DOTALL)
_EXAMPLES = 10


def in_uploads(path: str) -> tuple[str, str] | None:
    """Claims `__uploads/<id>/<name>`."""
    if not path.startswith(UPLOADS):
        return None
    file_id, slash, name = path[len(UPLOADS) :].partition("/")
    return (file_id, name) if slash else None


def in_export(path: str) -> tuple[str, str] | None:
    """Claims `__uploads/<id>/<name>` and `<channel>/attachments/<id>-<name>`."""
    parts = path.split("/", 2)
    if len(parts) == 3 and parts[1] == "attachments":
        return _prefixed(parts[2])
    return in_uploads(path)


def in_dump(path: str) -> tuple[str, str] | None:
    """Claims `__uploads/<id>/<name>` and `<channel>/<id>-<name>`."""
    parts = path.split("/", 1)
    if len(parts) == 2 and parts[0] != UPLOADS[:-1]:
        return _prefixed(parts[1])
    return in_uploads(path)


def _prefixed(name: str) -> tuple[str, str] | None:
    found = _PREFIXED.fullmatch(name)
    return (found[1], found[2]) if found else None


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    located: Located


@dataclass(slots=True)
class Attachments:
    """The attachments of one source by file id; memory is bounded by their number."""

    _by_id: dict[str, list[_Candidate]] = field(default_factory=dict)
    _unclaimed: list[str] = field(default_factory=list)
    _taken: dict[str, _Candidate] = field(default_factory=dict)
    listed: bytes = b""
    """A digest of every member's path and stamp, in their order."""

    @classmethod
    def of(cls, members: Iterable[Located], claim: Claim) -> "Attachments":
        """What `claim` recognises among `members`."""
        found = cls()
        listed = blake2b(digest_size=32)
        for located in members:
            listed.update(b"%b\0%b\0" % (located.where.encode("utf-8", "surrogatepass"), located.stamp.encode()))
            claimed = claim(located.where)
            if claimed is not None:
                found._by_id.setdefault(claimed[0], []).append(_Candidate(claimed[1], located))
            elif located.where.startswith(UPLOADS) or "/attachments/" in located.where:
                found._unclaimed.append(located.where)
        found.listed = listed.digest()
        return found

    def locate(self, file_id: str, slack: SlackObject) -> Located | None:
        """The bytes of a file that Slack describes as `slack`; None where there are none, or no telling which."""
        candidates = self._by_id.get(file_id, [])
        chosen = _choose(candidates, slack.get("name"))
        if chosen is None:
            return None
        self._taken[file_id] = chosen
        return chosen.located

    def strays(self) -> Strays:
        """Every attachment that `locate` has not given out; another channel's copy of one it has is no stray."""
        strays = Strays()
        for path in self._unclaimed:
            _count(strays, path)
        for file_id, candidates in self._by_id.items():
            taken = self._taken.get(file_id)
            for candidate in candidates:
                if taken is None or candidate.name != taken.name:
                    _count(strays, candidate.located.where)
        return strays


def _count(strays: Strays, path: str) -> None:
    strays.count += 1
    if len(strays.examples) < _EXAMPLES:
        strays.examples.append(path.encode("utf-8", "replace").decode())


def _choose(candidates: list[_Candidate], name: object) -> _Candidate | None:
    """The candidate that is called `name`, else the only one there is, sidecars of operating systems aside."""
    if isinstance(name, str):
        for same in (str, _folded):
            for candidate in candidates:
                if same(candidate.name) == same(name):
                    return candidate
    kept = [candidate for candidate in candidates if not _DEBRIS.fullmatch(candidate.name)]
    return kept[0] if len({candidate.name for candidate in kept}) == 1 else None


def _folded(name: str) -> str:
    """What remains of a name when file systems have had their say; equal for a name and its saved form."""
    kept = _REPLACED.sub("_", unicodedata.normalize("NFC", name)).rstrip(" .")
    if _RESERVED.match(kept):
        kept = f"_{kept}"
    return kept or "unnamed_file"
