"""One bucket, and what all who use it share: its client, the gate before calls, threads for requests side by side."""

from concurrent.futures import ThreadPoolExecutor

from blobstore.backends.s3.client import Access, connect
from blobstore.backends.s3.gate import Gate
from blobstore.backends.s3.versions import Versions

THREADS = 32
"""Calls at once: each waits for the network most of its time."""

SIDE_BY_SIDE = 8
"""Requests under way at once, of all calls together, that a call makes beside its own: parts, versions of many keys."""


class Bucket:
    """A connection to one bucket. Any number of threads may use it."""

    def __init__(self, access: Access, name: str) -> None:
        """Nobody is asked anything yet. Raises `StorageUnavailable`, which says what is wrong with the settings."""
        self.name = name
        self._gate = Gate()
        self.client = connect(access, THREADS + SIDE_BY_SIDE, self._gate)
        self.versions = Versions(self.client, name)
        self.threads = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="s3")

    def close(self) -> None:
        """Wait for what is under way, at most as long as one request may take. Harmless when called twice."""
        self._gate.close()
        self.threads.shutdown()
        self.client.close()
