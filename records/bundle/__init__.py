"""One connector's data in a folder that goes to another owner or server: a bag, a part of the audit log, a signature.

bag/            what the connector brought, as an export gives it (`records.bag`): manifest, records as text and in
                `data/records.sqlite`, attached files, sync state, claims
spine.ndjson    the audit log: every event about the connector, and of all others the hash
bundle.json     which bag, which log, which connector, and the head of the log: signed
erasure.json    which erasure took it at the source, if one does; its receipt once it is done
"""
