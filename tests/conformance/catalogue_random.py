"""Random calls: every catalogue answers as the one in memory does."""

import random
from collections.abc import Callable
from typing import Any

from blobstore.catalogue import Catalogue, Holder, Lease, Pin, State
from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.derived import Derived
from blobstore.digest import Digest
from blobstore.errors import LeaseLost, OverQuota
from blobstore.quota import EVERY, WHOLE, Limit
from tests.conformance.catalogue_values import GMAIL, NOW, OWNER, SLACK, claim_of, content_of, digest_of, lease_of

BODIES = [b"a", b"bb", b"ccc"]
HOLDERS = [SLACK, GMAIL]
KINDS = ["small", "large"]
SCOPES = ["one", "two"]
SLOTS = ["s1", "s2", "s3"]
PROCESSES = ["p1", "p2"]
LOCATIONS = ["file", "s3://bucket/a", "s3://bucket/b"]
FIRST_COPY = 1_000_000
PINS = ["backup", "export"]
NAMESPACES = [OWNER, OWNER, "owner2"]

Step = Callable[[Catalogue], Any]


class Play:
    """Chooses calls, and gives the same to each of several catalogues."""

    def __init__(self, rng: random.Random, catalogues: list[Catalogue]) -> None:
        self.rng = rng
        self.catalogues = catalogues
        self.leases = 0
        self.copies: list[Lease] = []
        self.now = NOW
        # Holder rows read earlier, one list for each catalogue: their versions are each catalogue's own.
        self.counted: list[tuple[str, list[list[Holder]]]] = []

    async def both(self, step: Step) -> Any:
        """What all catalogues answer, which must be the same."""
        answers = [await self._answer(step, catalogue) for catalogue in self.catalogues]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    async def step(self) -> None:
        self.now += self.rng.choice([0, 0, 1, 5])
        choices = [
            *[self.begin, self.upload, self.upload],
            *[self.finish] * 6,
            *[self.hold] * 5,
            *[self.settle] * 3,
            *[self.count] * 3,
            *[self.release] * 3,
            *[self.drop, self.drop, self.expire, self.fence, self.renew, self.condemn, self.condemn, self.forget],
            *[self.bury, self.bury, self.quarantine, self.verify, self.rehold, self.pin, self.unpin],
            *[self.reserve, self.limit],
            *[self.copy] * 2,
            *[self.moved] * 3,
            *[self.take_in, self.shorten],
            *[self.derive] * 2,
        ]
        await self.rng.choice(choices)()

    async def compare(self) -> None:
        """Everything that can be asked."""
        await self.both(lambda each: each.leases())
        await self.both(lambda each: each.volumes())
        await self.both(lambda each: each.limits())
        await self.both(lambda each: each.totals(OWNER))
        await self.both(lambda each: each.totals("owner2"))
        await self.both(lambda each: each.reserved())
        assert await self.both(lambda each: each.recount(repair=False)) == []
        await self.both(lambda each: each.survey(None, 1000))
        await self.both(lambda each: each.parties())
        await self.both(lambda each: each.orphans(None, self.now + 1, 1000))
        await self.both(lambda each: each.condemned(1000))
        await self.both(_late)
        await self.both(lambda each: each.pins())
        await self.both(lambda each: each.contents())
        await self.both(lambda each: each.forecast(None, self.now))
        await self.both(lambda each: each.stalest(self.now + 1, 1000))
        await self.both(lambda each: each.unconfirmed(1000))
        for namespace in NAMESPACES:
            await self.both(_asking("totals", namespace))
            await self.both(_asking("removed", namespace, "garbage", None, 1000))
            for holder in (None, *HOLDERS):
                await self.both(_asking("may_come", namespace, holder, "garbage", self.now))
            for holder in HOLDERS:
                await self.both(_asking("former", namespace, holder, None, 1000))
                await self.both(_asking("claimed", namespace, holder, SLOTS[:2], None, 1000))
                everything = [digest_of(body) for body in BODIES]
                await self.both(_asking("shares", namespace, holder, SLOTS[:2], everything))
            for holder in (WHOLE, *HOLDERS):
                await self.both(_asking("volume", namespace, holder))
            for body in BODIES:
                digest = digest_of(body)
                for question in ("find", "generations", "holders_of", "claims_of", "gone"):
                    await self.both(_asking(question, namespace, digest))
                for kind in KINDS:
                    await self.both(_asking("derived", namespace, digest, kind))
                for catalogue in self.catalogues:
                    await _check(catalogue, namespace, digest)

    # -- calls -----------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        self.leases += 1
        lease = self.lease(self.leases)
        await self.both(lambda each: each.lease(lease))

    async def derive(self) -> None:
        namespace, digest = self.rng.choice(NAMESPACES), digest_of(self.rng.choice(BODIES))
        derived = Derived(self.rng.choice(KINDS), b"key", self.rng.randbytes(4))
        most = self.rng.randint(1, 3)
        await self.both(lambda each: each.keep_derived(namespace, digest, derived, most))

    async def upload(self) -> None:
        await self.begin()
        for _ in range(4):
            await self.finish()

    async def finish(self) -> None:
        """Adopt, publish or abandon some lease, which may be over long since."""
        lease = self.lease(self.rng.randint(max(1, self.leases - 2), max(1, self.leases)))
        claim = claim_of(self.rng.choice(SLOTS), lease.holder, lease.scope, expires_at=self.now + 300)
        content = content_of(self.rng.choice(BODIES))
        now = self.now
        step: Step = self.rng.choice(
            [
                lambda each: each.adopt(lease, content, claim, b"event"),
                lambda each: each.adopt(lease, content, claim),
                lambda each: each.publish(lease, claim, now, b"event"),
                lambda each: each.publish(lease, claim, now),
                lambda each: each.publish(lease, claim, now, late_until=now + 5),
                lambda each: each.abandon(lease),
                lambda each: each.abandon(lease, now + 5),
            ]
        )
        await self.both(step)

    async def reserve(self) -> None:
        lease, size = self.lease(self.rng.randint(max(1, self.leases - 2), max(1, self.leases))), self.rng.randint(0, 9)
        await self.both(lambda each: each.reserve(lease, size))

    async def limit(self) -> None:
        limit = Limit(
            self.rng.choice([EVERY, *NAMESPACES]),
            self.rng.choice([EVERY, WHOLE, *HOLDERS]),
            self.rng.choice([None, 0, 5, 10]),
        )
        await self.both(lambda each: each.limit(limit))
        await self.both(_asking("unlimit", self.rng.choice([EVERY, *NAMESPACES]), self.rng.choice([EVERY, *HOLDERS])))

    async def hold(self) -> None:
        namespace, holder, digests, now = self.namespace(), self.holder(), self.digests(), self.now
        await self.both(lambda each: each.hold(namespace, holder, digests, now))

    async def settle(self) -> None:
        namespace, holder = self.namespace(), self.holder()
        links = [(digest, self.rng.sample(SLOTS, self.rng.randint(0, 2))) for digest in self.digests()]
        await self.both(lambda each: each.settle(namespace, holder, links))

    async def count(self) -> None:
        namespace, holder, digests = self.namespace(), self.holder(), self.digests()
        rows = [await each.holders(namespace, holder, digests) for each in self.catalogues]
        self.counted.append((namespace, rows))

    async def release(self) -> None:
        if self.counted:
            namespace, rows = self.counted.pop(self.rng.randrange(len(self.counted)))
            released = {
                await each.release(namespace, mine, self.now) for each, mine in zip(self.catalogues, rows, strict=True)
            }
            assert len(released) == 1

    async def drop(self) -> None:
        namespace, holder, now = self.namespace(), self.holder(), self.now
        scope, begin = self.rng.choice([None, *SCOPES]), self.rng.choice(["", *SLOTS[:2]])
        await self.both(lambda each: each.drop_claims(namespace, holder, scope=scope, beginning=begin, now=now))

    async def expire(self) -> None:
        now, dead = self.now, self.rng.sample(PROCESSES, self.rng.randint(0, 1))
        await self.both(lambda each: each.expire(now, dead))

    async def fence(self) -> None:
        namespace, holder, scope = self.namespace(), self.holder(), self.rng.choice([None, *SCOPES])
        beginning = self.rng.choice(["", *SLOTS])
        await self.both(lambda each: each.fence(namespace, holder, scope, beginning))

    async def renew(self) -> None:
        process, expires_at = self.rng.choice(PROCESSES), self.now + 300
        await self.both(lambda each: each.renew(process, expires_at))

    async def condemn(self) -> None:
        namespace, digests, before = self.namespace(), self.digests(), self.rng.choice([None, self.now - 10])
        await self.both(lambda each: each.condemn(namespace, digests, "garbage", before))

    async def forget(self) -> None:
        namespace, holder = self.namespace(), self.holder()
        await self.both(lambda each: each.forget_former(namespace, holder, 2))

    async def bury(self) -> None:
        condemned = await self.catalogues[0].condemned(1000)
        names = [each.name for each in condemned if self.rng.random() < 0.5]
        now = self.now
        await self.both(lambda each: each.buried(names, now))

    async def quarantine(self) -> None:
        stored = await self.catalogues[0].walk(None, 1000)
        if stored:
            name = self.rng.choice(stored).name
            await self.both(lambda each: each.quarantine(name))

    async def verify(self) -> None:
        names = [each.name for each in await self.catalogues[0].walk(None, 1000) if self.rng.random() < 0.3]
        now = self.now
        await self.both(lambda each: each.verified(names, now))

    async def rehold(self) -> None:
        namespace, holder, digests = self.namespace(), self.holder(), self.digests()[:1]
        await self.both(lambda each: each.rehold(namespace, holder, digests))

    async def pin(self) -> None:
        pin = Pin(
            self.rng.choice(PINS),
            self.rng.choice([None, *NAMESPACES]),
            self.rng.choice(PROCESSES),
            self.now + self.rng.choice([1, 5]),
        )
        await self.both(lambda each: each.pin(pin))

    async def unpin(self) -> None:
        pin = self.rng.choice(PINS)
        await self.both(lambda each: each.unpin(pin))

    async def take_in(self) -> None:
        location, now = self.rng.choice(LOCATIONS), self.now
        await self.both(lambda each: each.take_in(location, {}, now))

    async def copy(self) -> None:
        live = [each for each in await self.catalogues[0].walk(None, 1000) if each.state is State.LIVE]
        if live:
            stored, number = self.rng.choice(live), FIRST_COPY + len(self.copies)
            lease = lease_of(number, "", "", self.rng.choice(PROCESSES), self.now + 50, stored.name.namespace, slot="")
            self.copies.append(lease)
            await self.both(lambda each: each.copy(lease, stored.name))

    async def moved(self) -> None:
        if self.copies:
            lease, now, until = self.rng.choice(self.copies[-2:]), self.now, self.now + self.rng.choice([0, 5, 50])
            late = self.rng.choice([None, self.now + 5])
            await self.both(lambda each: each.moved(lease, now, until, late))

    async def shorten(self) -> None:
        until = self.now + 5
        await self.both(lambda each: each.shorten(until))

    # -- choices ---------------------------------------------------------------------------------------------------

    def namespace(self) -> str:
        return self.rng.choice(NAMESPACES)

    def holder(self) -> str:
        return self.rng.choice(HOLDERS)

    def digests(self) -> list[Any]:
        return [digest_of(body) for body in self.rng.sample(BODIES, self.rng.randint(1, len(BODIES)))]

    def lease(self, number: int) -> Any:
        """The lease of that number: chosen by the number alone, so that it can be named again."""
        pick = random.Random(number)
        return lease_of(
            number,
            pick.choice(HOLDERS),
            pick.choice(SCOPES),
            pick.choice(PROCESSES),
            NOW + 15 * number,
            pick.choice(NAMESPACES),
            pick.randint(0, 4),
            pick.choice(SLOTS),
        )

    @staticmethod
    async def _answer(step: Step, catalogue: Catalogue) -> Any:
        try:
            return _plain(await step(catalogue))
        except LeaseLost:
            return LeaseLost
        except OverQuota as error:
            return str(error)


