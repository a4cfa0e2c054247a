"""What grants are made of and made into, by the route of our own that makes them."""

from typing import Any

from tests.conformance.http.api import Answer, Api, Connector


async def grant(connector: Connector, *streams: dict[str, Any], **members: Any) -> Answer:
    """Ask for a grant on these streams of the connector."""
    body = {"client_id": "an-app", "connector_id": connector.id, "streams": list(streams), **members}
    return await connector.api.call("POST", "/v1/owner/grants", body=body)


async def client(connector: Connector, *streams: dict[str, Any], **members: Any) -> Connector:
    """The connector as a client with such a grant sees it."""
    answer = await grant(connector, *streams, **members)
    assert answer.status == 201, answer.body
    return holding(connector, answer.json["token"])


def holding(connector: Connector, token: str) -> Connector:
    """The connector as the caller with this token sees it."""
    return Connector(Api(connector.api.session, connector.api.base_url, token), connector.id)
