"""One of several processes at one catalogue: python catalogue_worker.py DATABASE_URL NUMBER STEPS."""

import asyncio
import random
import sys

from blobstore.backend import ObjectName
from blobstore.catalogues.postgres import PostgresCatalogue
from blobstore.postgres import Database
from tests.conformance.catalogue_values import GMAIL, NOW, SLACK, claim_of, content_of, lease_of

BODIES = [b"%d" % number * number for number in range(1, 6)]


async def work(url: str, number: int, steps: int) -> None:
    rng = random.Random(number)
    database = await Database.open(url, size=3)
    catalogue = await PostgresCatalogue.open(database)

    async def step(each: int) -> None:
        namespace, holder, body = rng.choice(["owner1", "owner2"]), rng.choice([SLACK, GMAIL]), rng.choice(BODIES)
        slot = f"slot {rng.randrange(5)}"
        content = content_of(body)
        lease = lease_of(number * 10_000 + each, holder, namespace=namespace, reserved=len(body), slot=slot)
        claim = claim_of(slot, holder)
        await catalogue.lease(lease)
        if isinstance(await catalogue.adopt(lease, content, claim, b"event"), ObjectName):
            await catalogue.publish(lease, claim, NOW, b"event")
        await catalogue.hold(namespace, holder, [content.digest], NOW)
        await catalogue.settle(namespace, holder, [(content.digest, [slot])])
        await catalogue.release(namespace, await catalogue.holders(namespace, holder, [content.digest]), NOW)
        condemned = await catalogue.condemn(namespace, [content.digest], "garbage", NOW + 1)
        await catalogue.buried([each.name for each in condemned], NOW)
        await catalogue.expire(NOW, [])

    for first in range(0, steps, 5):
        await asyncio.gather(*(step(each) for each in range(first, min(steps, first + 5))))
    await database.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
