"""Resumable uploads: bytes that come in several requests, to any process of the machine that has them.

Under each there is a lease, as under every upload, but its folder in staging is its own: what is known of it and how
far it has come stand there, its lock is held by who sends to it, and no restart ends it. It ends with its lease: when
that expires, is fenced off by an erasure, or becomes a blob.
"""

from blobstore.resumable.folder import About, Done
from blobstore.resumable.joining import join
from blobstore.resumable.progress import Progress
from blobstore.resumable.resumed import ResumedUpload
from blobstore.resumable.uploads import Resumables

__all__ = ["About", "Done", "Progress", "Resumables", "ResumedUpload", "join"]
