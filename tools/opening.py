"""Opening a data directory from a command: its options, and the store itself.

`--option`, `BLOBSTORE_OPTION` and the key in DIR's `blobstore.toml` mean the same, in that order of precedence. How
records and blobs are kept is decided by the first command that makes the directory, and written into that file.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from blobstore.backends.where import FILE, Where
from blobstore.durable import make_folders
from blobstore.errors import BlobError, translated
from blobstore.locked import file_lock
from blobstore.space import NO_FLOOR, Floor
from records.errors import Invalid, RecordError
from records.layout import CENTRAL, CONFIGURATION, Topology, parts_of
from tools import database
from tools.configuration import add, configured, fix_ledger
from tools.directory import require_store, require_whole, tell_if_new
from tools.sizes import SIZE
from tools.where import KEYS, NOT_TOLD, Reached, location_of, reach_options, read_location

if TYPE_CHECKING:
    from records.store import RecordStore

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

TOPOLOGIES = [str(each) for each in Topology if each is not Topology.MEMORY]
"""What may be chosen: the topology of tests is lost with the process."""

FLOOR = Floor(bytes=256 << 20, inodes=1000)
"""What stays free where the operator says nothing: room to delete, to erase and to write the logs of databases."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Which data directory, how it keeps records and blobs (None: as it does already), what stays free on its disk.

    `ledger` is the erasure ledger's file, where it is not in the directory. `database_url` says where the database of
    the topology `postgres` is, `reached` how a store of S3 is reached. `secret_file` has the secret where the
    directory has it not.
    """

    data: Path
    topology: str | None
    blobs: str | None
    floor: Floor = FLOOR
    ledger: Path | None = None
    database_url: str | None = field(default=None, repr=False)
    reached: Reached = NOT_TOLD
    secret_file: Path | None = None

    @property
    def where_there(self) -> Where | None:
        """Where the directory's bytes live, else where they are asked to; None where only the database says.

        Raises `click.ClickException`.
        """
        known = configured(self.data / CONFIGURATION)
        _require_same(self, known)
        if self.blobs is None and "blobs" not in known and self.topology_there is Topology.POSTGRES:
            return None
        return self.reached.or_else(Reached.known(known)).at(self.blobs or location_of(known))

    @property
    def parts(self) -> Sequence[str]:
        """What the directory has once it was served. Raises `click.ClickException`."""
        return parts_of(self.topology_there, self.where_there, self.secret_file)

    async def open(self, *, floor: Floor = NO_FLOOR) -> "RecordStore":
        """Open, or make, the directory. Raises `click.ClickException`, and as `RecordStore.open`."""
        from records.store import RecordStore  # here, for who writes to a server opens none

        return await RecordStore.open(
            self.data,
            floor=floor,
            ledger=self.ledger,
            topology=self.topology_there,
            database_url=self.database_url,
            where=self.where_there,
            secret_file=self.secret_file,
        )

    @property
    def topology_there(self) -> Topology:
        """The directory's, else the one that is asked for. Raises `click.ClickException` where these differ."""
        known = configured(self.data / CONFIGURATION)
        _require_same(self, known)
        return _topology(self.topology or known.get("topology", Topology.SINGLE))


def store_options(command: F) -> F:
    """Give a command `--data` and the options for records and blobs; it receives them as `opening`."""
    return _with_options(command, required=True)


def store_options_if_any(command: F) -> F:
    """The same for a command that needs no data directory: without `--data`, `opening` is None."""
    return _with_options(command, required=False)


def _with_options(command: F, *, required: bool) -> F:
    @functools.wraps(command)
    def gathered(
        *args: Any,
        data: Path | None,
        topology: str | None,
        blobs: str | None,
        ledger: Path | None,
        database_url: str | None,
        secret_file: Path | None,
        min_free: int,
        min_free_inodes: int,
        **options: Any,
    ) -> object:
        floor = Floor(min_free, min_free_inodes)
        source = click.get_current_context().get_parameter_source
        # What the directory has may change before it is opened: records and blobs move.
        topology = None if source("topology") is ParameterSource.DEFAULT_MAP else topology
        blobs = None if source("blobs") is ParameterSource.DEFAULT_MAP else blobs
        options |= {name: None for name in KEYS if source(name) is ParameterSource.DEFAULT_MAP}
        told = (topology, blobs, floor, ledger, database_url, Reached.taken(options), secret_file)
        opening = None if data is None else Opening(data, *told)
        return command(*args, opening=opening, **options)

    for option in (
        click.option(
            "--secret-file",
            envvar="BLOBSTORE_SECRET_FILE",
            callback=_absolute,
            type=click.Path(path_type=Path, dir_okay=False),
            help="What has the 32 bytes of the store's secret; DIR/secret unless told.",
        ),
        click.option(
            "--ledger",
            envvar="BLOBSTORE_LEDGER",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Where erasures are written down; DIR/erasures.ledger unless told.",
        ),
        click.option(
            "--min-free-inodes",
            envvar="BLOBSTORE_MIN_FREE_INODES",
            type=click.IntRange(0),
            default=FLOOR.inodes,
            show_default=True,
            help="Files that the disk must still have room for, to take anything in.",
        ),
        click.option(
            "--min-free",
            envvar="BLOBSTORE_MIN_FREE",
            type=SIZE,
            default=f"{FLOOR.bytes >> 20}MiB",
            show_default=True,
            help="Bytes that must stay free on the disk, to take anything in.",
        ),
        reach_options,
        click.option(
            "--blobs",
            envvar="BLOBSTORE_BLOBS",
            metavar="file|s3://BUCKET/PREFIX",
            callback=read_location,
            help="Where bytes live.",
        ),
        click.option(
            "--database-url",
            envvar="BLOBSTORE_DATABASE_URL",
            callback=database.read_option,
            help="Where the database of the topology postgres is: postgresql://USER@HOST:PORT/NAME.",
        ),
        click.option(
            "--topology", envvar="BLOBSTORE_TOPOLOGY", type=click.Choice(TOPOLOGIES), help="Where records live."
        ),
        click.option(
            "--data",
            envvar="BLOBSTORE_DATA",
            required=required,
            is_eager=True,
            callback=_read_configuration,
            type=click.Path(path_type=Path, file_okay=False),
            help="The data directory.",
        ),
    ):
        gathered = option(gathered)
    return gathered  # type: ignore[return-value]  # click's decorators keep the callable, not its signature


