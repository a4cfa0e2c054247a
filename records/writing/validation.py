"""Records held against the schema of their stream, where the operator asks for it.

A schema with `unevaluatedProperties` or `unevaluatedItems` is not enforced: to compile one may take time exponential in
its length. Patterns are matched in linear time; one that cannot be makes the stream refuse every record.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from records.errors import Invalid
from records.manifest import StreamDeclaration
from records.manifest_schema import uses_keyword

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

Check = Callable[[Mapping[str, object]], None]
"""Raises `Invalid` (`invalid_record`) for data that the schema does not allow."""

_COSTLY = ("unevaluatedProperties", "unevaluatedItems")


def checker(declaration: StreamDeclaration) -> Check | None:
    """What checks the data of the stream's records; None where the schema cannot be enforced."""
    if uses_keyword(declaration.schema, _COSTLY):
        return None
    validator = _compiled(declaration.schema)

    def check(data: Mapping[str, object]) -> None:
        if validator is None:
            raise _invalid("the schema of the stream cannot be compiled; register a manifest with simpler patterns")
        error = next(validator.iter_errors(data), None)
        if error is not None:
            place = "".join(f"/{part}" for part in error.instance_path)
            raise _invalid(f"data{place}: {error.message}")

    return check


def _compiled(schema: Mapping[str, Any]) -> "Draft202012Validator | None":
    from jsonschema_rs import Draft202012Validator, RegexOptions  # where it is asked for, and nowhere else

    try:
        return Draft202012Validator(dict(schema), offline=True, mask="the value", pattern_options=RegexOptions())
    except ValueError:
        return None


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="invalid_record")
