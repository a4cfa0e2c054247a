"""Headers of requests, as parameters, and of answers."""

from typing import Any

from server.api.schema import NOT_BLANK, TEXT, Schema
from server.config import PDPP_VERSION

Headers = dict[str, dict[str, Any]]


def _always(schema: Schema, description: str) -> dict[str, Any]:
    return {"description": description, "required": True, "schema": schema}


def _exactly(value: str, description: str) -> dict[str, Any]:
    return _always({"const": value}, description)


EVERY: Headers = {
    "Request-Id": _always({"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"}, "In the server's log."),
    "PDPP-Version": _exactly(PDPP_VERSION, "The protocol's version."),
    "Cache-Control": _exactly("private, no-store", "No cache keeps personal data."),
    "X-Content-Type-Options": _exactly("nosniff", "The type is as it says."),
}
"""What every answer has."""


def _ranged(tag: str, whole: Headers) -> dict[int, Headers]:
    """What the answers of bytes with ranges and conditions have, by status; `whole` what those with bytes have too."""
    validators: Headers = {
        "ETag": _always({"type": "string", "pattern": f'^"{tag}_[0-9a-f]{{64}}"$'}, "The strong entity tag."),
        "Accept-Ranges": _exactly("bytes", "Ranges are served."),
    }
    representation: Headers = {
        **validators,
        **whole,
        "Content-Disposition": _always(
            {"type": "string", "pattern": "^(attachment|inline)(;|$)"}, "A name (RFC 6266), where there is one."
        ),
        "Content-Security-Policy": _exactly("default-src 'none'; sandbox", "Attachments are hostile."),
        "Content-Length": _always({"type": "string", "pattern": "^[0-9]+$"}, "Bytes of this answer."),
    }
    part = {"description": _RANGE, "schema": {"type": "string", "pattern": "^bytes [0-9]+-[0-9]+/[0-9]+$"}}
    size = _always({"type": "string", "pattern": r"^bytes \*/[0-9]+$"}, "The size of all.")
    return {
        200: representation,
        206: representation | {"Content-Range": part},
        304: validators,
        412: validators,
        416: validators | {"Content-Range": size},
    }


