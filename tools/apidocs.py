"""`python -m tools.apidocs`: writes docs/http-reference.md, the surface route by route, from the OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from server import api
from tools.reference.tables import code, table

PAGE = Path(__file__).parents[1] / "docs" / "http-reference.md"

_HEAD = """\
# HTTP reference

Made from `GET /openapi.json` by `python -m tools.apidocs`; not to be edited. What it means: [http.md](http.md).

Every request may have `PDPP-Version`; every `GET` answers `HEAD` as well. Shapes that are named stand [below](#shapes),
errors have the form `{"error": {"type", "code", "message", "request_id"}}`.
"""
_METHODS = ("get", "put", "post", "delete")
_LIMITS = {
    "format": "{}",
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "{} characters or more",
    "maxLength": "{} at most",
    "minItems": "{} items or more",
}

Json = Mapping[str, Any]


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")


def render() -> str:
    """The page."""
    document = json.loads(api.text())
    always = set.intersection(*(_codes(each) for each in _operations(document)))
    lines = [_HEAD, "## Every answer", "", *_headers(document), *_failures(document, always, set())]
    for path, item in document["paths"].items():
        for method in (each for each in _METHODS if each in item):
            lines += [f"## {method.upper()} {path}", "", *_operation(document, item, item[method], always)]
    lines += ["## Shapes", ""]
    for name, schema in document["components"]["schemas"].items():
        if not name.startswith("Error."):
            lines += _shape(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operations(document: Json) -> list[Json]:
    return [item[method] for item in document["paths"].values() for method in _METHODS if method in item]


def _operation(document: Json, item: Json, of: Json, always: set[str]) -> Iterator[str]:
    yield f"{of['summary']} {of['description']}"
    yield ""
    own = [each for each in (*item["parameters"], *of["parameters"]) if "$ref" not in each]
    yield from table(
        ("parameter", "in", "is", ""),
        [
            (
                f"`{each['name']}`" + (", needed" if each.get("required") else ""),
                each["in"],
                _kind(each["schema"]),
                each.get("description", ""),
            )
            for each in own
        ],
    )
    for media_type, content in of.get("requestBody", {}).get("content", {}).items():
        yield f"Body: `{media_type}`, {_kind(content['schema'])}."
        yield ""
    good = {status: answer for status, answer in of["responses"].items() if not _failures_of(answer)}
    yield from table(
        ("status", "body", "headers"),
        [(f"{status} {answer['description']}", _body(answer), _own_headers(answer)) for status, answer in good.items()],
    )
    yield from _failures(document, _codes(of), always)


def _headers(document: Json) -> Iterator[str]:
    described = document["components"]["headers"].items()
    rows = [(f"`{name}`", _kind(of["schema"]), of["description"]) for name, of in described]
    yield from table(("header", "is", ""), rows)


def _failures(document: Json, codes: set[str], but: set[str]) -> Iterator[str]:
    """A table of error codes, in the order of the document, without those that every answer may have."""
    rows = []
    for name, schema in document["components"]["schemas"].items():
        code = name.removeprefix("Error.")
        if name.startswith("Error.") and code in codes - but:
            rows.append((str(schema["x-status"]), f"`{code}`", schema["description"]))
    yield from table(("error", "code", "when"), rows)


def _codes(operation: Json) -> set[str]:
    return {code for answer in operation["responses"].values() for code in _failures_of(answer)}


def _failures_of(answer: Json) -> list[str]:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    names = [each.get("$ref", "").rpartition("/")[2] for each in schema.get("anyOf", [schema])]
    return [name.removeprefix("Error.") for name in names if name.startswith("Error.")]


def _body(answer: Json) -> str:
    content = answer.get("content", {})
    return ", ".join(_kind(of["schema"]) if "schema" in of else "bytes" for of in content.values()) or "none"


def _own_headers(answer: Json) -> str:
    return ", ".join(f"`{name}`" for name, of in answer["headers"].items() if "$ref" not in of)


def _shape(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if "description" in schema:
        yield schema["description"]
        yield ""
    if "properties" not in schema:
        yield _kind(schema) + "."
        yield ""
        return
    required = schema.get("required", ())
    yield from table(
        ("member", "is"),
        [
            (f"`{member}`" + ("" if member in required else ", optional"), _kind(of))
            for member, of in schema["properties"].items()
        ],
    )


def _kind(schema: Json) -> str:
    """A schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    if schema.get("properties"):
        members = (f"`{name}`: {_kind(of)}" for name, of in schema["properties"].items())
        return "{" + ", ".join(members) + "}"
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    if "additionalProperties" in schema and schema["additionalProperties"] is not True:
        return f"object of {_kind(schema['additionalProperties'])}"
    limits = [form.format(schema[name]) for name, form in _LIMITS.items() if name in schema]
    pattern = [code(schema["pattern"])] if "pattern" in schema else []
    return ", ".join([_type(schema), *limits, *pattern])


def _type(schema: Json) -> str:
    types = schema.get("type", "anything")
    return types if isinstance(types, str) else " or ".join(types)


if __name__ == "__main__":
    main()
