"""What one caller may see, and what one request names. Every read takes a scope; there is no default."""

from dataclasses import dataclass
from typing import Self

from records.central import Owner


@dataclass(frozen=True, slots=True)
class Scope:
    """What one caller may see, computed from its token: for an owner's token, all of the owner's and nothing else."""

    owner: Owner

    @classmethod
    def of_owner(cls, owner: Owner) -> Self:
        """The scope of an owner's own token."""
        return cls(owner)

    @property
    def binding(self) -> str:
        """What a cursor is bound to beside its owner."""
        return "owner"


@dataclass(frozen=True, slots=True)
class Selector:
    """The connector and the instance that a request names, as it spelled them; None where it names none."""

    connector: str | None = None
    instance: str | None = None

    @property
    def filters(self) -> list[tuple[str, str]]:
        """What narrows a list, for the cursor that goes on with it."""
        named = (("connector_id", self.connector), ("connector_instance_id", self.instance))
        return [(name, value) for name, value in named if value is not None]
