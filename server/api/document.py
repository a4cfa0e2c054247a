"""The document put together: operations, schemas, and what holds for all of them."""

import re
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec

from server.api import errors, headers
from server.api.answers import ANSWERS
from server.api.bodies import BODIES
from server.api.links import LINKS
from server.api.operations import JSON, OPERATIONS, Operation
from server.api.parameters import PATH, Parameter
from server.api.schema import SHARED, SOME_TEXT, ref
from server.config import PDPP_VERSION

_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "owner": [{"bearer": []}],
    "owner or client": [{"bearer": []}],
    "resource server or owner": [{"basic": []}, {"bearer": []}],
    "watcher": [{"bearer": []}, {}],
    "anyone": [],
}


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
            "schemas": {**SHARED, **ANSWERS, **BODIES, **errors.SCHEMAS},
            "parameters": {"PDPP-Version": headers.VERSION},
            "headers": headers.EVERY,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An owner's or a client's token."},
                "basic": {"type": "http", "scheme": "basic", "description": "Another resource server's credentials."},
            },
        },
    }


def _parameters(path: str) -> dict[str, Any]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": PATH.get(name, SOME_TEXT)}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    return {"parameters": [*found, {"$ref": "#/components/parameters/PDPP-Version"}]}


def _operation(of: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": of.id,
        "summary": of.summary,
        "description": f"For: {of.callers}.",
        "parameters": [*map(_parameter, of.parameters), *of.headers],
        "security": _SECURITY[of.callers],
        "responses": {
            **{str(status): _answer(of, status, name) for status, name in of.answers.items()},
            **{str(status): _error(of, status, codes) for status, codes in errors.by_status(of.errors).items()},
        },
    }
    if of.body:
        content = {media_type: {"schema": schema} for media_type, schema in of.body.items()}
        described["requestBody"] = {"required": of.needs_body, "content": content}
    return described


def _parameter(of: Parameter) -> dict[str, Any]:
    described = {"name": of.name, "in": "query", "description": of.description, "schema": of.schema, **of.style}
    return described | ({"required": True} if of.required else {})


def _answer(of: Operation, status: int, schema: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _phrase(status), "headers": _headers(of, status, is_error=False)}
    if schema:
        answer["content"] = {JSON: {"schema": ref(schema)}}
    elif status in (200, 206):
        answer["content"] = {"*/*": {}}
    if (of.id, status) in LINKS:
        answer["links"] = LINKS[of.id, status]
    return answer


def _error(of: Operation, status: int, codes: Sequence[str]) -> dict[str, Any]:
    shapes = [ref(f"Error.{code}") for code in codes]
    return {
        "description": f"{_phrase(status)}: {', '.join(codes)}",
        "headers": _headers(of, status, is_error=True),
        "content": {JSON: {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}},
    }


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Checksum Mismatch"  # of tus 1.0; HTTP has none of this number


def _headers(of: Operation, status: int, is_error: bool) -> dict[str, Any]:
    """Those of every answer by reference, those of this one as they are."""
    every = {name: {"$ref": f"#/components/headers/{name}"} for name in headers.EVERY}
    by_status = headers.STATUS if is_error or status == 202 else {}
    return every | by_status.get(status, {}) | (headers.RANGES | headers.TUS).get(of.id, {}).get(status, {})
