"""How a server is started. Values only: the commands read options, environment and files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blobstore.backends.where import IN_FILES, Where
from blobstore.space import NO_FLOOR, Floor
from records.consent.introspection import Expected
from records.layout import Topology

PDPP_VERSION = "2026-04-06"
"""The one version of the protocol that is spoken here."""

BACKLOG = 1024
"""Connections that wait to be accepted."""


@dataclass(frozen=True, slots=True)
class Introspect:
    """The authorization server that alone says what tokens stand for: where to ask it, and as whom."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True)
class Config:
    """Where to listen, and how long to wait for others.

    `port` 0 takes a free one. `drain` are the seconds that running requests get once the server is told to stop, after
    `drain_delay` seconds in which it serves on and says that it is not ready.
    `patience` are the seconds after which a client that stalls, trickles or stops reading is given up; within twice
    that nothing of it is left. `public_url` is the address that clients use, where a proxy stands in front; without
    it, the one that they reached. `history` are the seconds for which change tokens stay good. `validate_records`
    holds what is ingested against the schemas of its streams. `ledger` is the erasure ledger's file, where it is not in
    the data directory. Where less than `floor` is free on the data's disk, nothing more is taken in and the server says
    it is not ready. `topology`, `database_url`, `where` and `secret_file` are how the directory keeps records and
    blobs, as in `RecordStore.open`.

    `sendfile`: the proxy in front reads blobs that are files by itself, where it says that it can; see
    `server.delegated`. `redirect_seconds`: where the store of the bytes can give them out by itself, clients are sent
    there with an address that is good for so long; see `server.redirected`.

    At most `max_uploads` bodies of blobs and `max_ingests` of records are received at once; who comes on top waits for
    `slot_wait` seconds.

    `metrics_token` opens `/metrics`, which without one is for programs of this machine alone.

    A resumable upload is kept for `upload_expiry` seconds after its last part.

    `log_requests` writes a line for each request. `otlp_endpoint` is the address of an OpenTelemetry collector to which
    traces go.

    `introspect` names the authorization server in a separated deployment; without it the store's own tokens are good.
    `authorization_servers` are issuers that clients are sent to. `introspect_clients` are the ids and secrets of other
    resource servers, which may ask this one about tokens.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    drain: float = 30.0
    drain_delay: float = 0.0
    patience: float = 30.0
    public_url: str | None = None
    history: float = 90 * 24 * 3600.0
    validate_records: bool = False
    ledger: Path | None = None
    floor: Floor = NO_FLOOR
    topology: Topology = Topology.SINGLE
    database_url: str | None = field(default=None, repr=False)
    where: Where | None = IN_FILES
    secret_file: Path | None = None
    max_uploads: int = 64
    max_ingests: int = 16
    slot_wait: float = 2.0
    upload_expiry: float = 24 * 3600.0
    sendfile: bool = False
    redirect_seconds: int | None = None
    metrics_token: str | None = field(default=None, repr=False)
    log_requests: bool = False
    otlp_endpoint: str | None = None
    introspect: Introspect | None = None
    authorization_servers: tuple[str, ...] = ()
    introspect_clients: Mapping[str, str] = field(default_factory=dict, repr=False)
