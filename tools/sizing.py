"""`blobstore sizing`: what a number of owners needs, worked out from measured costs as docs/sizing.md shows."""

from dataclasses import dataclass, fields
from math import ceil, sqrt
from typing import Any

import click

from tools.output import json_option, listing

DAY = 86_400.0
MIB, GB = float(1 << 20), 1e9


@dataclass(frozen=True, slots=True)
class Usage:
    """What one owner keeps, and does in a day; assumed where nothing is told."""

    records: int = 20_000
    attachments: int = 500
    attachment_bytes: int = 1_000_000
    batches: float = 10.0
    pages: float = 50.0
    uploads: float = 2.0
    downloads: float = 20.0
    erasures: float = 0.01


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured. Of a request: milliseconds of processors (server, database) and requests to S3; of a row: bytes.

    A batch has 500 records, a page 100; an upload is counted with the record that names it. An erasure takes
    `erasure_seconds_gb` for each GB of the databases that it goes through.
    """

    batch: tuple[float, float]
    page: tuple[float, float]
    upload: tuple[float, float]
    download: tuple[float, float]
    record_bytes: int
    blob_row_bytes: int
    erasure_seconds_gb: float
    upload_s3: int
    download_s3: int
    erasure_s3: int


FILES = Costs((31.0, 0.0), (5.8, 0.0), (28.6, 0.0), (5.7, 0.0), 407, 2_048, 17.0, 0, 0, 0)
"""`single`, bytes in files."""

MACHINES = Costs((43.0, 23.0), (5.3, 2.3), (34.9, 15.1), (13.5, 2.7), 733, 8_601, 11.0, 1, 2, 20)
"""`postgres`, bytes in S3."""

PEAK = 5.0
"""The busiest hour has so many times the requests of the mean one."""

BUSY = 0.5
"""How busy processors should be at most."""

ERASING = 0.25
"""Of the time that a store spends on erasures at most, which go one after the other."""

CLIENT_RATE = 1e6
"""Bytes a second that a client sends."""

PROCESS_BYTES, UPLOAD_BYTES = 70 * MIB, 2.2 * MIB
"""Resident in an idle process; and more for each upload that goes on."""

POOL = 10
"""Connections to PostgreSQL of a process."""

MORE = 20
"""Connections of commands and of operators, to each database."""

CACHED = 0.1
"""Of the databases should be in memory."""


def needs(owners: int, usage: Usage, costs: Costs) -> dict[str, float]:
    """By figure, in the order of docs/sizing.md, where each has its formula."""
    done = (usage.batches, usage.pages, usage.uploads, usage.downloads)
    spent = (costs.batch, costs.page, costs.upload, costs.download)
    server, database = (
        owners * sum(rate * ms[part] for rate, ms in zip(done, spent, strict=True)) / 1000 / DAY * PEAK / BUSY
        for part in (0, 1)
    )
    at_once = owners * usage.uploads / DAY * PEAK * usage.attachment_bytes / CLIENT_RATE
    of_one = (usage.records * costs.record_bytes + usage.attachments * costs.blob_row_bytes) / GB
    most = sqrt(ERASING * DAY / (usage.erasures * costs.erasure_seconds_gb * of_one))
    stores = ceil(owners / most)
    processes = max(stores * (1 if costs is FILES else 2), ceil(server))
    daily = usage.uploads * costs.upload_s3 + usage.downloads * costs.download_s3 + usage.erasures * costs.erasure_s3
    return {
        "requests a second": owners * (sum(done) + usage.uploads) / DAY * PEAK,
        "cores of servers": server,
        "processes": processes,
        "memory of servers, GB": (processes * PROCESS_BYTES + at_once * UPLOAD_BYTES) / GB,
        "cores of PostgreSQL": database,
        "databases, GB": owners * of_one,
        "memory for databases, GB": owners * of_one * CACHED,
        "connections": 0 if costs is FILES else processes * POOL + stores * MORE,
        "blobs, GB": owners * usage.attachments * usage.attachment_bytes / GB,
        "staging, GB": at_once * usage.attachment_bytes / GB,
        "requests to S3 a day": owners * daily,
        "owners of one store at most": most,
        "stores": stores,
    }


def _usage_options(command: Any) -> Any:
    for each in reversed(fields(Usage)):
        name = "--" + each.name.replace("_", "-")
        told = "kept" if each.name.startswith(("records", "attachment")) else "a day"
        command = click.option(name, default=each.default, show_default=True, help=f"Of one owner, {told}.")(command)
    return command


@click.command()
@click.option("--owners", type=click.IntRange(1), required=True, help="How many.")
@click.option("--machines", is_flag=True, help="PostgreSQL and S3, instead of files on one machine.")
@_usage_options
@json_option
def sizing(owners: int, machines: bool, as_json: bool, **usage: Any) -> None:
    """Work out what so many owners need: a beginning, from costs measured on one machine (docs/sizing.md)."""
    found = needs(owners, Usage(**usage), MACHINES if machines else FILES)
    rows = [{"figure": figure, "value": shown(value)} for figure, value in found.items()]
    listing(rows, as_json=as_json, columns=("figure", "value"))


def shown(value: float) -> str:
    """The digits that count: two, from 10 upwards three."""
    if 0 < value < 0.01:
        return "under 0.01"
    if value < 10:
        return f"{value:.2g}"
    return f"{float(f'{value:.3g}'):,.0f}"
