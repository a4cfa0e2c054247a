"""What stands in the navigation of every page: address and name, in this order."""

NAVIGATION = (
    ("/console", "Overview"),
    ("/console/connectors", "Connectors"),
    ("/console/attachments", "Attachments"),
    ("/console/grants", "Grants"),
    ("/console/spine", "Audit log"),
    ("/console/export", "Export"),
    ("/console/erase", "Erase"),
)
