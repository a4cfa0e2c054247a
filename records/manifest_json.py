"""Reading a manifest's JSON: each look says what must stand there, and where, when it does not."""

from collections.abc import Iterator, Sequence
from typing import Any

from records.errors import Invalid


class Members:
    """The members of one JSON object of a manifest, which stands at `where`. Every look may raise `Invalid`."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise Invalid(f"{where} must be an object")
        self.value: dict[str, Any] = value
        self._where = where

    def place(self, name: str) -> str:
        """Where a member stands, for messages."""
        return name if self._where == "manifest" else f"{self._where}.{name}"

    def text(self, name: str) -> str:
        """A string that must be there and must not be empty."""
        value = self.optional_text(name)
        if not value:
            raise Invalid(f"{self.place(name)} is missing; it must be a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, None where the member is null or absent."""
        value = self.value.get(name)
        if value is not None and not isinstance(value, str):
            raise Invalid(f"{self.place(name)} must be a string")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """An object that must be there."""
        value = self.optional_mapping(name)
        if value is None:
            raise Invalid(f"{self.place(name)} is missing; it must be an object")
        return value

    def optional_mapping(self, name: str) -> dict[str, Any] | None:
        """An object, None where the member is null or absent."""
        value = self.value.get(name)
        if value is not None and not isinstance(value, dict):
            raise Invalid(f"{self.place(name)} must be an object")
        return value

    def array(self, name: str) -> Sequence[object]:
        """An array that must be there."""
        if self.value.get(name) is None:
            raise Invalid(f"{self.place(name)} is missing; it must be an array")
        return self.optional_array(name)

    def optional_array(self, name: str) -> Sequence[object]:
        """An array, empty where the member is null or absent."""
        value = self.value.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise Invalid(f"{self.place(name)} must be an array")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings that must be there."""
        values = self.array(name)
        texts = tuple(value for value in values if isinstance(value, str))
        if len(texts) != len(values):
            raise Invalid(f"{self.place(name)} must be an array of strings")
        return texts


def items_of(values: Sequence[object], where: str) -> Iterator[tuple[str, object]]:
    """Each element and where it stands."""
    for index, value in enumerate(values):
        yield f"{where}[{index}]", value
