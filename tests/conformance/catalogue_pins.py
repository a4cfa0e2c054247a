"""What every catalogue does while somebody copies what is stored."""

from collections.abc import Awaitable, Callable

import pytest

from blobstore.catalogue import Catalogue, Pin, State
from tests.conformance.catalogue_values import DAY, NOW, OWNER, SLACK, claim_of, digest_of, orphan, upload

DATA = digest_of(b"data")
LATER = NOW + DAY
PROCESS = "copying"


async def garbage_goes(catalogue: Catalogue) -> bool:
    return bool(await catalogue.condemn(OWNER, [DATA], "garbage", before=LATER))


class Pins:
    @pytest.mark.parametrize(("namespace", "goes"), [(None, False), (OWNER, False), ("owner2", True)])
    async def test_a_pin_holds_the_garbage_of_its_namespace_back(
        self, catalogue: Catalogue, namespace: str | None, goes: bool
    ) -> None:
        await orphan(catalogue, b"data", 1)
        await catalogue.pin(Pin("backup", namespace, PROCESS, LATER))
        assert await garbage_goes(catalogue) == goes
        assert (await catalogue.find(OWNER, DATA) is None) == goes

    async def test_an_erasure_does_not_wait_for_a_pin(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        await catalogue.pin(Pin("backup", None, PROCESS, LATER))
        [gone] = await catalogue.condemn(OWNER, [DATA], "erasure 1")
        assert gone.reason == "erasure 1"

    async def test_what_is_held_back_becomes_no_younger(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        before = await catalogue.orphans(None, LATER, 10)
        await catalogue.pin(Pin("backup", None, PROCESS, LATER))
        await garbage_goes(catalogue)
        assert await catalogue.orphans(None, LATER, 10) == before

    @pytest.mark.parametrize(
        ("ends", "goes"),
        [
            (lambda catalogue: catalogue.unpin("backup"), True),
            (lambda catalogue: catalogue.unpin("another"), False),
            (lambda catalogue: catalogue.expire(NOW + 9, []), False),
            (lambda catalogue: catalogue.expire(NOW + 10, []), True),
            (lambda catalogue: catalogue.expire(NOW, ["another"]), False),
            (lambda catalogue: catalogue.expire(NOW, [PROCESS]), True),
        ],
    )
    async def test_a_pin_ends_when_its_copy_or_its_process_does_or_at_its_time(
        self, catalogue: Catalogue, ends: Callable[[Catalogue], Awaitable[object]], goes: bool
    ) -> None:
        await orphan(catalogue, b"data", 1)
        await catalogue.pin(Pin("backup", None, PROCESS, NOW + 10))
        await ends(catalogue)
        assert await garbage_goes(catalogue) == goes

    async def test_pinning_again_renews(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        await catalogue.pin(Pin("backup", None, PROCESS, NOW + 10))
        await catalogue.pin(Pin("backup", None, PROCESS, NOW + 20))
        await catalogue.expire(NOW + 10, [])
        assert await catalogue.pins() == [Pin("backup", None, PROCESS, NOW + 20)]
        assert not await garbage_goes(catalogue)

    async def test_of_two_pins_either_holds_garbage_back(self, catalogue: Catalogue) -> None:
        await orphan(catalogue, b"data", 1)
        await catalogue.pin(Pin("export", OWNER, PROCESS, LATER))
        await catalogue.pin(Pin("backup", None, PROCESS, LATER))
        assert [pin.id for pin in await catalogue.pins()] == ["backup", "export"]
        await catalogue.unpin("backup")
        assert not await garbage_goes(catalogue)
        await catalogue.unpin("export")
        assert await garbage_goes(catalogue)

    async def test_uploads_and_releases_go_on_under_a_pin(self, catalogue: Catalogue) -> None:
        await catalogue.pin(Pin("backup", None, PROCESS, LATER))
        stored = await upload(catalogue, b"data", 1, claim_of())
        await catalogue.hold(OWNER, SLACK, [DATA], NOW)
        await catalogue.drop_claims(OWNER, SLACK, scope=None, now=NOW)
        assert await catalogue.release(OWNER, await catalogue.holders(OWNER, SLACK, [DATA]), NOW) == 1
        assert stored.state is State.LIVE
        assert [each.stored for each in await catalogue.orphans(OWNER, LATER, 10)] == [stored]
