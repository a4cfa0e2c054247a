"""How a server is started. Values only: the commands read options, environment and files."""

from dataclasses import dataclass

PDPP_VERSION = "2026-04-06"
"""The one version of the protocol that is spoken here."""


@dataclass(frozen=True, slots=True)
class Config:
    """Where to listen, and how long to wait for others.

    `port` 0 takes a free one. `drain` are the seconds that running requests get once the server is told to stop.
    `patience` are the seconds after which a client that stalls, trickles or stops reading is given up; within twice
    that nothing of it is left. `public_url` is the address that clients use, where a proxy stands in front; without
    it, the one that they reached. `history` are the seconds for which change tokens stay good. Below `min_free` free
    bytes on the data's disk the server says it is not ready.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    drain: float = 30.0
    patience: float = 30.0
    public_url: str | None = None
    history: float = 90 * 24 * 3600.0
    min_free: int = 256 << 20
