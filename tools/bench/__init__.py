"""`blobstore bench`: the figures of docs/benchmarks.md, each as a ratio side by side in one run."""

import click

from tools.bench.bag import bag
from tools.bench.catalogue import catalogue
from tools.bench.connectors import connectors
from tools.bench.costs import costs
from tools.bench.gc import gc
from tools.bench.http import http_
from tools.bench.hydrate import hydrate
from tools.bench.memory import memory
from tools.bench.migrate import migrate
from tools.bench.records import records
from tools.bench.s3 import s3
from tools.bench.topology import topology
from tools.bench.workers import workers

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure speed and memory on this machine."""


bench.add_command(bag)
bench.add_command(catalogue)
bench.add_command(connectors)
bench.add_command(costs)
bench.add_command(gc)
bench.add_command(http_)
bench.add_command(hydrate)
bench.add_command(memory)
bench.add_command(migrate)
bench.add_command(records)
bench.add_command(s3)
bench.add_command(topology)
bench.add_command(workers)
