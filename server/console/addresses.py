"""Addresses of the console's pages. What an owner stored stands in the query: a path may not hold every name."""

from urllib.parse import quote, urlencode

from records.model import Partition


def page(path: str, **named: str | None) -> str:
    """A page with these parameters, those that are None left out.

    >>> page("/console/records", connector="a/b", stream="x", cursor=None)
    '/console/records?connector=a%2Fb&stream=x'
    """
    query = urlencode({name: value for name, value in named.items() if value is not None})
    return f"{path}?{query}" if query else path


def records(connector: str, stream: str, instance: str | None = None) -> str:
    """The records of a stream."""
    return page("/console/records", connector=connector, instance=instance, stream=stream)


def record(place: Partition, key: str) -> str:
    """One record."""
    return page("/console/record", connector=place.connector, instance=place.instance, stream=place.stream, key=key)


def attachments(connector: str, stream: str | None = None) -> str:
    """The attachments of a connector, or of one stream."""
    return page("/console/attachments", connector=connector, stream=stream)


def blob(blob_id: str, part: str = "") -> str:
    """The page of a blob, or with `/content` or `/thumbnail` its bytes.

    >>> blob("blob_b3_00", "/content")
    '/console/blobs/blob_b3_00/content'
    """
    return f"/console/blobs/{quote(blob_id, safe='')}{part}"


def connectors(first: str | None = None) -> str:
    """The page of connectors, from this one on."""
    return page("/console/connectors", first=first)


def erase(connector: str, instance: str | None = None, stream: str | None = None, key: str | None = None) -> str:
    """The preview of an erasure."""
    return page("/console/erase", connector=connector, instance=instance, stream=stream, key=key)


def explain(blob_id: str) -> str:
    """Why a blob is there."""
    return page("/console/explain", blob=blob_id)


def erased(given: str) -> str:
    """Where who has the pass of an erasure of everything finds how it stands."""
    return page("/console/erased", **{"pass": given})
