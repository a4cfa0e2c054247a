"""What must hold, whoever does the next step: told of what is asked for and answered, it looks at what is there.

It looks past the product: at the databases by statements of its own, at the files by their names.

* I1  a committed link has a holder and stored bytes that match
* I2  what was acknowledged is there, whatever died since: the records, and the bytes that were uploaded for records
* I3  what has a link, a claim or a lease is not collected
* I4  when all is at rest and has been collected, nothing is left that nobody holds
* what was erased is gone once its erasure says so, and nothing else is
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from blobstore.digest import Digest
from blobstore.errors import LeaseLost, StorageUnavailable
from records.errors import Conflict, Fenced, Unknown
from records.slots import slot
from tests.interleavings.world import Operation, Place, World, connected

CLAIM_SECONDS = 7 * 24 * 3600.0
LEASE_SECONDS = 300.0


class Violation(AssertionError):
    """Something that must hold does not; found after so many steps."""

    steps = 0


NOTED = 80
"""Lines of the log that a violation shows."""


@dataclass(eq=False)
class Asked:
    """Something that was asked for: where it may change records, and to what (None: there is none any more).

    `whole`: an erasure after which its instances take no writes any more.
    """

    operation: Operation
    covers: Callable[[Place], bool] = lambda _: False
    value: int | None = None
    writes: bool = False
    whole: bool = False
    erases: bool = False
    place: Place | None = None
    digests: frozenset[str] = frozenset()
    began: float = 0.0
    refused: bool = False
    """It is sure that nothing came of it."""
    beside: set["Asked"] = field(default_factory=set)
    """What ran at the same time, for a moment at least."""
    doomed: set[str] = field(default_factory=set)
    """Of an erasure: blobs that it must remove, unless somebody else uses them meanwhile."""
    entitled: dict[str, "Claimed"] = field(default_factory=dict)
    """Of an ingest: blobs that it may surely link, by the claims that say so."""


@dataclass(eq=False)
class Claimed:
    """An acknowledged upload for a place, until its time is over, it is erased, or a record of the place links it."""

    place: Place
    digest: str
    expires: float
    takers: set[Asked] = field(default_factory=set)


@dataclass
class Seen:
    """All that is stored, at one moment."""

    records: dict[Place, int]
    links: dict[Place, set[str]]
    generations: list[tuple[str, str, str]]
    holders: set[tuple[str, str]]
    claims: set[tuple[str, str, str, str]]
    leases: int
    versions: dict[tuple[str, ...], int]
    """Of each partition that there ever was."""

    def kept(self) -> set[str]:
        """Digests with a generation that is not on its way out."""
        return {digest for digest, _, state in self.generations if state != "condemned"}

    def users(self, digest: str) -> Iterator[Place | tuple[str, str]]:
        """Places that link or claim a blob; (holder, "") for a holder."""
        yield from (place for place, digests in self.links.items() if digest in digests)
        for holder, _, where, claimed in self.claims:
            if claimed == digest:
                instance, stream, key, _ = msgspec.json.decode(where)
                yield Place(holder, instance, stream, key)
        yield from ((holder, "") for holder, held in self.holders if held == digest)


class Model:
    """Follows one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.values: dict[int, frozenset[str]] = {}
        self.contents: dict[str, bytes] = {}
        self.spoiled: set[str] = set()
        """Generations whose bytes were changed behind the store's back."""
        self.erased: set[tuple[str, str]] = set()
        """(connector, instance) whose erasure was answered as done."""
        self._possible: dict[Place, dict[int | None, set[Asked]]] = {}
        self._claims: dict[tuple[Place, str], Claimed] = {}
        self._versions: dict[tuple[str, ...], int] = {}
        self._puts: list[Asked] = []
        self._former: dict[str, set[str]] = {}
        """Connectors that linked or claimed a blob, for as long as it is there."""
        self._running: list[Asked] = []
        self._erasures: list[Asked] = []
        self._central, self._catalogue, self._records = (connected(path) for path in world.databases())

    def close(self) -> None:
        for db in (self._central, self._catalogue, self._records):
            db.close()

    # -- what is asked for -----------------------------------------------------------------------------------------

    def asked(self, asked: Asked) -> None:
        """Somebody asked for this; call `look` after each step from here on."""
        asked.began = self.world.loop.now
        for other in self._running:
            other.beside.add(asked)
            asked.beside.add(other)
        self._running.append(asked)
        if asked.value is not None:
            self._puts.append(asked)
        if asked.erases:
            self._erasures.append(asked)
            seen = self.see()
            asked.doomed = {
                digest
                for digest in seen.kept()
                if any(isinstance(user, Place) and asked.covers(user) for user in seen.users(digest))
                or (asked.whole and _connector(asked) in self._former.get(digest, ()) and not any(seen.users(digest)))
            }
        if asked.place is not None:
            self._of(asked.place)
        if asked.writes:
            for place, possible in self._possible.items():
                if asked.covers(place):
                    possible.setdefault(asked.value, set()).add(asked)
            self._take_claims(asked)

    def _of(self, place: Place) -> dict[int | None, set[Asked]]:
        """What may be at a place, and by whom."""
        if place not in self._possible:
            writers = {each for each in self._running if each.erases and each.covers(place)}
            self._possible[place] = {None: writers}
        return self._possible[place]

    def _take_claims(self, asked: Asked) -> None:
        for (place, digest), claimed in list(self._claims.items()):
            if asked.erases:
                if asked.covers(place):
                    del self._claims[place, digest]
            elif asked.place is not None and place.connector == asked.place.connector and digest in asked.digests:
                if not claimed.takers:
                    asked.entitled[digest] = claimed
                if place == asked.place:
                    claimed.takers.add(asked)

    # -- what is answered ------------------------------------------------------------------------------------------

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except Violation as violation:
            violation.add_note("\n".join(self.world.log[-NOTED:]))
            raise

    def look(self) -> None:
        """Take in the answers there are, then hold everything against what is stored."""
        with self._telling():
            self._look()

    def _look(self) -> None:
        for asked in [each for each in self._running if each.operation.over]:
            self._answered(asked)
        self._check(self.see())
        if self.world.loop.errors:
            raise Violation(str(self.world.loop.errors))

    def _answered(self, asked: Asked) -> None:
        operation = asked.operation
        if not operation.process.alive or (operation.task.cancelled() and asked.writes):
            return  # nobody knows what came of it
        self._running.remove(asked)
        if operation.error is not None:
            if operation.task.cancelled():
                return
            if not self._may_fail(asked, operation.error):
                raise Violation(f"{operation} failed for no reason: {operation.error!r}") from operation.error
            self._refuse(asked)
        elif asked.erases:
            if operation.result.report.state == "done":
                self._erasure_done(asked)
        elif asked.writes:
            if operation.result.rejected:
                self._may_be_rejected(asked, operation.result.rejections)
                self._refuse(asked)
            else:
                self._settle(asked)
        elif asked.place is not None:
            self._uploaded(asked, operation.result.name.digest.hex)

    def _refuse(self, asked: Asked) -> None:
        asked.refused = True
        for possible in self._possible.values():
            for value in [value for value, writers in possible.items() if asked in writers]:
                possible[value].discard(asked)
                if not possible[value] and value is not None and asked.value == value:
                    del possible[value]

    def _settle(self, asked: Asked) -> None:
        """It was done: what was there before is not there any more, unless it was written beside."""
        for place, possible in self._possible.items():
            if asked.covers(place):
                beside = {} if asked.whole else self._beside(asked, place)
                possible.clear()
                possible.update(beside)
                possible.setdefault(asked.value, set()).add(asked)

    def _beside(self, asked: Asked, place: Place) -> dict[int | None, set[Asked]]:
        found: dict[int | None, set[Asked]] = {}
        for other in asked.beside:
            if other.writes and other.covers(place) and not other.refused:
                found.setdefault(other.value, set()).add(other)
        return found

    def _uploaded(self, asked: Asked, digest: str) -> None:
        assert asked.place is not None
        if digest not in asked.digests:
            raise Violation(f"{asked.operation} stored other bytes")
        beside = [each for each in asked.beside if each.writes and each.covers(asked.place)]
        taken = any(each.erases or digest in each.digests for each in beside)
        if self._ended(asked.place) and not any(each.erases for each in beside):
            raise Violation(f"{asked.operation} was taken though its instance was erased before")
        if not taken:
            self._claims[asked.place, digest] = Claimed(asked.place, digest, asked.began + CLAIM_SECONDS)

    def _erasure_done(self, asked: Asked) -> None:
        self._settle(asked)
        covered = asked.operation.result.report.covered
        if asked.whole:
            self.erased |= {(covered.connector, instance) for instance in covered.instances}
        seen = self.see()
        for digest in asked.doomed & {digest for digest, *_ in seen.generations}:
            raise Violation(f"{asked.operation} is done, but {digest[:8]} is still there")
        for digest in asked.doomed:
            if list((self.world.directory / "blobs").rglob(f"{digest}.*")):
                raise Violation(f"{asked.operation} is done, but a file of {digest[:8]} is still there")

    # -- what may go wrong -----------------------------------------------------------------------------------------

    def _may_fail(self, asked: Asked, error: BaseException) -> bool:
        if isinstance(error, StorageUnavailable):
            return "released all the time" in str(error)
        if isinstance(error, LeaseLost):
            slept = self.world.loop.now - asked.began >= LEASE_SECONDS
            return slept or any(each.erases and each.covers(_require(asked.place)) for each in asked.beside)
        if isinstance(error, Fenced):
            return any(each.erases and each.covers(_require(asked.place)) for each in asked.beside)
        if isinstance(error, Unknown | Conflict):
            return asked.erases or any(each.whole for each in self._erasures)
        return False

    def _may_be_rejected(self, asked: Asked, rejections: list[Any]) -> None:
        """A line is refused only where a blob is not there for its connector."""
        for digest, claimed in asked.entitled.items():
            mine = self._claims.get((claimed.place, digest)) is claimed and claimed.takers <= {asked}
            bad = any(each[0] == digest and each[1] in self.spoiled for each in self.see().generations)
            if mine and not bad and claimed.expires > self.world.loop.now and len(asked.digests) == 1:
                raise Violation(f"{asked.operation} was rejected, but its blob was uploaded: {rejections}")

    def _ended(self, place: Place) -> bool:
        return (place.connector, place.instance) in self.erased

    # -- what is there ---------------------------------------------------------------------------------------------

    def see(self) -> Seen:
        records: dict[Place, int] = {}
        links: dict[Place, set[str]] = {}
        for *place, data in self._records.execute(_RECORDS):
            records[Place(*place)] = msgspec.json.decode(data)["n"]
        for *place, digest in self._records.execute(_LINKS):
            links.setdefault(Place(*place), set()).add(digest.hex())
        ask = self._catalogue.execute
        return Seen(
            records,
            links,
            [(digest.hex(), *row) for digest, *row in ask("SELECT digest, generation, state FROM blobs")],
            {(holder, digest.hex()) for holder, digest in ask("SELECT holder, digest FROM holders")},
            {(*row, digest.hex()) for *row, digest in ask("SELECT holder, scope, slot, digest FROM claims")},
            ask("SELECT count(*) FROM leases").fetchone()[0],
            {tuple(place): version for *place, version in self._records.execute(_VERSIONS)},
        )

    def _check(self, seen: Seen) -> None:
        self._check_records(seen)
        self._check_versions(seen)
        users = {digest: [user for user in seen.users(digest) if isinstance(user, Place)] for digest in seen.kept()}
        self._former = {
            digest: self._former.get(digest, set()) | {place.connector for place in places}
            for digest, places in users.items()
        }
        self._check_bytes(seen)
        self._check_claims(seen)
        for asked in self._running:
            if asked.erases:
                self._excuse(asked, seen)

    def _check_records(self, seen: Seen) -> None:
        for place in {*seen.records, *self._possible}:
            value = seen.records.get(place)
            if value not in self._of(place):
                wanted = sorted(self._possible[place], key=str)
                raise Violation(f"I2: {place} is {value}, but it must be one of {wanted}")
            if value is not None and self._ended(place):
                raise Violation(f"{place} was erased, and is there")
        for place in {*seen.records, *seen.links}:
            wanted_links = self.values[seen.records[place]] if place in seen.records else frozenset()
            if seen.links.get(place, set()) != wanted_links:
                raise Violation(f"I1: the links of {place} are not those that its data name")

    def _check_versions(self, seen: Seen) -> None:
        for partition, version in self._versions.items():
            if seen.versions.get(partition, -1) < version:
                raise Violation(f"P6: the version of {partition} was {version}, and is {seen.versions.get(partition)}")
        self._versions = seen.versions

    def _check_bytes(self, seen: Seen) -> None:
        kept = seen.kept()
        for place, digests in seen.links.items():
            for digest in digests:
                if digest not in kept:
                    raise Violation(f"I1: {place} links {digest[:8]}, which is not stored")
                if (place.connector, digest) not in seen.holders:
                    raise Violation(f"P1: {place} links {digest[:8]}, which its connector does not hold")
        for digest, generation, state in seen.generations:
            if state == "condemned":
                continue
            if state == "quarantined" and generation not in self.spoiled:
                raise Violation(f"{digest[:8]} is in quarantine though its bytes are right")
            try:
                data = self.world.file_of(Digest(digest), generation).read_bytes()
            except FileNotFoundError:
                raise Violation(f"I1: {digest[:8]} has no bytes, but it is {state}") from None
            if data != self.contents[digest] and generation not in self.spoiled:
                raise Violation(f"I1: the bytes of {digest[:8]} are others")

    def _check_claims(self, seen: Seen) -> None:
        kept = seen.kept()
        for holder, scope, _, digest in seen.claims:
            if digest not in kept:
                raise Violation(f"I3: {digest[:8]} is claimed, and not stored")
            if (holder, scope) in self.erased:
                raise Violation(f"a claim of {holder}/{scope} is there, which was erased")
        for (place, digest), claimed in list(self._claims.items()):
            if claimed.expires <= self.world.loop.now:
                del self._claims[place, digest]
                continue
            row = (place.connector, place.instance, slot(place.instance, place.stream, place.key), digest)
            if row not in seen.claims and not claimed.takers:
                raise Violation(f"I2: the upload of {digest[:8]} for {place} is forgotten")

    def _excuse(self, erasure: Asked, seen: Seen) -> None:
        """What somebody else uses while an erasure goes on may stay."""
        for digest in list(erasure.doomed):
            others = [user for user in seen.users(digest) if isinstance(user, Place) and not erasure.covers(user)]
            held = [user for user in seen.users(digest) if not isinstance(user, Place)]
            foreign = any(user[0] != _connector(erasure) for user in held)
            beside = any(digest in each.digests for each in erasure.beside)
            if others or foreign or beside:
                erasure.doomed.discard(digest)

    # -- at rest ---------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Nothing is under way, and everything was collected with no grace (I4)."""
        self.look()
        with self._telling():
            self._rest()

    def _rest(self) -> None:
        seen = self.see()
        used = {digest for _, digest in seen.holders} | {claim[-1] for claim in seen.claims}
        for digest, _, state in seen.generations:
            if digest not in used or state == "condemned":
                raise Violation(f"I4: {digest[:8]} is {state} and nobody holds it")
        linked = {(place.connector, digest) for place, digests in seen.links.items() for digest in digests}
        if seen.holders != linked:
            raise Violation(f"I4: holders without links, or links without holders: {seen.holders ^ linked}")
        if seen.leases:
            raise Violation("I4: there are leases")
        self._nothing_else()
        self._finished()
        self._running.clear()
        for place in self._possible:
            self._possible[place] = {seen.records.get(place): set()}

    def _nothing_else(self) -> None:
        directory = self.world.directory
        known = {self.world.file_of(Digest(digest), generation) for digest, generation, _ in self.see().generations}
        there = {path for path in (directory / "blobs").rglob("*") if path.is_file()}
        if known != there:
            raise Violation(f"I4: files and rows differ: {known ^ there}")
        empty = [path for path in (directory / "blobs").rglob("*") if path.is_dir() and not any(path.iterdir())]
        if empty and empty != [directory / "blobs"]:
            raise Violation(f"I4: empty folders: {empty}")
        living = {f"{each.store.blobs.staging.process}/lock" for each in self.world.started() if each.store}
        staged = {str(path.relative_to(directory / "staging")) for path in (directory / "staging").rglob("*/*")}
        if staged != living:
            raise Violation(f"I4: in staging: {staged ^ living}")

    def _finished(self) -> None:
        if self._central.execute("SELECT 1 FROM erasures WHERE state != 'done'").fetchone():
            raise Violation("an erasure was not finished")
        for instance, connector in self._central.execute(_ERASED).fetchall():
            self.erased.add((connector, instance))
        self._check(self.see())
        for db in (self._records, self._catalogue):
            if db.execute("SELECT 1 FROM outbox").fetchone():
                raise Violation("P7: an event was not drained")
        self._told_once()
        if self._records.execute("SELECT 1 FROM unlinked").fetchone():
            raise Violation("I4: a blob that lost its last link still waits to be released")

    def _told_once(self) -> None:
        """On the spine is each batch that was stored, once; those that were acknowledged are among them."""
        (stored,) = self._records.execute(_BATCHES).fetchone()
        events = [msgspec.json.decode(body) for (body,) in self._central.execute("SELECT body FROM spine")]
        told = [event for event in events if event["kind"] == "records.ingest"]
        if len(told) != stored:
            raise Violation(f"P7: {stored} batches were stored, and the spine has {len(told)}")
        sure = sum(_is_done(each.operation) and not each.operation.result.rejected for each in self._puts)
        puts = sum(event["puts"] for event in told)
        if not sure <= puts <= len(self._puts):
            raise Violation(f"P7: of {len(self._puts)} records {sure} were acknowledged, and the spine has {puts}")


def _is_done(operation: Operation) -> bool:
    return operation.task.done() and not operation.task.cancelled() and operation.error is None


def _connector(erasure: Asked) -> str:
    return erasure.operation.what.split()[1].split("/")[0]


def _require(place: Place | None) -> Place:
    assert place is not None
    return place


_RECORDS = """
SELECT c.name, p.instance, p.stream, r.key, CAST(r.data AS BLOB)
FROM records r JOIN partitions p ON p.id = r.part JOIN connectors c ON c.id = p.connector
"""
_LINKS = """
SELECT c.name, p.instance, p.stream, l.key, l.digest
FROM links l JOIN partitions p ON p.id = l.part JOIN connectors c ON c.id = p.connector
"""
_VERSIONS = """
SELECT c.name, p.instance, p.stream, p.version FROM partitions p JOIN connectors c ON c.id = p.connector
"""
_BATCHES = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'"
_ERASED = "SELECT id, connector FROM instances WHERE erased_at IS NOT NULL"
