"""The sink that writes to a server over HTTP."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from blobstore.client.answers import Rejection, Stored
from blobstore.client.calls import ATTEMPTS
from blobstore.client.client import connect
from blobstore.client.connector import Connector
from blobstore.client.content import Content
from blobstore.client.errors import (
    ClientError,
    Conflict,
    ContentChanged,
    Forbidden,
    NoRoom,
    NotAnAddress,
    NotFound,
    ServerError,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from blobstore.client.errors import Refused as RefusedByServer
from tools.sink import Refused, Sink, SinkError

_ADVICE: tuple[tuple[type[ClientError], str], ...] = (
    (Unauthorized, "the server does not accept the token; make a new one with `blobstore token create`"),
    (Forbidden, "the token may not write; use an owner token (`blobstore token create`)"),
    (NotFound, "the server does not know what was asked for; is --server the address of a blobstore server?"),
    (Conflict, "the connector is being erased or changed; run again when that has ended"),
    (NoRoom, "the server's storage is full; make room there and run again"),
)


class HttpSink:
    """A `Sink` over a client."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    async def register(self, manifest: Mapping[str, Any]) -> None:
        with _translated():
            await self._connector.register(manifest)

    async def load_state(self) -> dict[str, Any]:
        with _translated():
            try:
                return await self._connector.state()
            except NotFound:  # the connector is registered; an account that was erased refuses the first write
                return {}

    async def save_state(self, state: Mapping[str, Any]) -> None:
        with _translated():
            await self._connector.save_state(state)

    async def upload(
        self, content: Content, *, size: int | None, stream: str, record_key: str, mime_type: str
    ) -> Stored:
        with _translated():
            return await self._connector.upload(
                content, stream=stream, record_key=record_key, mime_type=mime_type, size=size
            )

    async def ingest(self, stream: str, lines: Sequence[bytes]) -> list[Rejection]:
        with _translated():
            return await self._connector.ingest(stream, lines)


@contextmanager
def _translated() -> Iterator[None]:
    """What is wrong, in the words of a command that can be run again."""
    try:
        yield
    except (RefusedByServer, ContentChanged) as error:
        raise Refused(_said(error)) from None
    except Unreachable as error:
        what = "see that the address is right and the server runs; the same command goes on where it stopped"
        raise SinkError(f"{error}; {what}") from None
    except Unavailable as error:
        raise SinkError(f"{error}; run the same command again later, it goes on where it stopped") from None
    except NotAnAddress as error:
        raise SinkError(str(error).replace("the server's address", "--server")) from None
    except ServerError as error:
        advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "the server cannot be used")
        raise SinkError(f"{advice} ({error})") from None
    except ClientError as error:
        raise SinkError(str(error)) from None


def _said(error: ClientError) -> str:
    """Why one item is refused."""
    if isinstance(error, ServerError):
        return f"{error.code}: {error.message}" if error.code else f"the server refused it ({error.status})"
    return str(error)


@asynccontextmanager
async def open_http_sink(
    server: str, token: str, connector_id: str, instance_id: str | None = None, *, attempts: int = ATTEMPTS
) -> AsyncIterator[Sink]:
    """A sink that writes to the server at address `server` as the owner whose token it is.

    Raises `SinkError` when `server` is no address to write to. Nothing is sent before the first call.
    """
    async with AsyncExitStack() as stack:
        with _translated():
            client = await stack.enter_async_context(connect(server, token, attempts=attempts))
        yield HttpSink(client.connector(connector_id, instance_id))
