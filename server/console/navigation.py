"""What stands in the navigation of every page, and which entry a page belongs to."""

NAVIGATION = (
    ("/console", "Overview"),
    ("/console/connectors", "Connectors"),
    ("/console/attachments", "Attachments"),
    ("/console/grants", "Grants"),
    ("/console/spine", "Audit log"),
    ("/console/export", "Export"),
    ("/console/erase", "Erase"),
)
"""Address and name, in this order."""

_WITHIN = {
    "/console/record": "/console/connectors",
    "/console/records": "/console/connectors",
    "/console/blobs": "/console/attachments",
    "/console/explain": "/console/attachments",
    "/console/erasure": "/console/erase",
}
"""Pages that are found from another one."""


def entry_of(path: str) -> str | None:
    """The address of the entry that a page belongs to; None for one that belongs to none.

    >>> entry_of("/console/grants/make"), entry_of("/console/records"), entry_of("/console/nothing")
    ('/console/grants', '/console/connectors', None)
    """
    section = "/".join(path.split("/")[:3])
    section = _WITHIN.get(section, section)
    return section if section in dict(NAVIGATION) else None
