"""Schema versions of a directory's database, where it has one: shown, and brought to the latest.

Only what is there is looked at. A process that opens the schemas takes all their steps: none is left for a sweep.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

from blobstore.catalogues.postgres.schema import SCHEMA as CATALOGUE
from blobstore.catalogues.postgres.schema import STEPS as CATALOGUE_STEPS
from blobstore.errors import MovedAway, NewerVersion, StorageUnavailable
from blobstore.postgres import Database
from blobstore.postgres.migrations import MOVED, Step, applied, migrate
from blobstore.sqlite.outside import Standing, State
from records.centrals.postgres.schema import SCHEMA as CENTRAL
from records.centrals.postgres.schema import STEPS as CENTRAL_STEPS
from records.engines.postgres import SCHEMA as RECORDS
from records.engines.postgres.tables import STEPS as RECORDS_STEPS
from records.versions import FileVersion

STEPS: Mapping[str, Sequence[Step]] = {CENTRAL: CENTRAL_STEPS, CATALOGUE: CATALOGUE_STEPS, RECORDS: RECORDS_STEPS}


async def schema_versions(url: str, *, finish: bool) -> AsyncIterator[FileVersion]:
    """Every schema of ours that the database has, as it is; with `finish`, as it is when all its steps were taken.

    A version is the number of steps that were taken.
    """
    database = await Database.open(url)
    try:
        for schema, steps in STEPS.items():
            standing = await _standing(database, schema, steps, finish=finish)
            if standing is not None:
                yield FileVersion(f"schema {schema}", schema, standing)
    finally:
        await database.close()


async def _standing(database: Database, schema: str, steps: Sequence[Step], *, finish: bool) -> Standing | None:
    try:
        done = await applied(database, schema)
        if done and finish:
            with suppress(NewerVersion, MovedAway):
                await migrate(database, schema, steps)
            done = await applied(database, schema)
    except StorageUnavailable:
        return Standing(None, len(steps), State.UNREADABLE)
    return Standing(len(done), len(steps), _state(done, [step.name for step in steps])) if done else None


def _state(done: Mapping[str, bool], known: Sequence[str]) -> State:
    if MOVED in done:
        return State.MOVED
    unknown = done.keys() - known
    if unknown:
        return State.AHEAD if all(done[name] for name in unknown) else State.REFUSED
    return State.CURRENT if done.keys() == set(known) else State.BEHIND
