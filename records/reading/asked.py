"""One read, resolved: how the caller looks at the stream, which relations come along, what its tokens are bound to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from records.consent.scope import Scope, Selector
from records.errors import Invalid
from records.keyring import Keyring
from records.model import Order
from records.reading.cursor import Binding, seal, unseal
from records.reading.expansion import Relation, relations
from records.reading.lens import Lens
from records.reading.query import Listing, declared_fields, granted_fields, matcher
from records.reading.reach import Reach

T = TypeVar("T")


@dataclass
class Asked:
    """Making one raises `Invalid` and `Forbidden` for what cannot be asked."""

    scope: Scope
    reach: Reach
    selector: Selector
    listing: Listing
    keyring: Keyring
    lens: Lens = field(init=False)
    relations: Mapping[str, list[Relation]] = field(init=False)
    """What is to be expanded, by connector."""

    def __post_init__(self) -> None:
        self.lens = self._lens()
        self.relations = self._relations()

    @property
    def order(self) -> Order:
        """The direction of the list."""
        return self.listing.order or Order.DESC

    def seal(self, kind: str, payload: object) -> str:
        """A token for the next request of this kind."""
        return seal(self.keyring.cursor_key(self.scope.owner.id), self._binding(kind), payload)

    def unseal(self, kind: str, token: str, payload: type[T], param: str = "cursor") -> T:
        """What such a token holds. Raises `InvalidCursor`."""
        return unseal(self.keyring.cursor_key(self.scope.owner.id), self._binding(kind), token, payload, param)

    def _binding(self, kind: str) -> Binding:
        filters = [*self.selector.filters, *((each.param, each.text) for each in self.listing.filters)]
        # Changes come in their own order: the cursor of a session is none of a list whose order was asked for.
        order = {"page": self.order, "session": self.listing.order or ""}.get(kind, "")
        return Binding(kind, self.scope.owner.id, self.reach.stream, order, self.scope.binding, filters)

    def _lens(self) -> Lens:
        bounds, declarations = self.scope.stream(self.reach.stream), self.reach.declarations
        shape, recorder = self.listing.shape, self.keyring.recorder(self.scope.owner.id, None)
        if bounds is None:
            asked = declared_fields(shape, declarations.values())
            fields = None if asked is None else dict(zip(declarations, asked, strict=True))
            return Lens(None, fields, matcher(self.listing.filters, declarations.values()), recorder)
        if shape.fields is None:
            return Lens(bounds, recorder=recorder)
        assert self.scope.grant is not None
        connector = self.scope.grant.connector
        granted = granted_fields(shape.fields, bounds, declarations.get(connector))
        return Lens(bounds, {connector: granted}, recorder=recorder)

    def _relations(self) -> dict[str, list[Relation]]:
        wanted = self.listing.shape.expand
        if not wanted:
            return {}
        return {
            key: relations(wanted, each.manifest.streams[self.reach.stream], each.manifest)
            for key, each in self.reach.registrations.items()
        }


def refuse_owners_questions(scope: Scope, listing: Listing) -> None:
    """Raise `Invalid` where a client asks what only an owner may, before anything is looked at (spec §8)."""
    if scope.grant is None:
        return
    if listing.filters:
        raise Invalid("filters are for owners; the grant says which records are seen", param="filter")
    if listing.shape.expand is not None:
        raise Invalid("expansion is for owners", param="expand")
    if listing.shape.view is not None:
        raise Invalid("views are for owners; name fields", param="view")


def refuse_with_changes(listing: Listing) -> None:
    """Raise `Invalid` for what does not go with changes: they come in their own order, all of them, by themselves."""
    if listing.order is not None:
        raise Invalid("changes come in the order in which they were made; leave order out", param="order")
    if listing.filters:
        raise Invalid("changes cannot be filtered", param=listing.filters[0].param)
    if listing.shape.expand is not None:
        raise Invalid("changes cannot be expanded", param="expand")
    if listing.cursor is not None and listing.changes_since is not None:
        raise Invalid("the cursor alone goes on with a session: leave changes_since out", param="changes_since")
