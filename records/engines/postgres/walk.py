"""The way through partitions in one order: a page's statement, and its values."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from blobstore.postgres import Connection, Record
from records.engines.postgres.rows import BUDGETED, COLUMNS, PIECE, PIECE_BYTES
from records.engines.postgres.schema import listed, part_of
from records.model import Order, Partition, Position, SortKey

Placed = tuple[Partition, Record]

FEW = 16
"""Partitions that are each read as far as the whole page goes. Of more, a little is read of each, then what is missing.
"""

_ABOVE_ALL = b"\xff"
"""Above every cursor value: their first bytes are tags."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Through partitions in one order."""

    places: Sequence[Partition]
    order: Order

    @property
    def sql(self) -> str:
        """The statement; `$1` is the owner."""
        return (_FEW if len(self.places) <= FEW else _MANY)[self.order]

    def values(self, after: Position | None, limit: int, max_bytes: int | None) -> Sequence[object]:
        """Of the statement. It goes through each partition twice: records with a cursor field, then those without."""
        runs = [
            (part_of(place), absent, *self._bound(place, absent, after))
            for absent in (False, True)
            if after is None or absent >= after.sort.absent
            for place in self.places
        ]
        values = *([run[n] for run in runs] for n in range(5)), limit, max_bytes
        return values if len(self.places) <= FEW else (*values, max(1, 2 * limit // len(self.places)))

    def _bound(self, place: Partition, absent: bool, after: Position | None) -> tuple[bytes, bytes, bool]:
        """From which (cursor, key) on, and whether itself is meant: equal sort keys are told apart by partition."""
        if after is None or after.sort.absent != absent:
            return (b"" if self.order is Order.ASC else _ABOVE_ALL), b"", True
        later = place > after.partition if self.order is Order.ASC else place < after.partition
        return after.sort.cursor, after.key.encode(), later

    def placed(self, rows: Iterable[Record]) -> Iterator[Placed]:
        """The rows with their partitions."""
        count = len(self.places)
        return ((self.places[(row["n"] - 1) % count], row) for row in rows)

    async def pieces(
        self, db: Connection, owner: str, after: Position | None
    ) -> AsyncGenerator[Sequence[Placed], None]:
        """All rows, in pieces of bounded size."""
        while True:
            rows = await db.fetch(self.sql, owner, *self.values(after, PIECE, PIECE_BYTES))
            piece = list(self.placed(row for row in rows if row["data"] is not None))
            yield piece
            if len(rows) < PIECE and len(piece) == len(rows):
                return
            place, row = piece[-1]
            after = Position(SortKey(row["absent"], row["cursor"]), place, row["key"].decode())


_RUNS = """
unnest($2::bytea[], $3::bool[], $4::bytea[], $5::bytea[], $6::bool[]) WITH ORDINALITY
    AS w(part, absent, cursor, key, itself, n)
"""


class _Text:
    """Statements in one order."""

    def __init__(self, order: Order) -> None:
        self.beyond, self.upto, self.direction = (">", "<", "ASC") if order is Order.ASC else ("<", ">", "DESC")
        self.last = "'\\xff'" if order is Order.ASC else "''"
        self.ordered = f"absent, cursor {self.direction}, key {self.direction}, n {self.direction}"

    def run(self, columns: str, limit: str) -> str:
        """Rows `r` of the run `w`."""
        return f"""
            SELECT {columns} FROM records.records r
            WHERE r.owner = $1 AND {listed("r.part")} = {listed("w.part")} AND r.absent = w.absent
                AND (r.cursor, r.key) {self.beyond}= (w.cursor, w.key)
                AND (w.itself OR (r.cursor, r.key) <> (w.cursor, w.key))
            ORDER BY r.cursor {self.direction}, r.key {self.direction} LIMIT {limit}"""

    def few(self) -> str:
        """Each partition is read as far as the page may go."""
        rows = f"""
            SELECT w.n, r.* FROM {_RUNS} CROSS JOIN LATERAL ({self.run(COLUMNS, "$7")}) AS r
            ORDER BY {self.ordered} LIMIT $7"""
        return BUDGETED.format(rows=rows, order=self.ordered, more="", budget="$8::bigint")

    def many(self) -> str:
        """A few rows of each partition (`first`) tell beyond which row none is wanted (`bound`).

        Only of partitions whose rows ended before it more is read (`rest`), up to it. Data is read in the end.
        """
        rows = f"""
            WITH runs AS MATERIALIZED (SELECT * FROM {_RUNS}),
            first AS MATERIALIZED (
                SELECT w.n, w.part, r.*, row_number() OVER (
                    PARTITION BY w.n ORDER BY r.cursor {self.direction}, r.key {self.direction}
                ) AS place
                FROM runs w CROSS JOIN LATERAL ({self.run("absent, cursor, key, version", "$9")}) AS r
            ),
            bound AS MATERIALIZED (
                SELECT absent, cursor, key, n FROM first ORDER BY {self.ordered} OFFSET $7 - 1 LIMIT 1
            ),
            rest AS (
                SELECT f.n, f.part, r.* FROM first f LEFT JOIN bound b ON true
                CROSS JOIN LATERAL (
                    SELECT absent, cursor, key, version FROM records.records r
                    WHERE r.owner = $1 AND {listed("r.part")} = {listed("f.part")} AND r.absent = f.absent
                        AND (r.cursor, r.key) {self.beyond} (f.cursor, f.key)
                        AND (r.cursor, r.key) {self.upto}= (
                            CASE WHEN b.absent = f.absent THEN b.cursor ELSE {self.last} END,
                            CASE WHEN b.absent = f.absent THEN b.key ELSE '' END
                        )
                    ORDER BY r.cursor {self.direction}, r.key {self.direction} LIMIT $7
                ) AS r
                WHERE f.place = $9 AND (
                    b.n IS NULL OR f.absent < b.absent
                    OR f.absent = b.absent AND (f.cursor, f.key) {self.upto} (b.cursor, b.key)
                )
            ),
            chosen AS (
                SELECT n, part, absent, cursor, key, version FROM first
                UNION ALL SELECT * FROM rest ORDER BY {self.ordered} LIMIT $7
            )
            SELECT c.n, r.* FROM chosen c CROSS JOIN LATERAL (
                SELECT {COLUMNS} FROM records.records r
                WHERE r.owner = $1 AND r.part = c.part AND r.version = c.version LIMIT 1
            ) AS r"""
        return BUDGETED.format(rows=rows, order=self.ordered, more="", budget="$8::bigint")


_FEW = {order: _Text(order).few() for order in Order}
_MANY = {order: _Text(order).many() for order in Order}