_RANGE = "One range: its place, and the size of all. Several come as multipart/byteranges, each with its own."
_DIGEST_OF_ALL: Headers = {
    "Repr-Digest": _always(
        {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"}, "The whole blob's SHA-256 (RFC 9530)."
    )
}

_ELSEWHERE: Headers = {
    "Location": _always({"type": "string", "format": "uri"}, "Where the bytes are, for a minute: ask without a token."),
    "Referrer-Policy": _exactly("no-referrer", "The address is for who got it alone."),
}

RANGES: dict[str, dict[int, Headers]] = {
    "download": _ranged("blob_b3", _DIGEST_OF_ALL) | {302: _ELSEWHERE},
    "export": _ranged("bag_b3", {}),
}
"""What the answers of these operations have besides, by status."""

_BYTES: Schema = {"type": "string", "pattern": "^[0-9]{1,18}$"}
_TUS: Headers = {"Tus-Resumable": _exactly("1.0.0", "The version of tus.")}
_REACHED: Headers = {
    **_TUS,
    "Upload-Offset": _always(_BYTES, "Bytes that have come, and are durable."),
    "Upload-Expires": {"description": "Until when it is kept, where it is not whole.", "schema": TEXT},
    "Upload-Concat": {"description": "Whether it is a part of others, or put together of some.", "schema": TEXT},
    "Blob-Id": {
        "description": "The blob that it has become.",
        "schema": {"type": "string", "pattern": "^blob_b3_[0-9a-f]{64}$"},
    },
    "Repr-Digest": {"description": "That blob's SHA-256 (RFC 9530).", "schema": TEXT},
}
_CAPABLE: dict[int, Headers] = {
    204: _TUS
    | {
        "Tus-Version": _exactly("1.0.0", "Versions of tus that are spoken."),
        "Tus-Extension": _always(TEXT, "Extensions of tus that there are."),
        "Tus-Checksum-Algorithm": _always(TEXT, "Checksums that are known."),
        "Allow": _always(TEXT, "The methods that the path has."),
    }
}
TUS: dict[str, dict[int, Headers]] = {
    "tus": _CAPABLE,
    "tus_upload": _CAPABLE,
    "begin_upload": {
        201: _REACHED | {"Location": _always({"type": "string", "pattern": "/v1/uploads/[0-9a-f]{32}$"}, "Its place.")}
    },
    "upload_standing": {
        200: _REACHED
        | {
            "Upload-Length": _always(_BYTES, "Bytes that are to come in all."),
            "Upload-Metadata": {"description": "As it was sent; not of one that is whole.", "schema": TEXT},
        }
    },
    "append": {204: _REACHED},
    "end_upload": {204: _TUS},
    "override": {200: _TUS, 204: _TUS},
}
"""What the answers of resumable uploads have besides, by operation and status."""

STATUS: dict[int, Headers] = {
    202: {
        "Location": _always({"type": "string", "pattern": "^/v1/owner/erasures/."}, "Where to ask how it stands."),
        "Preference-Applied": {"description": "Where `Prefer` was heeded.", "schema": {"const": "respond-async"}},
    },
    401: {"WWW-Authenticate": _always(TEXT, "Where to get a token (RFC 9728).")},
    405: {"Allow": _always(TEXT, "The methods that the path has.")},
    415: {
        "Accept": {"description": "The type that is taken.", "schema": TEXT},
        "Accept-Encoding": {"description": "The coding that is taken.", "schema": {"const": "identity"}},
    },
    423: {"Retry-After": _always({"type": "string", "pattern": "^[0-9]+$"}, "Seconds.")},
    503: {"Retry-After": _always({"type": "string", "pattern": "^[0-9]+$"}, "Seconds.")},
}
"""What answers have besides, by status, wherever they come from."""


def asked(name: str, description: str, schema: Schema = NOT_BLANK) -> dict[str, Any]:
    """A header of a request, as a parameter."""
    return {"name": name, "in": "header", "description": description, "schema": schema}


VERSION = asked("PDPP-Version", "The version that is spoken.", {"const": PDPP_VERSION})
PREFER = asked("Prefer", "`respond-async`: do not wait for the end of an erasure (RFC 7240).", TEXT)
CONDITIONS = (
    asked("Range", "Which bytes: one range or several (RFC 9110 §14). Anything else is ignored.", TEXT),
    asked("If-Range", "Ranges only while the entity tag is this one.", TEXT),
    asked("If-Match", "Only while the entity tag is one of these.", TEXT),
    asked("If-None-Match", "Only when the entity tag is none of these.", TEXT),
)
_DIGEST: Schema = {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:$"}
_CHECKSUM = asked("Upload-Checksum", "An algorithm and, in base64, the checksum of this body.", TEXT)
TUS_VERSION = asked("Tus-Resumable", "The version of tus.", {"const": "1.0.0"}) | {"required": True}
TUS_BEGIN = (
    TUS_VERSION,
    asked("Upload-Length", "Bytes that are to come in all; needed but where parts are put together.", _BYTES),
    asked("Upload-Metadata", "Keys, each with a value in base64. May name what the query can, and a `filetype`.", TEXT),
    asked("Upload-Concat", "`partial`: it will be a part; `final;` and addresses: put these parts together.", TEXT),
    asked("Repr-Digest", "The SHA-256 of all bytes (RFC 9530), checked before they are stored.", _DIGEST),
    _CHECKSUM,
)
TUS_APPEND = (
    TUS_VERSION,
    asked("Upload-Offset", "Bytes that have come before these.", _BYTES) | {"required": True},
    _CHECKSUM,
)
DIGESTS = (
    asked("Content-Digest", "The bytes' SHA-256 (RFC 9530), checked; other algorithms are ignored.", _DIGEST),
    asked("Repr-Digest", "The same.", _DIGEST),
)
