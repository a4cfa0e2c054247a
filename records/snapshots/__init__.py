"""Snapshots: consistent copies of a data directory, made while servers run, and directories made of them again.

A *backup* is a folder that holds any number of snapshots of one store, and the blobs that they share:

    OUT/store-id
    OUT/blobs/<owner>/ab/cd/<digest>.<generation>
    OUT/snapshots/<number>/manifest.json, blobs.list, missing.list, central.db, catalogue.db, records/, secret, …

`repository` is that folder, `manifest` what says which files belong together, `backup` makes a snapshot, `restore` a
data directory.

A snapshot is one moment of all databases (`blobstore.sqlite.cut`). At any moment each link in a record has its holder
in the catalogue, and each live generation there its bytes: so the copy has them too, if no bytes go before they are
copied. Collection is held back by a pin. An erasure is not: where it takes bytes away that the moment knew, the moment
is given up and another one taken. What was copied is not copied again, so the next is over soon.
"""
