"""Clients that fill a connector and erase of it a record, a stream, an instance or all, over HTTP and by command."""

import asyncio
import json
import random
import signal
from dataclasses import dataclass
from functools import partial

from tests.crash.acknowledged import Acknowledged, Blob, Content, Known, Place, mark
from tests.crash.fleet import Fleet
from tests.crash.workers import KEYS, STREAMS, Client, CutOffError, Worker, until_told


@dataclass(frozen=True, slots=True)
class Target:
    """What goes; None: whatever it is."""

    instance: str | None = None
    stream: str | None = None
    key: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a connector or an instance, and takes no writes any more."""
        return self.stream is None

    def covers(self, place: Place) -> bool:
        """Whether the place is within it."""
        return (
            self.instance in (None, place.instance)
            and self.stream in (None, place.stream)
            and self.key in (None, place.key)
        )


class Eraser(Worker):
    """Asks for each erasure until it is told of its end; what it writes afterwards must stay."""

    def __init__(
        self, client: Client, acknowledged: Acknowledged, rng: random.Random, connector: str, fleet: Fleet, owner: str
    ) -> None:
        super().__init__(client, acknowledged, rng, connector)
        self._fleet = fleet
        self._owner = owner
        self._instances: list[str | None] = []
        self._claimed: list[tuple[Place, Blob]] = []

    async def work(self) -> None:
        """For ever."""
        while True:
            if not self._instances:
                await self.register()
                # The default instance alone, or several with names: a request without one must not be ambiguous.
                self._instances = [None] if self.rng.random() < 0.5 else [mark(self.rng), mark(self.rng)]
            await self._fill()
            await self._erase(self._choose())

    async def _fill(self) -> None:
        for instance in self._instances:
            for stream in STREAMS:
                place = self._place(instance, stream)
                blobs = [await self.upload(place) for _ in range(self.rng.choice([0, 1, 2]))]
                self._claimed += [(place, blob) for blob in blobs]
                await self.put([place], [Content(mark(self.rng), tuple(blobs))])
                alone = self._place(instance, stream)
                self._claimed.append((alone, await self.upload(alone)))

    def _place(self, instance: str | None, stream: str) -> Place:
        # Who asks for the default instance of a connector that has others by now is shown theirs: under other keys.
        key = self.rng.choice(KEYS) + ("" if instance is None else "-of-instance")
        return Place(self.connector, instance, stream, key)

    def _choose(self) -> Target:
        instance = self.rng.choice(self._instances)
        place = self._place(instance, self.rng.choice(STREAMS))
        targets = [Target(), Target(instance, place.stream), Target(instance, place.stream, place.key)]
        return self.rng.choice(targets if instance is None else [*targets, Target(instance)])

    async def _erase(self, target: Target) -> None:
        within = {place: known for place, known in self.acknowledged.records.items() if self._is_within(place, target)}
        contents = [each for known in within.values() for each in known.allowed if each is not None]
        claimed = [blob for place, blob in self._claimed if target.covers(place)]
        blobs = {blob for blob in claimed if blob.mark}  # what is shared may stay with others
        marks = {each.mark for each in contents} | {blob.mark for blob in blobs if blob.mark}
        for known in within.values():
            known.trying(None)
        told = await self._until_erased(target)
        for known in within.values():
            known.acknowledged(None)
        self._claimed = [(place, blob) for place, blob in self._claimed if not target.covers(place)]
        if target.whole:
            self._instances = [each for each in self._instances if target.instance not in (None, each)]
        (self.acknowledged.erased if told else self.acknowledged.going).update(marks)
        if told:
            self.acknowledged.kinds[f"erasure of {_name(target)}"] += 1
            await self._look(within, blobs)

    def _is_within(self, place: Place, target: Target) -> bool:
        return place.connector == self.connector and target.covers(place)

    async def _until_erased(self, target: Target) -> bool:
        """True when an answer said that all of it is gone; False when one said that there is no such thing any more.

        Then an erasure was begun whose answer nobody saw, and which may not be at its end yet.
        """
        while True:
            try:
                return await (self._by_command(target) if self.rng.random() < 0.4 else self._over_http(target))
            except CutOffError:
                continue

    async def _over_http(self, target: Target) -> bool:
        if target.stream is not None:
            rest = "" if target.key is None else f"/{target.key}"
            path = f"/v1/streams/{target.stream}/records{rest}?{self.query(target.instance)}"
        elif target.instance is not None:
            path = f"/v1/owner/connections/{target.instance}"
        else:
            path = f"/v1/owner/connectors/{self.connector}"
        status, body = await self.client.ask("DELETE", path, 200, 202, 204, 404)
        if status == 404:
            return False
        answer = json.loads(body or b"{}")
        if status == 202:
            await self._done(answer["erasure_id"])
        if "erasure_id" in answer:
            self.acknowledged.erasures.add(answer["erasure_id"])
        return True

    async def _by_command(self, target: Target) -> bool:
        named = (("--instance", target.instance), ("--stream", target.stream), ("--key", target.key))
        options = [part for option, value in named if value is not None for part in (option, value)]
        code, printed = await self._fleet.command(
            "erase", "--owner", self._owner, "--connector", self.connector, *options, "--json"
        )
        if code == -signal.SIGKILL:
            raise CutOffError
        if code == 1 and target.whole:
            return False
        assert code in (0, 3), f"erase {target} ended with {code}: {self._fleet.log.read_text()[-2000:]}"
        (report,) = json.loads(printed)
        if code == 3:
            await self._done(report["id"])
        self.acknowledged.erasures.add(report["id"])
        return True

    async def _done(self, erasure: str) -> None:
        """Wait for an erasure that goes on after its answer."""
        while True:
            _, body = await until_told(lambda: self.client.ask("GET", f"/v1/owner/erasures/{erasure}", 200))
            if json.loads(body)["status"] == "done":
                return
            await asyncio.sleep(0.1)

    async def _look(self, places: dict[Place, Known], blobs: set[Blob]) -> None:
        """What an answer said to be gone is served by nobody."""
        for place in self.rng.sample(sorted(places, key=str), min(2, len(places))):
            path = f"/v1/streams/{place.stream}/records/{place.key}?{self.query(place.instance)}"
            await until_told(partial(self.client.ask, "GET", path, 404))
        for blob in self.rng.sample(sorted(blobs, key=str), min(2, len(blobs))):
            await until_told(partial(self.client.ask, "GET", f"/v1/blobs/{blob.id}", 404))


def _name(target: Target) -> str:
    if target.key is not None:
        return "a record"
    return "a stream" if target.stream is not None else "a connector" if target.instance is None else "an instance"
