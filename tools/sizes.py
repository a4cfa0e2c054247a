"""Numbers as people write them on a command line and in `blobstore.toml`."""

import math
import re
from decimal import Decimal
from typing import Any

import click

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(iB|B)?|B)?\Z", re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


class Size(click.ParamType[int]):
    """`1048576`, `256MiB`, `1.5G` (powers of 1024), `10GB` (powers of 1000)."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        match = _SIZE.match(str(value).strip())
        if match is None:
            self.fail("a number, and perhaps KiB, MiB, GiB, TiB or KB, MB, GB, TB", param, ctx)
        number, unit, suffix = match.groups()
        base = 1000 if (suffix or "").upper() == "B" else 1024
        return int(Decimal(number) * base ** (_POWERS[unit.upper()] if unit else 0))


SIZE = Size()


class Finite(click.FloatRange):
    """A number within bounds. `nan` is within any for click, and compares as no limit: a guard would never stop."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a number that can be counted with", param, ctx)
        return number
