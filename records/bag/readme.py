"""What a bag says to the person who gets it."""

README = """\
# Your data

This folder is a complete copy of what a personal data store held of the sources named in `data/connectors.ndjson`: the
records, the files attached to them, and what their collectors remembered. Nothing in it needs that store, or any
particular program.

## Look at it

- `data/records.sqlite` has all records as a database, with one view for each stream. Open it with DB Browser for
  SQLite, with `datasette data/records.sqlite`, or with `sqlite3`. The table `attachments` says which record has which
  files, under which names; `blobs.path` where each file is.
- `data/records/` has the same records as text: one line of JSON each, in one file for each stream of an account.
  `key` is the record's name in its stream, `data` what the source said, `emitted_at` when it was collected.
- `data/blobs/` has the attached files. They are named by their content, so that each is there once however often it
  was sent. `data/attachments.ndjson` has their own names and types.
- `data/connectors/` says what the fields of each stream mean (JSON Schema).

## Check it

This is a BagIt bag (RFC 8493): the manifests list every file with its digest, in two kinds.

    sha256sum --check manifest-sha256.txt
    b3sum --check manifest-blake3.txt
    bagit.py --validate .

The same data always make the same bytes: two exports that are equal hold equal data, and any difference shows.

## Bring it back

    blobstore import --data DIR --owner NAME export.tar

takes the archive that this folder came in, or the folder itself, into this or any other server of the kind.

## What is not here

Deleted records, and what records said before they were last changed. Who was granted what, and the log of who saw
what: they belong to the store. Settings and tokens of the store.
"""
