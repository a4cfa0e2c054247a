"""What every central store does: inherit the class, give it a `central` fixture."""

from records.central import Central
from tests.conformance.central_access import Grants, OwnersAndTokens
from tests.conformance.central_erasures import ErasureJobs
from tests.conformance.central_registry import ConnectorsAndInstances, NamespacesOfGrants, SyncState
from tests.conformance.central_shards import Homes
from tests.conformance.central_spine import Checkpoints, Notes, Spines
from tests.conformance.central_values import T1, registered


class Files:
    async def test_a_central_store_in_use_is_sound(self, central: Central) -> None:
        owner = await registered(central)
        await central.append(owner.id, "records", [(1, b"a")], T1)
        assert await central.sanitize(5.0) is True
        assert await central.check() == []

    async def test_closing_twice_is_harmless(self, central: Central) -> None:
        await central.close()
        await central.close()


class CentralSuite(
    OwnersAndTokens,
    Grants,
    ConnectorsAndInstances,
    Homes,
    SyncState,
    NamespacesOfGrants,
    ErasureJobs,
    Spines,
    Notes,
    Checkpoints,
    Files,
):
    """All of it."""
