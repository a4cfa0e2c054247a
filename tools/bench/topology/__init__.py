"""`blobstore bench topology`: what each topology costs as records and writers grow; docs/topology.md has the plots."""

from tools.bench.topology.command import topology

__all__ = ["topology"]