def _asking(question: str, *of: Any) -> Step:
    return lambda catalogue: getattr(catalogue, question)(*of)


async def _late(catalogue: Catalogue) -> list[tuple[Any, ...]]:
    return [(each.name, each.process, each.late_until) for each in await catalogue.condemned(1000)]


async def _check(catalogue: Catalogue, namespace: str, digest: Digest) -> None:
    """What always holds: one generation at most is not condemned, and it is an orphan if and only if nobody uses it."""
    kept = [each for each in await catalogue.generations(namespace, digest) if each.state is not State.CONDEMNED]
    orphans = [each.stored for each in await catalogue.orphans(namespace, float("inf"), 1000)]
    used = await catalogue.holders_of(namespace, digest) or await catalogue.claims_of(namespace, digest)
    assert len(kept) <= 1
    assert [each for each in orphans if each.name.digest == digest] == ([] if used else kept)


def _plain(answer: Any) -> Any:
    """The answer without versions, and without an order where times are equal."""
    match answer:
        case Holder():
            return (answer.digest, answer.holder, answer.confirmed)
        case tuple():
            return tuple(_plain(each) for each in answer)
        case list():
            return sorted((_plain(each) for each in answer), key=repr)
    return answer


class RandomCalls:
    async def test_random_calls_are_answered_as_in_memory(
        self, catalogue: Catalogue, rng: random.Random, sized: Callable[[int, int], int]
    ) -> None:
        play = Play(rng, [MemoryCatalogue(), catalogue])
        for location in LOCATIONS:  # before anything else is counted: so their ids are the same
            await play.both(lambda each: each.take_in(location, {}, NOW))  # noqa: B023
        for _ in range(sized(8, 200)):
            for _ in range(50):
                await play.step()
            await play.compare()
