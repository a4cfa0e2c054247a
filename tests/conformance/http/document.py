"""Holds answers against our OpenAPI document, to the letter: a member or a status that it does not name is wrong."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from server import api

_BEFORE_ROUTES = {400, 404, 417}
"""What a path that is none may be answered."""


def judge(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise `AssertionError` for an answer that the document does not allow. `path` is as it was sent."""
    template = next((each for each in _document()["paths"] if _pattern(each).fullmatch(path)), None)
    if template is None:
        assert status in _BEFORE_ROUTES, f"{method} {path}: {status}, and the document has no such path"
        return
    item = _document()["paths"][template]
    operation = item.get(method.lower(), item.get("get") if method == "HEAD" else None)
    if operation is None:
        assert status in {405, 417}, f"{method} {template}: {status}, and the document has no such method"
        return
    what = f"{method} {template}: {status}"
    answer = operation["responses"].get(str(status))
    assert answer is not None, f"{what} is not in the document"
    _check_headers(answer.get("headers", {}), headers, what)
    if method != "HEAD":
        _check_body(answer.get("content", {}), headers, body, what)


def _check_headers(described: Mapping[str, Any], found: Mapping[str, str], what: str) -> None:
    for name, of in described.items():
        header = _document()["components"]["headers"][name] if "$ref" in of else of
        if name in found:
            _validator(json.dumps(header["schema"])).validate(found[name])
        else:
            assert not header.get("required"), f"{what} has no {name}"


def _check_body(content: Mapping[str, Any], headers: Mapping[str, str], body: bytes, what: str) -> None:
    if not content:
        assert body == b"", f"{what} has a body"
        return
    media_type = headers["Content-Type"].partition(";")[0]
    described = content.get(media_type, content.get("*/*"))
    assert described is not None, f"{what} is {media_type}"
    if "schema" in described:
        try:
            _validator(json.dumps(described["schema"])).validate(json.loads(body))
        except jsonschema_rs.ValidationError as error:
            raise AssertionError(f"{what}: {error}") from None


@cache
def _document() -> dict[str, Any]:
    return json.loads(api.text())  # type: ignore[no-any-return]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in template.split("/")))


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    components = {"schemas": {name: _closed(each) for name, each in _document()["components"]["schemas"].items()}}
    return jsonschema_rs.Draft202012Validator(
        {**_closed(json.loads(schema)), "components": components}, validate_formats=True
    )


def _closed(schema: Any) -> Any:
    """The schema with every object closed that does not say that it is open."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(each) for name, each in schema.items()}
    return {"additionalProperties": False, **made} if isinstance(schema.get("properties"), dict) else made
