"""Events over shards: only those are asked that may have some, and whose events are all drained come to rest."""

from collections.abc import Mapping

from blobstore.catalogue import Numbering
from blobstore.errors import BlobError
from records.engine import Engine
from records.engines.sharded.routing import Routing
from records.engines.sharded.shard import Shard
from records.errors import SourceDown
from records.model import OutboxEvent
from records.shards import RECORDS, Home, source_of


class Events(Routing):
    """The part of the port that keeps outboxes, and the engine as a whole."""

    async def outbox(self, limit: int) -> list[OutboxEvent]:
        if events := await self._main.outbox(limit):
            return events
        silent: SourceDown | None = None
        for connector, home in sorted((await self._homes.now()).items()):
            if home.left is not None:
                continue
            try:
                if events := await self._ask(connector, lambda engine: engine.outbox(limit)):
                    self._lively.add(home.shard)
                    return events
                await self._settle(connector, home)
            except SourceDown as error:  # the others' events do not wait for those of a file that cannot be read
                silent = silent or error
        if silent is not None:
            raise silent
        return []

    async def _settle(self, connector: str, home: Home) -> None:
        """Bring it to rest, unless it had events a moment ago: who writes steadily is not woken again and again."""
        if home.shard in self._lively:
            self._lively.discard(home.shard)
        else:
            await self._rest(connector, home)

    async def drained(self, source: str, seq: int) -> None:
        if source == RECORDS:
            await self._main.drained(source, seq)
            return
        for connector, home in (await self._homes.now()).items():
            if source_of(home.shard) == source:
                await self._ask(connector, lambda engine: engine.drained(source, seq))

    async def numbering(self) -> Mapping[str, Numbering]:
        answers = await self._ask_all(await self._homes.now(), lambda _, engine: engine.numbering())
        found = dict(await self._main.numbering())
        for connector in sorted(answers):
            found |= answers[connector]
        return found

    async def bind(self, name: str) -> str:
        return await self._main.bind(name)

    async def note(self, event: bytes) -> None:
        await self._main.note(event)

    # -- the engine itself -----------------------------------------------------------------------------------------

    async def check(self) -> list[str]:
        found = await self._main.check()
        for connector in sorted(await self._homes.now()):
            try:
                found += [f"{connector}: {line}" for line in await self._ask(connector, lambda engine: engine.check())]
            except BlobError as error:
                found.append(str(error))
        return found

    async def resum(self, *, repair: bool) -> list[str]:
        found = await self._main.resum(repair=repair)
        for connector in sorted(await self._homes.now()):
            wrong = await self._ask(connector, lambda engine: engine.resum(repair=False))
            if wrong and repair:
                await self._tell(connector, lambda engine: engine.resum(repair=True))
            found += [f"{connector}: {line}" for line in wrong]
        return found

    async def close(self) -> None:
        """As the port says; what can be brought to rest is, so that the next to start has nothing to look after."""
        if not self._closed:
            self._closed = True
            await self._rest_all()
            await self._main.close()

    async def _rest_all(self) -> None:
        try:
            for connector, home in sorted((await self._homes.now()).items()):
                if home.left is None and home.shard in self._numbers:
                    await self._rest(connector, home)
        except BlobError:
            return  # it is looked after by whoever starts next
        finally:
            for home in [] if self._homes.known is None else self._homes.known.homes.values():
                await self._around.pool.drop(home.shard)

    async def _rest(self, connector: str, home: Home) -> None:
        """Let nobody write to the shard who does not wake it first, if its events are all on the spine."""

        async def rest(engine: Engine) -> None:
            if isinstance(engine, Shard) and (left := await engine.rest(home.number)) is not None:
                await self._central.rest(self._owner, connector, home.shard, home.number, left)

        await self._ask(connector, rest)
