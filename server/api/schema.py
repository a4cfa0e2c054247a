"""The words in which shapes are told: JSON Schema 2020-12, and how shapes are put together."""

from typing import Any

Schema = dict[str, Any]

MAX_ID = 512
CONTROLS = r"\u0000-\u001f\u007f-\u009f"
BLANKS = r"\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What makes a parameter blank, spelled out: engines do not agree on `\\s`."""

TEXT: Schema = {"type": "string"}
SOME_TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
MOMENT: Schema = {"type": "string", "format": "date-time"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
BLOB_ID: Schema = {"type": "string", "pattern": "^blob_b3_[0-9a-f]{64}$"}
OBJECT: Schema = {"type": "object"}
PUBLIC_KEY: Schema = {"type": "string", "description": "An Ed25519 public key, base64url without padding."}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


SHARED: dict[str, Schema] = {
    "Id": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_ID,
        "pattern": f"^[^{CONTROLS}]*[^{CONTROLS}{BLANKS}][^{CONTROLS}]*$",
        "description": "The id of a connector, an instance, a stream or a client: not blank, no control characters.",
    },
    "Text": {
        "type": "string",
        "minLength": 1,
        "pattern": f"[^{BLANKS}]",
        "description": "Any text that is not blank.",
    },
}

ID, NOT_BLANK = ref("Id"), ref("Text")


def optional(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def array_of(item: Schema, **limits: object) -> Schema:
    """An array; `limits` as JSON Schema has them."""
    return {"type": "array", "items": item, **limits}


TEXTS = array_of(TEXT)


def map_of(value: Schema, **limits: object) -> Schema:
    """An object whose members have names that are data."""
    return {"type": "object", "additionalProperties": value, **limits}


def record_of(required: dict[str, Schema], **members: Schema) -> Schema:
    """An object with these members, some of which must be there. Others may come later: readers ignore them."""
    return {"type": "object", "properties": {**required, **members}, "required": list(required)}


def closed(schema: Schema) -> Schema:
    """An object in which a member that is not named is refused."""
    return schema | {"additionalProperties": False}


def open_to_others(schema: Schema) -> Schema:
    """An object that keeps members which are not named."""
    return schema | {"additionalProperties": True}


def tagged(name: str, required: dict[str, Schema], **members: Schema) -> Schema:
    """An object that says by its member `object` what it is."""
    return record_of({"object": {"const": name}, **required}, **members)


def list_of(item: Schema, required: dict[str, Schema] | None = None, **members: Schema) -> Schema:
    """A list object."""
    return tagged("list", {"data": array_of(item), **(required or {})}, **members)
