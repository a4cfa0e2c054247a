"""docs/reference/errors.md: every error code of the HTTP surface, and what to do about it."""

from collections.abc import Mapping

from server.api.errors import FAILURES
from tools.reference.tables import table

_HEAD = """\
# Errors

Made from the program by `python -m tools.reference`; not to be edited.

## Over HTTP

Every error is `{"error": {"type", "code", "message", "request_id"}}`, some with `param` or more. Decide by `code`;
`message` is for people. Which of them a route answers: [route by route](../http-reference.md).
"""

DO: Mapping[str, str] = {
    "invalid_request": "send another request: the message says what is wrong",
    "unsupported_version": "leave `PDPP-Version` out, or send the one that every answer names",
    "invalid_cursor": "begin the list again, or use the cursor with the request that it came from",
    "invalid_expand": "expand what `GET /v1/streams/{stream}` declares",
    "unknown_field": "ask for fields that the manifest declares",
    "digest_mismatch": "send the bytes again; if it stays, the digest that you declare is of other bytes",
    "ambiguous_connector_instance": "send it again with one of `available_connections` as `connection_id`",
    "authentication_error": "get a token: `blobstore token create`, or from the authorization server",
    "insufficient_scope": "use a token of the owner",
    "grant_stream_not_allowed": "ask the owner for another grant",
    "field_not_granted": "leave the field out, or ask the owner for another grant",
    "grant_revoked": "stop; ask the owner",
    "grant_expired": "ask the owner for a new grant",
    "grant_invalid": "the owner makes the grant anew",
    "not_found": "nothing: it is not there, or not for you",
    "blob_not_found": "nothing; or upload the bytes first",
    "method_not_allowed": "use one of the methods in `Allow`",
    "request_timeout": "send it again, without pauses in the body",
    "ambiguous_connection": "send it again with one of `available_connections` as `connection_id`, or read all",
    "conflict": "read the message; if something was erased meanwhile, register or read anew before you send again",
    "cursor_expired": "begin again with `changes_since=beginning`",
    "precondition_failed": "get it again without the condition",
    "payload_too_large": "send less at once; of a line, `input_index` says which",
    "checksum_mismatch": "ask with `HEAD` how far it has come, and send from there",
    "upload_locked": "wait for `Retry-After` seconds, ask with `HEAD` how far it has come, and send from there",
    "unsupported_media_type": "send the `Content-Type` that the route takes, and no `Content-Encoding`",
    "range_not_satisfiable": "`Content-Range` has the size; ask for what is inside it",
    "expectation_failed": "leave `Expect` out",
    "api_error": "give the operator the `request_id`",
    "temporarily_unavailable": "wait for `Retry-After` seconds, and send it again",
    "insufficient_storage": "the operator makes room or raises the quota (`blobstore quota`); or erase",
}
"""What a caller does about each code."""

_EXIT = """\
## Of commands

Messages go to standard error and say what to do.

| exit code | means |
| --- | --- |
| 0 | it is done, and all is well |
| 1 | it is not; the message says why |
| 2 | the command was not understood; for `doctor`: it could not look |
| 3 | `gc`: the fuse, nothing was removed; `erase`: a reader still holds a snapshot, the erasure goes on by itself |
| 4 | `erase`: done, but traces were found |
| 5 | `connector detach`: another number of records went than the bundle has |
"""


def render() -> str:
    """The page."""
    rows = [(f"`{code}`", str(of.status), f"`{of.type}`", of.when, DO.get(code, "")) for code, of in FAILURES.items()]
    return "\n".join([_HEAD, *table(("code", "status", "type", "when", "do"), rows), _EXIT]).rstrip() + "\n"
