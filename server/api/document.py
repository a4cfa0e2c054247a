"""The document put together: operations, schemas, and what holds for all of them."""

import re
from functools import cache
from typing import Any

import msgspec

from server.api.operations import JSON, OPERATIONS, Operation, Parameter, reason
from server.api.schemas import SCHEMAS, TEXT, ref
from server.config import PDPP_VERSION

_HEADERS = {
    "Request-Id": {"description": "Names the request in the server's log.", "schema": TEXT, "required": True},
    "PDPP-Version": {"description": "The protocol's version.", "schema": {"const": PDPP_VERSION}, "required": True},
}
_CHALLENGE = {"WWW-Authenticate": {"description": "Where to get a token.", "schema": TEXT, "required": True}}
_LATER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


@cache
def text() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document())


def document() -> dict[str, Any]:
    """The document as a value."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "blobstore",
            "version": PDPP_VERSION,
            "description": "A PDPP Resource Server: records, their attachments, and who may see them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            path: _parameters(path) | {method.lower(): _operation(each) for method, each in methods.items()}
            for path, methods in OPERATIONS.items()
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An owner's or a client's token."},
                "basic": {"type": "http", "scheme": "basic", "description": "Another resource server's credentials."},
            },
        },
    }


def _parameters(path: str) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", path)
    schema = {"type": "string", "minLength": 1}
    found = [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]
    return {"parameters": found} if found else {}


def _operation(of: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": of.id,
        "summary": of.summary,
        "parameters": [_parameter(each) for each in of.parameters],
        "responses": {
            **{str(status): _answer(status, name) for status, name in of.answers.items()},
            **{str(status): _answer(status, "Error") for status in sorted({*of.errors, 405} - of.answers.keys())},
        },
    }
    if of.callers != "anyone":
        described["security"] = [{"bearer": []}, {"basic": []}] if of.id == "introspect" else [{"bearer": []}]
    if of.body is not None:
        content = {media_type: {"schema": schema} for media_type, schema in of.body.items()}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameter(of: Parameter) -> dict[str, Any]:
    described = {"name": of.name, "in": "query", "description": of.description, "schema": of.schema, **of.style}
    return described | ({"required": True} if of.required else {})


def _answer(status: int, schema: str) -> dict[str, Any]:
    headers = _HEADERS | (_CHALLENGE if status == 401 else {}) | (_LATER if status == 503 and schema == "Error" else {})
    answer: dict[str, Any] = {"description": reason(status), "headers": headers}
    if schema:
        answer["content"] = {JSON: {"schema": ref(schema)}}
    elif status in (200, 206):
        answer["content"] = {"*/*": {}}
    return answer
