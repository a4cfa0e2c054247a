"""HTTP Basic (RFC 7617), as one server shows another who it is. No I/O."""

import base64
import binascii
import hmac
from collections.abc import Mapping


def header(client_id: str, secret: str) -> str:
    """The value of `Authorization`."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def is_known(value: str, clients: Mapping[str, str]) -> bool:
    """Whether this `Authorization` has the id of one of the clients and its secret; takes as long whatever is wrong."""
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return False
    # Every client is compared: how long it takes tells neither an id nor how far a secret was right.
    matches = [
        hmac.compare_digest(client_id.encode(), known.encode())
        & hmac.compare_digest(secret.encode(), expected.encode())
        for known, expected in clients.items()
    ]
    return any(matches)
