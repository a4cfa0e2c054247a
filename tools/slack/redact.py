"""Takes credentials out of text: exports carry a token in the address of every file, and people paste tokens.

Two rules. Parameters that carry credentials leave an address: always in Slack's own fields, in what people wrote only
where the address is one of Slack's, as `t=90` in a link to a video is none. And what has the form of a Slack token goes
wherever it stands.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote

REPLACEMENT = "[redacted]"

_CREDENTIALS = frozenset({"t", "token", "pub_secret"})
_ADDRESS = re.compile(r"https?://[^\s<>|\"']+", re.IGNORECASE)
_SLACK = re.compile(
    r"https?://(?:[^/?#@]*@)?(?:[a-z0-9-]+\.)*(?:slack|slack-edge|slack-files|slack-redir)\.(?:com|net)(?=[:/?#]|$)"
    r"|https?://[^/?#]*/files-(?:pri|tmb)/",
    re.IGNORECASE,
)
# xoxo- is how letters end, too: a token goes on with digits.
_TOKEN = re.compile(
    r"xox(?:[a-np-z]|o(?=-\d))(?:\.xox[a-z])?(?:-|%2d)[a-z0-9%._~+/=-]+|xapp-\d-[a-z0-9-]+", re.IGNORECASE
)


def field(text: str) -> str:
    """`text` of one of Slack's own fields, without credentials."""
    return _redacted(text, lambda address: True) if _suspect(text) else text


def written(text: str) -> str:
    """`text` that somebody wrote, without credentials; links that are not Slack's stay as they are."""
    return _redacted(text, _is_slack) if _suspect(text) else text


def _suspect(text: str) -> bool:
    """Cheap, as it is asked of every string: most have neither a parameter nor a token."""
    return "?" in text or "xox" in text.lower() or "xapp-" in text


def _is_slack(address: str) -> bool:
    return _SLACK.match(address) is not None


def _redacted(text: str, always: Callable[[str], bool]) -> str:
    stripped = _ADDRESS.sub(lambda found: _stripped(found[0], always(found[0])), text)
    return _TOKEN.sub(REPLACEMENT, stripped)


def _stripped(address: str, always: bool) -> str:
    """`address` without the parameters whose name (if `always`) or value gives a credential away."""
    before, mark, rest = address.partition("?")
    query, hash_mark, fragment = rest.partition("#")
    # In messages Slack writes & as an entity.
    separator = "&amp;" if "&amp;" in query else "&"
    kept = [pair for pair in query.split(separator) if not _is_credential(pair, always)]
    parameters = separator.join(kept)
    return before + (mark if parameters else "") + parameters + hash_mark + fragment


def _is_credential(pair: str, always: bool) -> bool:
    name, _, value = pair.partition("=")
    return (always and name.lower() in _CREDENTIALS) or _TOKEN.search(unquote(value)) is not None
