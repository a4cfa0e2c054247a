"""What every catalogue does: inherit the class, give it a `catalogue` fixture."""

from tests.conformance.catalogue_checks import Checks
from tests.conformance.catalogue_collection import Collection
from tests.conformance.catalogue_deriving import Deriving
from tests.conformance.catalogue_holders import Holders
from tests.conformance.catalogue_interleavings import Interleavings
from tests.conformance.catalogue_pins import Pins
from tests.conformance.catalogue_places import Places
from tests.conformance.catalogue_quotas import Quotas
from tests.conformance.catalogue_random import RandomCalls
from tests.conformance.catalogue_shares import Shares
from tests.conformance.catalogue_uploads import Uploads


class CatalogueSuite(
    Uploads, Holders, Collection, Pins, Places, Deriving, Interleavings, Quotas, Shares, Checks, RandomCalls
):
    """One test for each sentence of `blobstore.catalogue`."""