def configure(opening: Opening, *, opened: bool = True) -> None:
    """Make the directory if need be and fix its topology and blob backend; refuse others than it has.

    Not `opened` yet: where the database, the store of S3 or the secret is, is not written down before it proved right.
    Raises `click.ClickException`, `StorageUnavailable`. Any number of processes may call at once.
    """
    with translated(str(opening.data)):
        make_folders(opening.data, 0o700)
    path = opening.data / CONFIGURATION
    with file_lock(opening.data / "blobstore.lock"):
        known = configured(path)
        database.require_told(opening.database_url, opening.topology, known)
        _require_same(opening, known)
        in_database = known.get("topology", opening.topology) == Topology.POSTGRES
        if in_database and "database_url" not in known and not opened:
            return
        if "topology" not in known:
            add(path, "topology", opening.topology or Topology.SINGLE)
        where = opening.where_there
        if opened or (where is not None and where.is_files):
            _fix_place(opening, where, known)
        if opened and opening.secret_file is not None and "secret_file" not in known:
            add(path, "secret_file", str(opening.secret_file))
        if in_database and "database_url" not in known:
            add(path, "database_url", database.without_password(opening.database_url))
        if opening.ledger is not None:
            fix_ledger(opening.data, path, known.get("ledger"), opening.ledger)


def _fix_place(opening: Opening, where: Where | None, known: Mapping[str, Any]) -> None:
    """Write down where bytes live, unless the database alone says so (None), and how a store of S3 is reached."""
    path = opening.data / CONFIGURATION
    if "blobs" not in known and where is not None:
        add(path, "blobs", opening.blobs or FILE)
    if where is None or not where.is_files:
        for name, value in opening.reached.written().items():
            if name not in known:
                add(path, name, value)


def _require_same(opening: Opening, known: Mapping[str, Any]) -> None:
    for name, wanted, move in (
        ("topology", opening.topology, "`blobstore topology migrate` moves it"),
        ("blobs", opening.blobs, "`blobstore blobs migrate` moves them"),
    ):
        there = location_of(known) if name == "blobs" and name in known else known.get(name, wanted)
        if wanted is not None and there != wanted:
            raise click.ClickException(f"{opening.data} keeps {name} = {known[name]!r}, not {wanted!r}; {move}")


def _topology(name: str) -> Topology:
    if name not in TOPOLOGIES:
        raise click.ClickException(f"there is no topology {name!r}; there are {', '.join(TOPOLOGIES)}")
    return Topology(name)


@asynccontextmanager
async def open_existing(opening: Opening) -> "AsyncIterator[RecordStore]":
    """Open a directory that is a store already; never makes one."""
    require_store(opening.data)
    if opening.topology_there.is_files and not (opening.data / CENTRAL).exists():  # to open it would make an empty one
        require_whole(opening.data, opening.parts)
    async with open_store(opening) as store:
        yield store


@asynccontextmanager
async def open_store(opening: Opening) -> "AsyncIterator[RecordStore]":
    """Open the directory, made if need be; that is told."""
    tell_if_new(opening.data)
    configure(opening, opened=False)
    store = await opening.open(floor=opening.floor)
    try:
        configure(opening)
        yield store
    finally:
        await store.close()


def run_with_store(opening: Opening, work: "Callable[[RecordStore], Awaitable[T]]", *, make: bool = False) -> T:
    """Run `work` on the opened store, with `messages`."""

    async def run() -> T:
        async with open_store(opening) if make else open_existing(opening) as store:
            return await work(store)

    with messages():
        return asyncio.run(run())


@contextmanager
def messages() -> Iterator[None]:
    """What the layers below and the disk raise becomes a message and exit code 1."""
    try:
        yield
    except (BlobError, RecordError, OSError) as error:
        named = f" ({error.param})" if isinstance(error, Invalid) and error.param else ""
        raise click.ClickException(f"{error}{named}") from error


def _absolute(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    return None if value is None else value.absolute()


def _read_configuration(context: click.Context, _: click.Parameter, data: Path | None) -> Path | None:
    if data is None:
        return None
    context.default_map = {**configured(data / CONFIGURATION), **(context.default_map or {})}
    return data
