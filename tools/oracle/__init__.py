"""`blobstore oracle`: whether servers answer alike, whatever they keep their records in.

The same requests, made from a seed, go to every server; what comes back must be the same, byte for byte. What a server
makes by itself must correspond: the id that one of them gave to a grant stands, in every later answer and request, for
the one that the other gave to it.
"""

import asyncio
import json
import time
from collections.abc import Sequence

import aiohttp
import click

from tools.oracle.request import Answer, shown
from tools.oracle.run import Difference, Outcome, Target
from tools.oracle.run import run as run_requests

EPILOG = """All servers must hold the same for the owners of these tokens, best nothing at all; afterwards they are full
of what the requests wrote."""


@click.command(epilog=EPILOG)
@click.option("--base-url", "urls", multiple=True, required=True, help="A server's address; two or more times.")
@click.option(
    "--token",
    "tokens",
    multiple=True,
    required=True,
    envvar="BLOBSTORE_ORACLE_TOKEN",
    help="An owner's token, for each server in the same order.",
)
@click.option(
    "--other-token",
    "others",
    multiple=True,
    envvar="BLOBSTORE_ORACLE_OTHER_TOKEN",
    help="Another owner's, for each server in the same order; as many owners as you like. They are erased.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="What the requests are made from.")
@click.option("--requests", type=click.IntRange(1), default=20_000, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print the shapes as an array of objects for programs.")
def oracle(
    urls: Sequence[str], tokens: Sequence[str], others: Sequence[str], seed: int, requests: int, as_json: bool
) -> None:
    """Send the same requests to several servers; exit 1 where one answers otherwise than the first."""
    targets = _targets(urls, tokens, others)
    began = time.monotonic()
    try:
        outcome = asyncio.run(run_requests(targets, seed, requests))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise click.ClickException(f"a server does not answer: {error or type(error).__name__}") from error
    tell(outcome, time.monotonic() - began, as_json=as_json)
    if outcome.difference is not None:
        raise click.ClickException(described(outcome.difference, seed))


def _targets(urls: Sequence[str], tokens: Sequence[str], others: Sequence[str]) -> list[Target]:
    count = len(urls)
    if count < 2:
        raise click.UsageError("--base-url: name two servers or more")
    if len(tokens) != count or len(others) % count:
        raise click.UsageError("--token, --other-token: one for each server, in the order of --base-url")
    return [Target(url, tokens[at], tuple(others[at::count])) for at, url in enumerate(urls)]


def tell(outcome: Outcome, seconds: float, *, as_json: bool = False) -> None:
    """Print how often each shape was, and how fast it all went."""
    total = outcome.shapes.total()
    rows = [
        {"shape": shape, "requests": count, "share": count / total} for shape, count in outcome.shapes.most_common()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for row in rows:
            click.echo(f"{row['requests']:6} {row['share']:8.3%}  {row['shape']}")
    click.echo(f"{total} requests of {len(rows)} shapes, {total / seconds:.0f} a second", err=as_json)


def described(difference: Difference, seed: int) -> str:
    """A difference for people: how to see it again, what was asked, and what came."""
    return "\n".join(
        (
            f"request {difference.number} of seed {seed} is answered otherwise by {difference.server}:",
            difference.message,
            "",
            str(difference.request),
            *("" if each is None else _answer(each) for each in (difference.ours, difference.theirs)),
        )
    )


def _answer(answer: Answer) -> str:
    head = "\n".join(f"{name}: {value}" for name, value in answer.headers)
    return f"\n{answer.status} {answer.reason}\n{head}\n\n{shown(answer.body)}"
