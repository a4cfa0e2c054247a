"""`blobstore sizing`, and the page that shows its sums."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.cli import main
from tools.sizing import FILES, MACHINES, Costs, Usage, needs

PAGE = (Path(__file__).parents[2] / "docs" / "sizing.md").read_text()
COLUMNS = (("1",), ("1000",), ("1000", "--machines"), ("1000000", "--machines"))


def sizing(*arguments: str) -> dict[str, str]:
    result = CliRunner().invoke(main, ["sizing", "--json", "--owners", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return {row["figure"]: row["value"] for row in json.loads(result.stdout)}


def test_the_page_shows_what_the_command_says() -> None:
    columns = [sizing(*arguments) for arguments in COLUMNS]
    wanted = [[figure, *(column[figure] for column in columns)] for figure in columns[0]]
    _, _, results = PAGE.partition("## Results")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", results, re.M)]
    assert rows[2:] == wanted


@pytest.mark.parametrize(("costs", "column"), [(FILES, 0), (MACHINES, 1)], ids=["files", "machines"])
def test_the_sums_start_from_the_rows_and_seconds_that_the_page_shows(costs: Costs, column: int) -> None:
    for name, value in (("a record of 275 bytes", costs.record_bytes), ("a blob: its row", costs.blob_row_bytes)):
        (row,) = re.findall(rf"^\| {name}[^|]*\|(.*)\|$", PAGE, re.M)
        assert row.split("|")[column].strip() == f"{value:,}"
    seconds = f"{costs.erasure_seconds_gb:g} ({('files', 'PostgreSQL')[column]})"
    assert seconds in PAGE


def test_the_sums_start_from_the_times_that_the_page_shows() -> None:
    def times(request: str) -> list[float]:
        (row,) = re.findall(rf"^\| {request} \|(.*)\|$", PAGE, re.M)
        return [float(cell.split()[0]) for cell in row.split("|")[:3]]

    def of(kind: str) -> list[float]:
        return [getattr(FILES, kind)[0], *getattr(MACHINES, kind)]

    upload = [sum(pair) for pair in zip(times("upload of 100 kB"), times("the record that names it"), strict=True)]
    assert of("batch") == times("ingest of 500 records of 275 bytes")
    assert of("page") == times("page of 100 records")
    assert of("download") == times("download of 100 kB")
    assert of("upload") == pytest.approx(upload, abs=0.15)


def test_twice_the_owners_need_twice_the_processors() -> None:
    one, two = (needs(owners, Usage(), MACHINES) for owners in (10**6, 2 * 10**6))
    for figure in ("cores of servers", "cores of PostgreSQL", "blobs, GB", "requests to S3 a day"):
        assert two[figure] == pytest.approx(2 * one[figure])


def test_each_store_has_as_many_owners_as_it_has_time_to_erase() -> None:
    usage = Usage(erasures=0.1)
    found = needs(10**6, usage, MACHINES)
    owners = found["owners of one store at most"]
    gigabytes = found["databases, GB"] / 10**6 * owners
    assert owners * usage.erasures * gigabytes * MACHINES.erasure_seconds_gb == pytest.approx(0.25 * 86_400)
    assert found["stores"] * owners >= 10**6
    assert found["processes"] >= 2 * found["stores"]


def test_costs_of_a_store_of_s3_are_not_measured_past_it() -> None:
    result = CliRunner().invoke(main, ["bench", "costs", "--blobs", "s3://bucket/prefix"])
    assert result.exit_code == 2
    assert "give --s3-endpoint" in result.output
