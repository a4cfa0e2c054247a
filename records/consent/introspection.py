"""Answers about a token (RFC 7662), as one server gives them and another reads them. No I/O.

A client's rights stand once, under `authorization_details`; `pdpp` says whose they are and since when. Who reads an
answer enforces that and nothing else.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from records import times
from records.consent import grants
from records.consent.scope import Grant
from records.errors import Forbidden, Invalid
from records.manifest import require_id

DETAILS_TYPE = "https://pdpp.dev/data-access"
CONTEXT_KIND = "oauth_rar_0_1"
"""What `pdpp.context_kind` says of rights of version 0.1, which are grants of version 0.1.0."""

INACTIVE: Mapping[str, object] = {"active": False}

_ENDED = {
    "grant_revoked": "the grant was revoked",
    "grant_expired": "the grant has expired",
    "grant_invalid": "the grant is malformed; nothing is served from it",
}
_FAR = 1e12
"""Seconds that no token outlives: what an integer may say is not bounded."""

_RIGHTS = frozenset({"authorization_details", "fields", "instance_ids", "resources", "streams", "time_constraint"})


@dataclass(frozen=True, slots=True)
class Expected:
    """From whom an answer must be (`iss`; none: anybody) and for whom (`aud`; None: anybody)."""

    issuers: Collection[str] = ()
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token stands for: an owner by its subject, or a client by a grant of that owner.

    `expires` is when it ends, in seconds since 1970.
    """

    subject: str
    grant: Grant | None
    expires: float


def read(answer: Mapping[str, object], expected: Expected, now: float) -> Bearer | None:
    """Whom the token stands for; None for one that is not good here.

    Raises `Forbidden` (`grant_revoked`, `grant_expired`, `grant_invalid`) and `Invalid` (`unsupported_version`).
    """
    if answer.get("active") is not True:
        reason = answer.get("inactive_reason")
        if isinstance(reason, str) and reason in _ENDED:
            raise Forbidden(_ENDED[reason], reason)
        return None
    subject = _identity(answer.get("subject_id"))
    expires = _expires(answer.get("exp"))
    if subject is None or not _is_expected(answer, expected) or expires <= now:
        return None
    match answer.get("pdpp_token_kind"):
        case "owner":
            return Bearer(subject, None, expires)
        case "client":
            grant = _granted(answer, subject)
            return None if grant is None else Bearer(subject, grant, expires)
    return None


def of_owner(subject: str) -> dict[str, object]:
    """The answer about an owner's token."""
    return {"active": True, "pdpp_token_kind": "owner", "subject_id": subject}


def of_client(document: Mapping[str, object], connector: str) -> dict[str, object]:
    """The answer about the token of a grant with this document, whose connector is stored under this key."""
    client, subject = document["client"], document["subject"]
    assert isinstance(client, Mapping)
    assert isinstance(subject, Mapping)
    identity = {
        "grant_id": document["grant_id"],
        "client_id": client["client_id"],
        "subject_id": subject["id"],
    }
    rights = ("access_mode", "purpose_code", "source", "streams")
    context = ("issued_at", "source", "source_declaration")
    return {
        "active": True,
        "pdpp_token_kind": "client",
        **identity,
        "authorization_details": [{"type": DETAILS_TYPE, **{name: document[name] for name in rights}}],
        "pdpp": {"context_kind": CONTEXT_KIND, **identity, **{name: document[name] for name in context}},
        "grant_storage_binding": {"connector_id": connector},
    }


def expiry(moment: str | None) -> dict[str, object]:
    """The member that tells when a token ends, a stored time; nothing for one that does not."""
    return {} if moment is None else {"exp": math.floor(times.parse(moment).timestamp())}


def _is_expected(answer: Mapping[str, object], expected: Expected) -> bool:
    if expected.issuers and answer.get("iss") not in expected.issuers:
        return False
    audience = answer.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    return expected.audience is None or expected.audience in audiences


def _expires(value: object) -> float:
    """When the token ends; long ago where that cannot be read."""
    if value is None:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        return -math.inf
    return float(max(-_FAR, min(value, _FAR)))


def _granted(answer: Mapping[str, object], subject: str) -> Grant | None:
    context = answer.get("pdpp")
    if not isinstance(context, Mapping) or "grant" in answer or _RIGHTS & context.keys():
        raise grants.malformed()  # rights that stand twice could differ
    kind = context.get("context_kind")
    if not isinstance(kind, str):
        raise grants.malformed()
    if kind != CONTEXT_KIND:
        raise Invalid(f"grants of version {grants.VERSION} are served; this one has another", "unsupported_version")
    for name in ("client_id", "grant_id", "subject_id"):
        if _identity(answer.get(name)) is None or answer.get(name) != context.get(name):
            return None
    return grants.read(_document(answer, context, subject), _stored_under(answer))


def _document(answer: Mapping[str, object], context: Mapping[str, object], subject: str) -> dict[str, object]:
    """The grant that an answer spells, as one document."""
    details = answer.get("authorization_details")
    if not isinstance(details, list) or len(details) != 1 or not isinstance(details[0], Mapping):
        raise grants.malformed()
    rights = dict(details[0])
    envelope = {
        "version": grants.VERSION,
        "grant_id": answer["grant_id"],
        "issued_at": context.get("issued_at"),
        "subject": {"id": subject},
        "client": {"client_id": answer["client_id"]},
        "source_declaration": context.get("source_declaration"),
    }
    if rights.pop("type", None) != DETAILS_TYPE or rights.get("source") != context.get("source"):
        raise grants.malformed()
    if rights.keys() & {*envelope, "expires_at"}:
        raise grants.malformed()
    return rights | envelope


def _stored_under(answer: Mapping[str, object]) -> str | None:
    binding = answer.get("grant_storage_binding")
    if binding is None:
        return None
    connector = binding.get("connector_id") if isinstance(binding, Mapping) else None
    if not isinstance(connector, str) or not connector:
        raise grants.malformed()
    return connector


def _identity(value: object) -> str | None:
    try:
        return require_id(value, "subject_id") if isinstance(value, str) and value.strip() else None
    except Invalid:
        return None
